"""Lock and RLock inside actors: they park, an RLock belongs to its actor, and no exit leaves one behind."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
import weakref

import pytest
from locks_helpers import PATIENCE, run_all, start_thread

import smarm

# ---- the plain lock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading._PyRLock])
def test_ten_actors_exclude_each_other(make):
    lock = make()
    inside = []

    def contend():
        for _ in range(50):
            with lock:
                inside.append(1)
                smarm.yield_now()
                assert len(inside) == 1
                inside.pop()

    run_all(*[contend] * 10)
    assert lock.acquire(False)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_an_actor_that_always_holds_the_lock_when_it_yields_starves_nobody(make):
    lock = make()
    stop = []

    def greedy():
        turns = 0
        while not stop:
            with lock:
                turns += 1
                smarm.yield_now()
        return turns

    def modest():
        for _ in range(10):
            with lock:
                pass
            smarm.yield_now()
        stop.append(1)

    turns, _ = run_all(greedy, modest)
    assert turns < 100


def test_parked_actors_get_the_lock_in_the_order_in_which_they_came():
    lock = threading.Lock()
    order = []

    def wait(number):
        with lock:
            order.append(number)

    def main():
        with lock:
            handles = [smarm.spawn(wait, number, on="local") for number in range(20)]
            for _ in range(3):
                smarm.yield_now()
        for handle in handles:
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=1)
    assert order == list(range(20))


def test_a_lock_can_be_released_by_another_actor():
    lock = threading.Lock()
    lock.acquire()

    def opener():
        for _ in range(3):
            smarm.yield_now()
        lock.release()

    assert run_all(lambda: lock.acquire(), opener) == [True, None]
    assert lock.locked()


def test_releasing_an_unlocked_lock_is_an_error_also_when_somebody_is_about_to_take_it():
    lock = threading.Lock()

    def wait():
        with lock:
            pass

    def main():
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()
        lock.acquire()
        smarm.spawn(wait, on="local")
        smarm.yield_now()
        lock.release()
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()

    smarm.run(main, workers=1)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_acquire_with_a_timeout_returns_false_after_it(make):
    lock = make()

    given_up = threading.Event()

    def holder():
        with lock:
            assert given_up.wait(timeout=PATIENCE)

    def waiter():
        assert not lock.acquire(False)
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=0)
        started = time.monotonic()
        assert lock.acquire(True, 0.03) is False
        assert time.monotonic() - started >= 0.03
        given_up.set()
        assert lock.acquire(timeout=PATIENCE) is True
        lock.release()

    run_all(holder, waiter)


def test_a_waiter_that_times_out_loses_no_wake_up():
    lock = threading.Lock()

    def impatient():
        got = 0
        for _ in range(30):
            if lock.acquire(timeout=0.0005):
                got += 1
                smarm.yield_now()
                lock.release()
        return got

    def patient():
        for _ in range(30):
            with lock:
                smarm.sleep(0.0003)
        return 30

    assert sum(run_all(*[impatient] * 5, *[patient] * 3)) >= 90
    assert not lock.locked()


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Truth:
    def __bool__(self):
        raise ZeroDivisionError("no truth")


CALLS = [
    ((), {}),
    ((True,), {}),
    ((1, -1), {}),
    ((), {"blocking": False, "timeout": -1}),
    ((), {"timeout": 5}),
    ((), {"timeout": Index(5)}),
    ((), {"timeout": 1e9}),
    (("yes", 0.5), {}),
    ((), {"timeout": -1.0}),
    ((False, 1), {}),
    ((True, -2), {}),
    ((True, -0.5), {}),
    ((True, float("nan")), {}),
    ((True, float("inf")), {}),
    ((True, 1e12), {}),
    ((True, 10**30), {}),
    ((True, None), {}),
    ((True, "5"), {}),
    ((True, 1, 2), {}),
    ((True,), {"blocking": True}),
    ((), {"block": True}),
    ((), {"blocking": True, "timeout": 1, "more": 2}),
    ((Truth(),), {}),
]


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
@pytest.mark.parametrize(("arguments", "keywords"), CALLS)
def test_acquire_reads_its_arguments_as_in_a_thread(make, arguments, keywords):
    def call():
        lock = make()
        try:
            taken = lock.acquire(*arguments, **keywords)
        except Exception as error:
            return type(error), str(error)
        lock.release()
        return taken

    def in_thread_and_actor():
        return start_thread(call)(), call()

    ((in_thread, in_actor),) = run_all(in_thread_and_actor)
    assert in_actor == in_thread


def test_locks_taken_and_dropped_leave_no_references():
    locks = [make() for make in (threading.Lock, threading.RLock) for _ in range(20)]
    before = [sys.getrefcount(lock) for lock in locks]

    def contend():
        for lock in locks:
            with lock:
                smarm.yield_now()

    run_all(*[contend] * 5)
    assert [sys.getrefcount(lock) for lock in locks] == before


# ---- RLock -----------------------------------------------------------------------------------------------------------


def test_an_rlock_belongs_to_one_actor():
    lock = threading.RLock()
    mine = threading.Event()
    done = threading.Event()

    def owner():
        with lock, lock:
            assert lock._is_owned()
            assert lock._recursion_count() == 2
            mine.set()
            done.wait()
            assert lock._recursion_count() == 2

    def other():
        mine.wait()
        assert not lock._is_owned()
        assert lock._recursion_count() == 0
        assert not lock.acquire(False)
        if hasattr(lock, "locked"):
            assert lock.locked()
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            lock.release()
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            lock._release_save()
        done.set()
        with lock:
            return lock._recursion_count()

    assert run_all(owner, other, main=other) == [None, 1]
    assert lock.acquire(False)
    lock.release()


def test_the_main_actor_owns_rlocks_as_its_thread_does():
    lock = threading.RLock()
    lock.acquire()

    def other():
        with lock:
            return lock._recursion_count()

    def main():
        assert lock._is_owned()
        handle = smarm.spawn(other, on="local")
        smarm.yield_now()
        with lock:
            assert lock._recursion_count() == 2
            smarm.yield_now()
        lock.release()
        assert handle.join(timeout=PATIENCE) == 1
        lock.acquire()

    smarm.run(main, workers=1)
    assert lock._is_owned()
    lock.release()
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.release()


def test_a_lock_whose_owner_ended_stays_locked():
    plain, recursive = threading.Lock(), threading.RLock()

    def die():
        plain.acquire()
        recursive.acquire()
        return threading.get_ident()

    def main():
        smarm.spawn(die, on="local").join(timeout=PATIENCE)
        for _ in range(100):  # others that take the dead one's place in the table of actors
            smarm.spawn(lambda: recursive.acquire(False), on="local").join(timeout=PATIENCE)
        assert not plain.acquire(timeout=0.01)
        assert not recursive.acquire(timeout=0.01)
        assert not start_thread(lambda: recursive.acquire(False))()

    smarm.run(main, workers=1)
    assert not recursive.acquire(False)
    assert not recursive._is_owned()
    with pytest.raises(RuntimeError, match="of its thread holds"):
        recursive.acquire()


def test_rlocks_dropped_while_held_are_not_kept_for_ever():
    references = []

    def drop():
        lock = threading.RLock()
        references.append(weakref.ref(lock))
        lock.acquire()

    def main():
        for _ in range(1000):
            smarm.spawn(drop, on="local").join(timeout=PATIENCE)

    smarm.run(main, workers=1)
    gc.collect()
    assert sum(reference() is not None for reference in references) < 100


def test_a_subclass_of_rlock_is_exclusive_too():
    class Named(type(threading.RLock())):
        name = "mine"

    lock = Named()
    inside = []

    def contend():
        for _ in range(10):
            with lock, lock:
                inside.append(1)
                smarm.yield_now()
                assert len(inside) == 1
                inside.pop()

    run_all(*[contend] * 5)


def test_at_fork_reinit_frees_a_lock_of_another_actor():
    for make in (threading.Lock, threading.RLock):
        lock = make()
        taken = threading.Event()

        def hold(lock=lock, taken=taken):
            lock.acquire()
            taken.set()

        def wait(lock=lock, taken=taken):
            taken.wait()
            return lock.acquire(timeout=PATIENCE)

        def reset(lock=lock, taken=taken):
            taken.wait()
            for _ in range(3):
                smarm.yield_now()
            lock._at_fork_reinit()

        assert run_all(hold, wait, reset)[1] is True


# ---- exits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_an_actor_asked_to_exit_while_it_waits_gets_actor_exit(make):
    lock = make()
    ended = []

    def wait():
        try:
            with lock:
                ended.append("lock")
        except smarm.ActorExit:
            ended.append("exit")
            raise

    def main():
        lock.acquire()
        for _ in range(5):
            smarm.spawn(wait, on="local")
        for _ in range(3):
            smarm.yield_now()

    smarm.run(main, workers=1)
    assert ended == ["exit"] * 5
    lock.release()
    assert lock.acquire(False)


def test_a_lock_given_to_an_actor_that_must_exit_goes_to_the_next():
    """Ends actors at every point of a hand-over; the lock must come through."""
    for make in (threading.Lock, threading.RLock):
        for steps in range(8):
            lock = make()

            def contend(lock=lock):
                with contextlib.suppress(smarm.ActorExit):
                    while True:
                        with lock:
                            smarm.yield_now()

            def main(steps=steps, contend=contend):
                for _ in range(4):
                    smarm.spawn(contend, on="local")
                for _ in range(steps):
                    smarm.yield_now()

            smarm.run(main, workers=1)
            assert lock.acquire(False), (make, steps)


def test_an_actor_that_exits_out_of_a_condition_holds_its_lock_until_the_block_ends():
    condition = threading.Condition()
    ended = []

    def wait():
        try:
            with condition:
                try:
                    condition.wait()
                finally:
                    ended.append(condition._is_owned())
        except smarm.ActorExit:
            ended.append("exit")
            raise

    def main():
        for _ in range(3):
            smarm.spawn(wait, on="local")
        smarm.yield_now()

    smarm.run(main, workers=1)
    assert ended == [True, "exit"] * 3
    assert condition.acquire(False)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_killed_actor_that_was_given_a_lock_has_it_and_gives_it_back(make, wait_until_parked):
    lock = make()

    def wait():
        with lock:
            pass
        smarm.sleep(0)
        return True

    def main():
        lock.acquire()
        first, second = (smarm.spawn(wait, on="local") for _ in range(2))
        wait_until_parked(second.pid, "a lock")
        lock.release()
        smarm.kill(first.pid)
        assert second.join(timeout=PATIENCE)
        with pytest.raises(smarm.ActorKilled):
            first.join(timeout=PATIENCE)
        assert lock.acquire(blocking=False)

    smarm.run(main, workers=1)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_killed_actor_takes_the_lock_of_its_condition_before_it_releases_it(make, wait_until_parked):
    condition = threading.Condition(make())

    def wait():
        with condition:
            condition.wait()

    def main():
        handle = smarm.spawn(wait, on="local")
        wait_until_parked(handle.pid, "a lock")
        with condition:
            smarm.kill(handle.pid)
            for _ in range(5):
                smarm.yield_now()
            assert not start_thread(lambda: condition.acquire(False))()
        with pytest.raises(smarm.ActorKilled):
            handle.join(timeout=PATIENCE)
        assert condition.acquire(False)
        condition.release()

    smarm.run(main, workers=1)


def test_condition_takes_its_rlock_again_however_often_the_actor_is_asked_to_exit(wait_until_parked):
    condition = threading.Condition()

    def wait():
        with condition:  # ends with "cannot release un-acquired lock" if wait() came back without it
            condition.wait()

    def main():
        handle = smarm.spawn(wait, on="local")
        wait_until_parked(handle.pid, "a lock")
        with condition:
            for reason in ("one", "two", "three"):
                smarm.exit(handle.pid, reason)
                smarm.yield_now()
            assert smarm.process_info(handle.pid).waiting_for == "a lock"
        with pytest.raises(smarm.ActorFailed, match=r"one|two|three"):
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=1)
    assert condition.acquire(False)
    condition.release()


def test_a_killed_actor_whose_lock_never_comes_ends_all_the_same(wait_until_parked):
    lock = threading.Lock()
    lock.acquire()

    def wait():
        try:
            lock.acquire()
        finally:
            lock.acquire()

    def main():
        handle = smarm.spawn(wait, on="local")
        wait_until_parked(handle.pid, "a lock")
        smarm.kill(handle.pid)
        with pytest.raises(smarm.ActorKilled):
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=1)


def test_a_shielded_actor_waits_for_its_lock_before_it_exits(wait_until_parked):
    lock = threading.Lock()
    seen = []

    def wait():
        with smarm.shield():
            lock.acquire()
            seen.append("lock")
        seen.append("no exit")

    def main():
        lock.acquire()
        handle = smarm.spawn(wait, on="local")
        wait_until_parked(handle.pid, "a lock")
        smarm.exit(handle.pid, "enough")
        smarm.yield_now()
        lock.release()
        with pytest.raises(smarm.ActorFailed):
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=1)
    assert seen == ["lock"]


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_timeout_scope_ends_a_wait_for_a_lock(make):
    lock = make()
    condition = threading.Condition(make())

    def main():
        holder = smarm.spawn(lambda: lock.acquire() and smarm.receive(), on="local")
        smarm.yield_now()
        for _ in range(2):
            with pytest.raises(smarm.Timeout), smarm.timeout(0.01), lock:
                pass
        with pytest.raises(smarm.Timeout), smarm.timeout(0.01), condition:
            condition.wait()
        assert condition.acquire(False)
        condition.release()
        smarm.kill(holder.pid)

    smarm.run(main, workers=1)
