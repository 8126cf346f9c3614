"""smarm.testing: one seed is one interleaving, under virtual time."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time

import pytest

import smarm
from smarm.testing import Deadlock, NotSimulated, explore, simulate

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
    with pytest.raises(TypeError, match="trace is the list that gets the lines, or None, not int"):
        simulate(print, trace=5)


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


def test_a_program_without_a_fault_passes_all_seeds() -> None:
    explore(talk, seeds=range(50))


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


def test_what_is_loaded_late_is_no_part_of_the_first_run(succeed) -> None:
    program = """
        import smarm, smarm.testing

        def main():
            with smarm.Supervisor([smarm.Child("one", smarm.receive)]).start():
                smarm.sleep(1)

        for _ in range(3):
            trace = []
            smarm.testing.simulate(main, seed=7, trace=trace)
            print(hash(tuple(trace)))
    """
    assert len(set(succeed(program).split())) == 1


def test_a_failure_that_outlives_the_interpreter_is_reported(run_app) -> None:
    program = """
        import smarm, smarm.testing

        def fail(): 1 / 0

        def main():
            handle = smarm.spawn(fail)
            smarm.sleep(0.05)
            raise ValueError  # its traceback keeps the handle

        smarm.testing.simulate(main, seed=1)
    """
    result = run_app(program)
    assert result.code == 1
    assert "failed, and nobody joined it:\nTraceback (most recent call last):" in result.err
    assert "ZeroDivisionError" in result.err


def test_a_trace_says_who_ran_and_where_it_stopped() -> None:
    def main() -> None:
        smarm.spawn(smarm.sleep, 2.0, name="sleeper").join()

    lines = trace_of(main, 3)
    assert any("'main' parked: another actor's end at " in line and ".main" in line for line in lines)
    assert any("'sleeper' parked: time" in line for line in lines)
    assert any("'sleeper' dead" in line for line in lines)


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


def test_a_trace_shows_lines_of_the_program_not_of_pytest():
    def main():
        def check():
            with pytest.raises(ValueError, match="meant"):
                raise ValueError("meant")

        smarm.join_all([smarm.spawn(check) for _ in range(3)])

    for seed in range(20):
        trace = []
        simulate(main, seed=seed, trace=trace)
        assert not [line for line in trace if "/_pytest/" in line]


@pytest.mark.parametrize("ci", ["", "true"])  # pytest explains at length there, with difflib's namedtuples
def test_a_trace_of_a_failing_assert_has_no_line_of_what_explains_it(ci, monkeypatch):
    monkeypatch.setenv("CI", ci)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)

    def main():
        def check(number):
            with pytest.raises(AssertionError):
                assert [number] == [number + 1]

        smarm.join_all([smarm.spawn(check, number) for number in range(3)])

    for seed in range(20):
        trace = []
        simulate(main, seed=seed, trace=trace)
        assert [line for line in trace if __file__ not in line and not line.endswith(" dead")] == []


def test_pytest_reports_a_simulation_that_fails_without_lines_of_smarm(tmp_path):
    test = tmp_path / "test_program.py"
    test.write_text(
        "import smarm\n"
        "from smarm.testing import explore, simulate\n"
        "def scenario():\n"
        "    def fail():\n"
        "        raise ValueError('meant')\n"
        "    smarm.spawn(fail).join()\n"
        "def test_simulate():\n"
        "    simulate(scenario, seed=1)\n"
        "def test_explore():\n"
        "    explore(scenario)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    report = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "2 failed" in report
    assert "/smarm/testing.py" not in report
    assert "/smarm/_failure.py" not in report
    assert "rerun: smarm.testing.simulate(test_program.scenario, seed=1)" in report
