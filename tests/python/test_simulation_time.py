"""Virtual time in a simulation, and runs that do not end."""

from __future__ import annotations

import contextlib
import queue
import threading
import time

import pytest

import smarm
from smarm.testing import SeedFailed, TooManySteps, explore, simulate

HOUR = 3600.0


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
        simulate(compute_for_ever, seed=1, max_steps=bad)
