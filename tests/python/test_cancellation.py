"""When what is requested of an actor is delivered: at points, or after its patience, and nothing is lost by it."""

import math
import subprocess
import sys
import time

import in_workers
import pytest

import smarm
from smarm import testing
from tests.soak import cancellation

PATIENCE = 10.0  # seconds; longer is a hang


# A killed event loop ends in the middle.
UNFINISHED = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore:unclosed :ResourceWarning"
)


@UNFINISHED
@pytest.mark.parametrize("workers", [1, 2])
def test_random_deadlines_and_kills_lose_and_double_nothing(workers):
    assert smarm.run(cancellation.rounds, 1000, 0xC0FFEE + workers, True, workers=workers) == ""


@UNFINISHED
@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_a_hundred_thousand_rounds(part):
    assert smarm.run(cancellation.rounds, 5000, part, True, workers=1) == ""


# ---- an actor that computes ----------------------------------------------------------------------------------------------


def compute(seconds):
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
    return number


@pytest.mark.parametrize("ask", [smarm.kill, lambda pid, **how: smarm.exit(pid, "enough", **how)])
def test_an_actor_that_computes_is_interrupted_after_the_patience(alone, ask):
    def main():
        handle = smarm.spawn(compute, PATIENCE, on="local")
        smarm.sleep(0.01)
        ask(handle.pid, interrupt_after=0.05)
        with pytest.raises((smarm.ActorKilled, smarm.ActorFailed)):
            handle.join(timeout=PATIENCE / 2)

    alone(main)


def test_without_patience_it_computes_to_its_end(alone):
    def main():
        handle = smarm.spawn(compute, 0.3, on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=None)
        assert handle.join(timeout=PATIENCE) > 0

    alone(main)


@pytest.mark.parametrize("options", [{"interrupt_after": None}, {"interrupt_after": "none"}])
def test_the_run_says_what_is_not_said(alone, options):
    def main():
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001) as scope:  # noqa: PT012
            assert compute(0.3)
            assert scope.expired
            smarm.sleep(0)

    alone(main, **options)


def test_a_block_is_interrupted_after_its_patience(alone):
    def main():
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001, interrupt_after=0):  # noqa: PT012
            compute(PATIENCE)
            pytest.fail("it was not interrupted")

    alone(main)


def test_a_group_gives_its_patience_to_its_children(alone):
    def main():
        with smarm.TaskGroup(interrupt_after=None) as group:
            handle = group.spawn(compute, 0.3, on="local")
            smarm.sleep(0.01)
            group.cancel()
        assert handle.join() > 0
        with smarm.TaskGroup(interrupt_after=0) as group:
            handle = group.spawn(compute, PATIENCE, on="local")
            smarm.sleep(0.01)
            group.cancel()
        with pytest.raises(smarm.ActorKilled):
            handle.join()

    alone(main)


@pytest.mark.parametrize("wrong", [-1, math.nan])
def test_a_patience_that_is_none_is_refused(alone, wrong):
    def main():
        for call in (
            lambda: smarm.timeout(1, interrupt_after=wrong),
            lambda: smarm.TaskGroup(interrupt_after=wrong),
            lambda: smarm.kill(smarm.self(), interrupt_after=wrong),
            lambda: smarm.exit(smarm.self(), "enough", interrupt_after=wrong),
        ):
            with pytest.raises(ValueError, match="0 or more seconds"):
                call()
        with pytest.raises(TypeError, match="number of seconds"):
            smarm.timeout(1, interrupt_after="soon")
        with pytest.raises(TypeError, match="unexpected keyword"):
            smarm.kill(smarm.self(), after=1)

    alone(main)


# ---- no_preempt, shield ----------------------------------------------------------------------------------------------------


def test_computing_under_no_preempt_is_not_interrupted_and_its_waits_are_points(alone):
    def main():
        reached = []

        def work():
            with smarm.no_preempt():
                compute(0.2)
                reached.append("computed")
                smarm.sleep(PATIENCE)

        handle = smarm.spawn(lambda: work(), on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=0)
        with pytest.raises(smarm.ActorKilled):
            handle.join(timeout=PATIENCE / 2)
        assert reached == ["computed"]

    alone(main)


@pytest.mark.parametrize("how", ["kill", "exit", "deadline"])
def test_computing_without_end_under_no_preempt_is_interrupted_after_kill_patience(how):
    def main():
        handle = smarm.spawn(in_workers.compute_unpreempted, smarm.self(), 0.01 if how == "deadline" else None, on=1)
        assert smarm.receive(timeout=PATIENCE) == "computing"
        if how != "deadline":
            smarm.kill(handle.pid) if how == "kill" else smarm.exit(handle.pid, "enough")
        with pytest.raises((smarm.ActorKilled, smarm.ActorFailed)):
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=2, kill_patience=0.1)


def test_nothing_is_delivered_behind_a_shield_until_its_end(alone):
    def main():
        reached = []

        def work():
            with smarm.shield():
                compute(0.2)
                smarm.sleep(0.01)
                reached.append("shielded")
            reached.append("after")

        handle = smarm.spawn(lambda: work(), on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=0)
        with pytest.raises(smarm.ActorKilled):
            handle.join(timeout=PATIENCE)
        assert reached == ["shielded"]

    alone(main)


BEHIND_A_SHIELD = """
import smarm

def stubborn():
    with smarm.shield():
        smarm.sleep(60)

def main():
    smarm.spawn(stubborn, on="local")
    smarm.sleep(0.01)

smarm.run(main, workers=1, shutdown_timeout=0.2)
"""


def test_a_shield_is_bounded_by_the_end_of_the_run():
    ended = subprocess.run(
        [sys.executable, "-c", BEHIND_A_SHIELD], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "gave up 1 actor" in ended.stderr


def test_a_killed_actor_that_computes_on_is_interrupted_again():
    def stubborn(told):
        for _ in range(2):
            try:
                compute(PATIENCE)
            except smarm.ActorExit:
                told.append(time.monotonic())

    def main():
        told = []
        handle = smarm.spawn(lambda: stubborn(told), on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=0)
        handle.observe()
        handle.join(timeout=PATIENCE)
        assert len(told) == 2

    smarm.run(main, workers=1, kill_patience=0.1)


# ---- in a simulation -------------------------------------------------------------------------------------------------------


def loses_a_value():
    """A taker that notes what it got some instructions later: an interruption between the two loses it."""
    sender, receiver = smarm.channel()
    taken = []

    def take():
        while True:
            value = receiver.recv()
            for _ in range(20):
                pass
            taken.append(value)

    taker = smarm.spawn(lambda: take(), on="local")
    sender.send("value")
    smarm.yield_now()
    taker.observe()
    smarm.kill(taker.pid)
    with pytest.raises(smarm.ActorKilled):
        taker.join()
    assert len(taken) + len(receiver) == 1, "the value is lost"


def test_every_interrupt_of_a_simulation_finds_what_one_seed_may_not():
    with pytest.raises(testing.SeedFailed, match="interrupt_point="):
        testing.explore(loses_a_value, seeds=range(20), every_interrupt=True)


def test_a_simulation_that_interrupts_nobody_is_run_once():
    runs = []

    def main():
        runs.append(None)
        handle = smarm.spawn(smarm.sleep, 10, on="local")
        smarm.yield_now()
        smarm.kill(handle.pid)
        handle.observe()

    testing.explore(main, seeds=[1, 2], every_interrupt=True)
    assert len(runs) >= 2


@pytest.mark.parametrize("wrong", [-1, 2**64 - 1, 1.5])
def test_an_interrupt_point_is_a_whole_number(wrong):
    with pytest.raises(ValueError, match="interrupt_point is a whole number"):
        testing.simulate(int, seed=1, interrupt_point=wrong)
