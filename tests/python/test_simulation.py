"""smarm.testing: one seed is one interleaving, under virtual time."""

from __future__ import annotations

import contextlib
import math
import queue
import random
import re
import sys
import threading
import time

import pytest

import smarm
from smarm.testing import Deadlock, NotSimulated, SeedFailed, TooManySteps, explore, simulate

HOUR = 3600.0


# ---- a run -----------------------------------------------------------------------------------------------------------


def test_the_value_of_main_is_returned() -> None:
    assert simulate(lambda a, b: a + b, 2, 3, seed=1) == 5


def test_a_failure_says_how_to_run_it_again() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        simulate(fails, 0, seed=17)
    assert caught.value.__notes__ == [f"rerun: smarm.testing.simulate({__name__}.fails, 0, seed=17)"]


def fails(divisor: int) -> float:
    return 1 / divisor


def test_a_run_without_a_seed_says_which_one_it_took() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        simulate(fails, 0)
    seed = int(caught.value.__notes__[0].rpartition("=")[2].rstrip(")"))
    assert 0 <= seed < 2**64


@pytest.mark.parametrize("seed", [-1, 2**64, "1", 1.0])
def test_a_seed_that_is_none_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match=r"a seed is a whole number from 0 to 2\*\*64 - 1, not "):
        simulate(fails, 1, seed=seed)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="a simulation needs the function that the main actor is to run, not int"):
        simulate(3)
    with pytest.raises(TypeError, match="not int"):
        explore(3)


def test_there_is_one_runtime_at_a_time(alone) -> None:
    def main() -> None:
        with pytest.raises(smarm.AlreadyRunning):
            simulate(fails, 1, seed=1)
        with pytest.raises(smarm.AlreadyRunning):
            explore(fails, 1, seeds=[1])

    alone(main)


def test_without_a_free_tool_id_a_simulation_says_so() -> None:
    for number in (3, 4):
        sys.monitoring.use_tool_id(number, f"tool{number}")
    try:
        with pytest.raises(NotSimulated, match="they are taken by tool3, tool4"):
            simulate(fails, 1, seed=1)
    finally:
        for number in (3, 4):
            sys.monitoring.free_tool_id(number)


def test_everything_is_put_back() -> None:
    random.seed(5)
    before = random.getstate()

    def main() -> float:
        return random.random()

    assert simulate(main, seed=8) == simulate(main, seed=8) != simulate(main, seed=9)
    assert random.getstate() == before
    assert all(sys.monitoring.get_tool(number) is None for number in (3, 4))
    assert abs(time.time() - 1_735_689_600) > HOUR


# ---- one seed, one trace ---------------------------------------------------------------------------------------------


def talk() -> list[object]:
    """Give the order in which the messages of three actors come, with timers, locks and preemption between them."""
    me = smarm.self()
    lock = smarm.Mutex()
    total = 0

    def work(number: int) -> None:
        nonlocal total
        for turn in range(3):
            with lock.hold(HOUR):
                total += 1
            smarm.send(me, (number, turn))
            smarm.sleep(random.random())

    handles = [smarm.spawn(work, number, name=f"worker {number}") for number in range(3)]
    messages = [smarm.receive() for _ in range(9)]
    smarm.join_all(handles)
    assert total == 9
    return messages


def trace_of(main, seed: int) -> list[str]:
    lines: list[str] = []
    simulate(main, seed=seed, trace=lines)
    return lines


def test_the_same_seed_gives_the_same_trace() -> None:
    for seed in range(20):
        assert trace_of(talk, seed) == trace_of(talk, seed)


def test_other_seeds_give_other_traces() -> None:
    assert len({tuple(trace_of(talk, seed)) for seed in range(20)}) == 20


def test_the_same_seed_gives_the_same_trace_in_another_process(succeed) -> None:
    program = """
        import smarm, smarm.testing

        def main():
            me = smarm.self()
            def work(number):
                for turn in range(5):
                    smarm.send(me, (number, turn))
            for number in range(3):
                smarm.spawn(work, number)
            return [smarm.receive() for _ in range(15)]

        for _ in range(2):
            trace = []
            print(smarm.testing.simulate(main, seed=4, trace=trace))
            print(*trace, sep="\\n")
    """
    first, second = succeed(program), succeed(program)
    assert first == second
    half = len(first) // 2
    assert first[:half] == first[half:]


def test_a_trace_says_who_ran_and_where_it_stopped() -> None:
    def main() -> None:
        smarm.spawn(smarm.sleep, 2.0, name="sleeper").join()

    lines = trace_of(main, 3)
    assert any("'main' parked: another actor's end at " in line and ".main" in line for line in lines)
    assert any("'sleeper' parked: time" in line for line in lines)
    assert any("'sleeper' dead" in line for line in lines)


# ---- time ------------------------------------------------------------------------------------------------------------


def test_hours_of_timeouts_take_no_time() -> None:
    def main() -> float:
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(smarm.Timeout):
                smarm.receive(timeout=HOUR)
        return time.monotonic() - began

    assert simulate(main, seed=1) == pytest.approx(100 * HOUR, abs=1)


@pytest.mark.parametrize("clock", [time.monotonic, time.perf_counter, time.time, lambda: time.time_ns() / 1e9])
def test_clocks_of_the_standard_library_are_virtual(clock) -> None:
    def main() -> float:
        began = clock()
        time.sleep(HOUR)
        smarm.sleep(HOUR)
        return clock() - began

    assert simulate(main, seed=1) == pytest.approx(2 * HOUR, abs=1)


def test_a_loop_that_waits_for_a_time_ends() -> None:
    def main() -> None:
        end = time.monotonic() + 0.01
        while time.monotonic() < end:
            pass

    simulate(main, seed=1)


def test_timeouts_of_queue_and_threading_are_virtual() -> None:
    def main() -> None:
        with pytest.raises(queue.Empty):
            queue.Queue().get(timeout=HOUR)
        assert not threading.Event().wait(HOUR)
        with (condition := threading.Condition()):
            assert not condition.wait_for(lambda: False, HOUR)

    simulate(main, seed=1)


def test_timers_are_virtual() -> None:
    def main() -> list[str]:
        me = smarm.self()
        smarm.send_after(2 * HOUR, me, "second")
        smarm.send_after(HOUR, me, "first")
        ticks = smarm.interval(HOUR, me, "tick")
        got = [smarm.receive() for _ in range(5)]
        ticks.cancel()
        return got

    assert sorted(simulate(main, seed=1)) == ["first", "second", "tick", "tick", "tick"]


# ---- order and delays ------------------------------------------------------------------------------------------------


def numbered(count: int) -> list[tuple[str, int]]:
    me = smarm.self()

    def send(name: str) -> None:
        for number in range(count):
            smarm.send(me, (name, number))

    for name in "ab":
        smarm.spawn(send, name)
    return [smarm.receive() for _ in range(2 * count)]


def test_messages_of_one_sender_keep_their_order_and_those_of_two_are_free() -> None:
    orders = set()
    for seed in range(300):
        got = simulate(numbered, 4, seed=seed)
        for name in "ab":
            assert [number for sender, number in got if sender == name] == [0, 1, 2, 3]
        orders.add(tuple(sender for sender, _ in got))
    assert len(orders) > 30  # of 70


def test_the_last_message_comes_before_the_end_is_told() -> None:
    def main() -> None:
        me = smarm.self()
        handle = smarm.spawn(lambda: smarm.send(me, "last"), monitor=True)
        first, second = smarm.receive(), smarm.receive()
        assert first == "last"
        assert isinstance(second, smarm.Down)
        assert second.pid == handle.pid

    explore(main, seeds=range(200))


def test_a_message_can_be_overtaken_by_one_of_another_sender() -> None:
    def main() -> list[str]:
        me = smarm.self()

        def forward() -> None:
            smarm.receive()
            smarm.send(me, "second")

        other = smarm.spawn(forward)
        smarm.send(me, "to myself")

        def first() -> None:
            smarm.send(me, "first")
            smarm.send(other.pid, "go on")

        smarm.spawn(first)
        return [smarm.receive() for _ in range(3)]

    seen = {tuple(simulate(main, seed=seed)) for seed in range(200)}
    assert seen == {("to myself", "first", "second"), ("to myself", "second", "first")}


@pytest.mark.parametrize("on", ["main", "local", 1, 7, None])
def test_every_placement_is_the_one_worker(on: object) -> None:
    def main() -> tuple[int | None, int]:
        return smarm.spawn(smarm.worker_index, on=on).join(), len(smarm.statistics().workers)

    assert simulate(main, seed=1) == (0, 1)


def test_a_placement_that_is_none_is_refused() -> None:
    def main() -> None:
        with pytest.raises(smarm.ConfigError):
            smarm.spawn(smarm.worker_index, on="moon")

    simulate(main, seed=1)


# ---- what is found ---------------------------------------------------------------------------------------------------


def lost_update() -> None:
    counter = 0

    def add() -> None:
        nonlocal counter
        counter += 1

    smarm.join_all([smarm.spawn(add) for _ in range(2)])
    assert counter == 2, f"counter is {counter}"


def test_a_lost_update_is_found_and_its_seed_repeats_it() -> None:
    with pytest.raises(SeedFailed, match="counter is 1") as caught:
        explore(lost_update)
    seed = caught.value.seed
    assert f"seed {seed} fails with AssertionError" in str(caught.value)
    assert f"lost_update, seed={seed})" in str(caught.value)
    assert isinstance(caught.value.__cause__, AssertionError)
    for _ in range(3):
        with pytest.raises(AssertionError, match="counter is 1"):
            simulate(lost_update, seed=seed)


GLOBAL = 0


def add_to_global(times: int) -> None:
    global GLOBAL
    for _ in range(times):
        GLOBAL += 1


def lost_global_update() -> None:
    global GLOBAL
    GLOBAL = 0
    smarm.join_all([smarm.spawn(add_to_global, 5) for _ in range(3)])
    assert GLOBAL == 15


def test_a_lost_update_of_a_global_is_found() -> None:
    with pytest.raises(SeedFailed):
        explore(lost_global_update)


def test_the_same_under_a_lock_is_not_found() -> None:
    def main() -> None:
        counter = 0
        lock = threading.Lock()

        def add() -> None:
            nonlocal counter
            with lock:
                counter += 1

        smarm.join_all([smarm.spawn(add) for _ in range(2)])
        assert counter == 2

    explore(main, seeds=range(300))


def test_no_preempt_keeps_the_others_out() -> None:
    def main() -> None:
        counter = 0

        def add() -> None:
            nonlocal counter
            with smarm.no_preempt():
                counter += 1

        smarm.join_all([smarm.spawn(add) for _ in range(2)])
        assert counter == 2

    explore(main, seeds=range(300))


def crossed(make_lock, take) -> None:
    left, right = make_lock(), make_lock()

    def take_both(first, second) -> None:
        with take(first), take(second):
            pass

    one = smarm.spawn(lambda: take_both(left, right), name="one")
    two = smarm.spawn(lambda: take_both(right, left), name="two")
    smarm.join_all([one, two])


def crossed_mutexes() -> None:
    crossed(smarm.Mutex, lambda lock: lock.hold(math.inf))


def crossed_locks() -> None:
    crossed(threading.Lock, lambda lock: lock)


@pytest.mark.parametrize("scenario", [crossed_locks, crossed_mutexes])
def test_a_lock_order_deadlock_is_found(scenario) -> None:
    with pytest.raises(SeedFailed) as caught:
        explore(scenario)
    error = caught.value.__cause__
    assert isinstance(error, Deadlock)
    assert "'one': parked, waits for a lock" in str(error)
    assert "'two': parked, waits for a lock" in str(error)
    assert ".take_both" in str(error)
    one, two = (re.search(rf"(<pid \d+\.1>) '{name}'", str(error))[1] for name in ("one", "two"))
    assert f"'main': parked, waits for another actor's end ({one})" in str(error)
    if scenario is crossed_mutexes:  # a threading.Lock does not know who holds it
        assert "these wait for each other: " in str(error)
        assert f"'one': parked, waits for a lock ({two})" in str(error)
        assert f"'two': parked, waits for a lock ({one})" in str(error)
    with pytest.raises(Deadlock):
        simulate(scenario, seed=caught.value.seed)


def test_a_program_without_a_fault_passes_all_seeds() -> None:
    explore(talk, seeds=range(50))


def test_a_race_between_a_message_and_a_timeout_goes_both_ways() -> None:
    def main() -> str:
        me = smarm.self()
        smarm.spawn(lambda: smarm.send(me, "message"))
        try:
            return smarm.receive(timeout=0.001)
        except smarm.Timeout:
            return "timeout"

    assert {simulate(main, seed=seed) for seed in range(100)} == {"message", "timeout"}


# ---- deadlock --------------------------------------------------------------------------------------------------------


def test_a_deadlock_is_raised_in_the_caller_and_finally_blocks_run() -> None:
    ended = []

    def waits() -> None:
        try:
            smarm.receive()
        finally:
            ended.append(smarm.self())

    def main() -> None:
        smarm.spawn(waits)
        try:
            while True:
                with contextlib.suppress(Exception):
                    smarm.receive()
        finally:
            ended.append(smarm.self())

    with pytest.raises(Deadlock, match="every actor waits, and nothing is left that could wake one") as caught:
        simulate(main, seed=2)
    assert "'main': parked, waits for a message" in str(caught.value)
    assert ".waits" in str(caught.value)
    assert "seed=2)" in caught.value.__notes__[0]
    assert len(ended) == 2


def test_an_error_of_the_way_out_of_a_deadlock_is_its_cause() -> None:
    def main() -> None:
        try:
            smarm.receive()
        finally:
            raise KeyError("on the way out")

    with pytest.raises(Deadlock) as caught:
        simulate(main, seed=2)
    assert isinstance(caught.value.__cause__, KeyError)


# ---- the world outside -----------------------------------------------------------------------------------------------


def test_descriptors_between_actors_work() -> None:
    import socket

    def main() -> bytes:
        left, right = socket.socketpair()
        with left, right:
            smarm.spawn(lambda: (smarm.sleep(HOUR), right.sendall(b"late"))).observe()
            return left.recv(4)

    for seed in range(10):
        assert simulate(main, seed=seed) == b"late"


def test_a_wait_for_the_world_outside_is_a_deadlock_or_times_out() -> None:
    import socket

    def main(timeout: float | None) -> bytes:
        left, right = socket.socketpair()
        with left, right:
            left.settimeout(timeout)
            return left.recv(4)

    with pytest.raises(Deadlock, match="waits for a file descriptor"):
        simulate(main, None, seed=1)
    with pytest.raises(TimeoutError):
        simulate(main, HOUR, seed=1)


def test_a_thread_is_refused() -> None:
    def main() -> None:
        with pytest.raises(NotSimulated, match="spawn an actor instead"):
            threading.Thread(target=print).start()

    simulate(main, seed=1)
    thread = threading.Thread(target=lambda: None)  # outside of simulations it is as before
    thread.start()
    thread.join()


def test_a_blocking_call_is_made_by_the_actor_itself() -> None:
    def main() -> tuple[int, smarm.Pid, smarm.Pid]:
        return smarm.block_on_io(int, "7"), smarm.block_on_io(smarm.self), smarm.self()

    number, caller, me = simulate(main, seed=1)
    assert number == 7
    assert caller == me


# ---- the rest of smarm -----------------------------------------------------------------------------------------------


def test_servers_and_supervisors_run() -> None:
    class Counter(smarm.Server):
        def init(self) -> None:
            self.value = 0

        def handle_call(self, request: object, call: smarm.Call) -> int:
            self.value += 1
            if request == "die":
                raise RuntimeError("as asked")
            return self.value

    def main() -> tuple[int, float]:
        began = time.monotonic()
        server = Counter.start()
        for _ in range(4):
            server.call("count")
        return server.call("count"), time.monotonic() - began

    value, seconds = simulate(main, seed=3)
    assert value == 5
    assert seconds < 5


def test_an_exit_reaches_an_actor_that_computes() -> None:
    def main() -> None:
        def loop() -> None:
            while True:
                pass

        handle = smarm.spawn(loop)
        smarm.sleep(0.01)
        smarm.kill(handle.pid)
        with pytest.raises(smarm.ActorKilled):
            handle.join()

    explore(main, seeds=range(20))


# ---- no end ------------------------------------------------------------------------------------------------------------


def compute_for_ever() -> None:
    while True:
        pass


def wait_politely_for_ever() -> None:
    flag: list[int] = []
    smarm.spawn(lambda: smarm.receive())
    while not flag:
        with contextlib.suppress(Exception):
            smarm.sleep(0.001)


def send_to_each_other_for_ever() -> None:
    def pong() -> None:
        while True:
            smarm.send(smarm.receive(), smarm.self())

    one = smarm.spawn(pong)
    while True:
        smarm.send(one.pid, smarm.self())
        smarm.receive()


def spin_without_preemption() -> None:
    with smarm.no_preempt():
        compute_for_ever()


def spin_and_check() -> None:
    with smarm.no_preempt():
        while True:
            smarm.check()


@pytest.mark.parametrize(
    "main",
    [compute_for_ever, wait_politely_for_ever, send_to_each_other_for_ever, spin_without_preemption, spin_and_check],
)
def test_a_run_without_end_is_ended_and_says_how_to_run_it_again(main) -> None:
    rerun = f"smarm.testing.simulate({__name__}.{main.__name__}, seed=7, max_steps=20000)"
    with pytest.raises(TooManySteps) as caught:
        simulate(main, seed=7, max_steps=20_000)
    assert str(caught.value) == f"seed 7: no end after max_steps=20000 steps\nrerun: {rerun}"
    assert caught.value.seed == 7
    with pytest.raises(SeedFailed, match=r"^seed 7 fails with TooManySteps") as explored:
        explore(main, seeds=[7], max_steps=20_000)
    assert isinstance(explored.value.__cause__, TooManySteps)
    assert rerun in str(explored.value)


def test_a_run_without_end_runs_the_finally_blocks_and_keeps_what_they_raise() -> None:
    ended = []

    def main() -> None:
        try:
            compute_for_ever()
        finally:
            ended.append(smarm.self())
            raise LookupError("in finally")

    with pytest.raises(TooManySteps) as caught:
        simulate(main, seed=1, max_steps=5000)
    assert len(ended) == 1
    assert isinstance(caught.value.__cause__, LookupError)


def test_the_number_of_steps_is_the_programs_and_not_the_machines() -> None:
    def main() -> int:
        return sum(number for number in range(1000))

    def steps_needed() -> int:
        least, most = 1, 1_000_000
        while least < most:
            middle = (least + most) // 2
            try:
                assert simulate(main, seed=3, max_steps=middle) == 499500
                most = middle
            except TooManySteps:
                least = middle + 1
        return least

    assert steps_needed() == steps_needed()
    assert simulate(main, seed=3, max_steps=None) == 499500


@pytest.mark.parametrize("bad", [0, -1, 1.5, "many", 2**64])
def test_a_limit_of_steps_that_is_none_is_refused(bad) -> None:
    with pytest.raises(ValueError, match=r"max_steps is a whole number from 1 to 2\*\*64 - 1, or None, not"):
        simulate(talk, seed=1, max_steps=bad)
