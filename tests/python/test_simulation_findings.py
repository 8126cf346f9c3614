"""What simulate and explore find: lost updates, races, deadlocks."""

from __future__ import annotations

import contextlib
import math
import re
import threading

import pytest

import smarm
from smarm.testing import Deadlock, SeedFailed, explore, simulate

HOUR = 3600.0


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
