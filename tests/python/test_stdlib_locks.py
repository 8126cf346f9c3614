"""Locks and thread identity of the standard library inside actors: they park, and they belong to the actor."""

from __future__ import annotations

import _thread
import concurrent.futures
import contextlib
import gc
import importlib
import importlib.abc
import importlib.util
import io
import logging
import queue
import random
import sys
import textwrap
import threading
import time
import weakref

import pytest

import smarm

PATIENCE = 30  # seconds; a test that needs more hangs


def run_all(*functions, main=None):
    """Run each function in an actor of the main lane, and `main` in the main actor; return their values."""

    def start():
        handles = [smarm.spawn(function, on="local") for function in functions]
        if main is not None:
            main()
        return [handle.join(timeout=PATIENCE) for handle in handles]

    return smarm.run(start, workers=1)


def start_thread(function):
    """Start a plain thread; the returned call waits for its value (parking, when an actor calls it)."""
    future = concurrent.futures.Future()

    def body():
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=body, daemon=True).start()
    return lambda: future.result(timeout=PATIENCE)


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

    def holder():
        with lock:
            smarm.sleep(0.2)

    def waiter():
        assert not lock.acquire(False)
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=0)
        started = time.monotonic()
        assert lock.acquire(True, 0.03) is False
        assert 0.03 <= time.monotonic() - started < 0.15
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


# ---- what is built on locks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_condition_wakes_actors(make):
    condition = threading.Condition(make())
    items = []

    def consume():
        got = []
        while len(got) < 20:
            with condition:
                condition.wait_for(lambda: items, timeout=PATIENCE)
                got.append(items.pop())
        return got

    def produce():
        for item in range(60):
            with condition:
                items.append(item)
                condition.notify()
            if item % 3 == 0:
                smarm.yield_now()

    results = run_all(consume, consume, consume, produce)
    assert sorted(sum(results[:3], [])) == list(range(60))


def test_condition_wait_gives_up_and_restores_the_recursion_of_an_rlock():
    condition = threading.Condition()

    def wait():
        with condition, condition, condition:
            assert condition.wait(timeout=PATIENCE)
            assert condition._lock._recursion_count() == 3
            assert not condition.wait(timeout=0.01)
            return condition._lock._recursion_count()

    def notify():
        smarm.yield_now()
        with condition:
            condition.notify_all()

    assert run_all(wait, wait, notify, main=notify)[:2] == [3, 3]


def test_the_main_actor_can_wait_on_a_condition():
    condition = threading.Condition()
    ready = []

    def notify():
        with condition:
            ready.append(1)
            condition.notify_all()

    def main():
        with condition, condition:
            handle = smarm.spawn(notify, on="local")
            assert condition.wait_for(lambda: ready, timeout=PATIENCE)
            assert condition._lock._recursion_count() == 2
        handle.join(timeout=PATIENCE)

    smarm.run(main, workers=1)


def test_acquire_restore_refuses_what_release_save_did_not_make():
    def restore():
        for state in (None, (1,), (1, "x"), 5, "ab"):
            with pytest.raises(TypeError):
                threading.RLock()._acquire_restore(state)

    run_all(restore)


def test_event_semaphore_and_barrier_park():
    event = threading.Event()
    semaphore = threading.BoundedSemaphore(3)
    barrier = threading.Barrier(10)
    inside = []
    most = []

    def body():
        assert event.wait(timeout=PATIENCE)
        with semaphore:
            inside.append(1)
            smarm.yield_now()
            most.append(len(inside))
            inside.pop()
        return barrier.wait(timeout=PATIENCE)

    assert sorted(run_all(*[body] * 10, main=event.set)) == list(range(10))
    assert max(most) == 3


def test_queue_carries_items_between_actors():
    items = queue.Queue(maxsize=3)

    def produce():
        for item in range(200):
            items.put(item, timeout=PATIENCE)

    def consume():
        got = []
        while (item := items.get(timeout=PATIENCE)) is not None:
            got.append(item)
        items.put(None)
        return got

    def main():
        consumers = [smarm.spawn(consume, on="local") for _ in range(4)]
        producers = [smarm.spawn(produce, on="local") for _ in range(3)]
        for producer in producers:
            producer.join(timeout=PATIENCE)
        items.put(None)
        return sum((consumer.join(timeout=PATIENCE) for consumer in consumers), [])

    assert sorted(smarm.run(main, workers=1)) == sorted([*range(200)] * 3)


def test_logging_from_many_actors_keeps_lines_whole():
    class Slow(io.StringIO):
        def write(self, text):
            for part in text:
                super().write(part)
                smarm.yield_now()
            return len(text)

    stream = Slow()
    logger = logging.getLogger("smarm.test.locks")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(thread)d %(threadName)s %(message)s"))
    logger.addHandler(handler)

    def talk():
        for number in range(5):
            logger.info("line %d", number)
        return threading.get_ident()

    idents = run_all(*[talk] * 20)
    logger.removeHandler(handler)
    lines = [line.split(" ") for line in stream.getvalue().splitlines()]
    assert len(lines) == 100
    assert {int(line[0]) for line in lines} == set(idents)
    assert all(line[2] == "line" for line in lines)


# ---- actors and threads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_an_actor_waits_for_a_thread_and_a_thread_for_an_actor(make):
    lock = make()
    taken = threading.Event()
    release = threading.Event()

    def hold():
        with lock:
            taken.set()
            assert release.wait(timeout=PATIENCE)

    def main():
        for holder_is_thread in (True, False):
            taken.clear()
            release.clear()
            if holder_is_thread:
                holder = start_thread(hold)
            else:
                holder = smarm.spawn(hold, on="local").join
            assert taken.wait(timeout=PATIENCE)
            assert not lock.acquire(timeout=0.01)
            assert not start_thread(lambda: lock.acquire(timeout=0.01))()
            in_actor = smarm.spawn(lambda: lock.acquire(timeout=PATIENCE) and (lock.release() or True), on="local")
            in_thread = start_thread(lambda: lock.acquire(timeout=PATIENCE) and (lock.release() or True))
            for _ in range(5):
                smarm.yield_now()
            release.set()
            assert in_actor.join(timeout=PATIENCE)
            assert in_thread()
            holder()

    smarm.run(main, workers=1)
    assert lock.acquire(False)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_actors_and_threads_contend_without_starving_each_other(make):
    lock = make()
    inside = []
    stop = threading.Event()

    def contend(pause):
        turns = 0
        while not stop.is_set():
            with lock:
                inside.append(1)
                pause()
                assert len(inside) == 1
                inside.pop()
            turns += 1
        return turns

    def main():
        actors = [smarm.spawn(contend, smarm.yield_now, on="local") for _ in range(5)]
        threads = [start_thread(lambda: contend(lambda: time.sleep(0))) for _ in range(3)]
        smarm.sleep(0.5)
        stop.set()
        return [actor.join(timeout=PATIENCE) for actor in actors] + [thread() for thread in threads]

    turns = smarm.run(main, workers=1)
    assert min(turns) > 0, turns
    assert lock.acquire(False)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_thread_that_sleeps_with_the_lock_does_not_starve_an_actor(make):
    lock = make()
    stop = threading.Event()

    def greedy():
        while not stop.is_set():
            with lock:
                time.sleep(0.002)

    def main():
        thread = start_thread(greedy)
        started = time.monotonic()
        for _ in range(10):
            with lock:
                pass
        stop.set()
        thread()
        return time.monotonic() - started

    assert smarm.run(main, workers=1) < 2


def test_threads_started_by_actors_are_threads(wait_until):
    def body():
        seen = []
        thread = threading.Thread(target=lambda: seen.append(threading.current_thread()))
        thread.start()
        wait_until(lambda: seen)
        assert seen == [thread]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return sum(pool.map(abs, range(-10, 0)))

    assert run_all(*[body] * 5) == [55] * 5


@pytest.mark.parametrize("seed", range(3))
def test_random_mix_of_actors_and_threads(seed):
    """Anything goes: two kinds of locks, recursion, timeouts, threads; the sums tell whether exclusion held."""
    locks = [threading.Lock(), threading.RLock(), threading.RLock()]
    counts = [0] * len(locks)
    expected = [0] * len(locks)

    def visit(index, chance, pause):
        lock = locks[index]
        timeout = chance.choice([-1, -1, 0, 0.0002, 0.002])
        if not lock.acquire(timeout=timeout):
            return
        recursive = index > 0 and chance.random() < 0.3
        if recursive:
            lock.acquire()
        before = counts[index]
        pause()
        counts[index] = before + 1
        expected[index] += 1
        if recursive:
            lock.release()
        lock.release()

    def body(number, pause):
        chance = random.Random(seed * 1000 + number)
        for _ in range(150):
            visit(chance.randrange(len(locks)), chance, pause if chance.random() < 0.7 else lambda: None)

    def main():
        threads = [start_thread(lambda n=n: body(n, lambda: time.sleep(0))) for n in range(3)]
        actors = [smarm.spawn(body, 10 + n, smarm.yield_now, on="local") for n in range(12)]
        body(99, smarm.yield_now)
        for actor in actors:
            actor.join(timeout=PATIENCE)
        for thread in threads:
            thread()

    smarm.run(main, workers=1)
    assert counts == expected
    assert all(lock.acquire(False) for lock in locks)


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
def test_a_wake_up_that_a_killed_actor_does_not_use_goes_to_the_next(make, wait_until_parked):
    lock = make()

    def wait():
        with lock:
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
    ended = []

    def wait():
        with condition:
            try:
                condition.wait()
            finally:
                ended.append(condition._is_owned())

    def main():
        handle = smarm.spawn(wait, on="local")
        wait_until_parked(handle.pid, "a lock")
        with condition:
            for reason in ("one", "two", "three"):
                smarm.exit(handle.pid, reason)
                smarm.yield_now()
            assert not ended
        with pytest.raises(smarm.ActorFailed):
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=1)
    assert ended == [True]


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


# ---- identity --------------------------------------------------------------------------------------------------------


def test_every_actor_has_an_ident_of_its_own():
    def ident():
        mine = threading.get_ident()
        smarm.yield_now()
        assert threading.get_ident() == mine == _thread.get_ident()
        assert threading.get_native_id() == native
        return mine

    native = threading.get_native_id()
    outside = threading.get_ident()
    others = []

    def later():
        others.extend(smarm.spawn(ident, on="local").join(timeout=PATIENCE) for _ in range(100))

    idents = run_all(*[ident] * 100, main=later)
    assert len({outside, *idents, *others}) == 201
    assert all(0 < it < 2**64 for it in idents)


def test_the_main_actor_keeps_the_ident_of_its_thread():
    outside = threading.get_ident()

    def main():
        assert threading.get_ident() == outside
        assert threading.current_thread() is threading.main_thread()

    smarm.run(main, workers=1)
    assert threading.get_ident() == outside


def test_current_thread_and_thread_locals_belong_to_the_actor():
    local = threading.local()
    before = set(threading._active)

    def body():
        thread = threading.current_thread()
        local.value = thread.name
        smarm.yield_now()
        assert threading.current_thread() is thread
        assert local.value == thread.name
        assert thread.is_alive()
        return thread.name

    names = run_all(*[body] * 20)
    assert len(set(names)) == 20
    assert not hasattr(local, "value")
    assert set(threading._active) == before


def test_recursive_repr_is_per_actor():
    import reprlib

    class Pair:
        @reprlib.recursive_repr()
        def __repr__(self):
            smarm.yield_now()
            return f"<{self.other!r}>"

    pair = Pair()
    pair.other = pair
    assert run_all(*[lambda: repr(pair)] * 3) == ["<...>"] * 3


# ---- imports ---------------------------------------------------------------------------------------------------------


class YieldingFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in a dict of sources, yielding at every step as a loader that reads files would."""

    def __init__(self, sources):
        self.sources = {name: textwrap.dedent(source) for name, source in sources.items()}
        self.loaded = []

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources:
            return None
        for _ in range(3):
            smarm.yield_now()
        return importlib.util.spec_from_loader(name, self, is_package=any(other.startswith(name + ".") for other in self.sources))

    def exec_module(self, module):
        self.loaded.append(module.__name__)
        exec(self.sources[module.__name__], module.__dict__)

    @contextlib.contextmanager
    def installed(self):
        sys.meta_path.insert(0, self)
        try:
            yield self
        finally:
            sys.meta_path.remove(self)
            for name in self.sources:
                sys.modules.pop(name, None)


SLOW = "import smarm\nfirst = 1\nfor _ in range(5): smarm.yield_now()\nlast = 2\n"


def test_fifty_actors_import_the_same_fresh_modules():
    sources = {
        "fresh": SLOW + "from fresh.inner import last as inner\n",
        "fresh.inner": SLOW,
        "fresh_friend": SLOW,
        "fresh_user": "import fresh\n" + SLOW + "assert fresh.inner == 2\n",
    }

    def use(number):
        # Not fresh.inner as well: a package and its submodule imported from both ends deadlock in threads, too (before 3.15).
        names = ["fresh", "fresh_user", "fresh_friend"]
        random.Random(number).shuffle(names)
        for name in names:
            module = importlib.import_module(name)
            assert module.last == 2, name

    for _ in range(3):
        with YieldingFinder(sources).installed() as finder:
            run_all(*[lambda number=number: use(number) for number in range(50)])
        assert sorted(finder.loaded) == sorted(sources)


def test_circular_imports_from_two_sides_do_not_deadlock():
    sources = {"left": SLOW + "import right\nend = 1\n", "right": SLOW + "import left\nend = 1\n"}

    def use(name):
        return importlib.import_module(name).first

    with YieldingFinder(sources).installed():
        assert run_all(*[lambda n=n: use(n) for n in ("left", "right") * 5]) == [1] * 10
        assert sys.modules["left"].end == sys.modules["right"].end == 1


def test_a_failed_import_is_tried_by_the_next_actor():
    tries = []
    sources = {"fragile": SLOW + "import builtins\nbuiltins.fragile_tries.append(1)\nassert len(builtins.fragile_tries) > 3\n"}

    def use():
        try:
            return importlib.import_module("fragile").last
        except AssertionError:
            return "failed"

    import builtins

    builtins.fragile_tries = tries
    with YieldingFinder(sources).installed():
        results = run_all(*[use] * 10)
    del builtins.fragile_tries
    assert results.count("failed") == 3
    assert results.count(2) == 7


# ---- other interpreters, what existed before -----------------------------------------------------------------------------

IN_WORKER = """
import smarm, threading, queue
lock, items, order = threading.RLock(), queue.Queue(2), []
def contend(number):
    for _ in range(20):
        with lock:
            order.append(number)
            smarm.yield_now()
            assert order[-1] == number
    items.put(number)
def collect():
    return sorted(items.get(timeout=30) for _ in range(10))
here = smarm.worker_index()
collector = smarm.spawn(collect, on="local")
handles = [smarm.spawn(contend, number, on="local") for number in range(10)]
for handle in handles: handle.join(timeout=30)
assert collector.join(timeout=30) == list(range(10))
assert here == 1
assert threading.get_ident() % 2 == 1
"""


def test_locks_park_in_workers_too():
    def main():
        smarm.spawn(exec, IN_WORKER, {}, on=1).join(timeout=PATIENCE)

    smarm.run(main, workers=2)


BEFORE = """
import threading, smarm
plain, recursive = threading.Lock(), threading.RLock()
acquire, release, ident = plain.acquire, plain.release, threading.get_ident
def with_plain(times, hook, lock):
    for _ in range(times):
        with lock: hook()
def bound(times, hook, lock):
    for _ in range(times): acquire(); hook(); release()
def method(times, hook, lock):
    for _ in range(times): lock.acquire(); hook(); lock.release()
def timed(times, hook, lock):
    for _ in range(times): lock.acquire(timeout=5); hook(); lock.release()
def twice(times, hook, lock):
    for _ in range(times):
        with recursive:
            with recursive: hook()
def saved(times, hook, lock):
    for _ in range(times):
        recursive.acquire()
        state = recursive._release_save()
        recursive._acquire_restore(state)
        hook()
        recursive.release()
def owned(times, hook, lock):
    for _ in range(times):
        recursive.acquire(); assert recursive._is_owned(); hook(); recursive.release()
def who(times):
    seen = set()
    for _ in range(times): seen.add(ident()); seen.add(threading.get_ident())
    return seen
def nothing(): pass
def pause():
    inside.append(1)
    smarm.yield_now()
    assert len(inside) == 1, "two inside"
    inside.pop()
inside = []
functions = [with_plain, bound, method, timed, twice, saved, owned]
for function in functions: function(20000, nothing, plain)
assert len(who(20000)) == 1
def loop(function):
    function(200, pause, plain)
    return who(100)
def main():
    for function in functions:
        handles = [smarm.spawn(loop, function, on="local") for _ in range(3)]
        idents = [handle.join(timeout=20) for handle in handles]
        assert len(set.union(*idents)) == 3, idents
smarm.run(main, workers=1)
print("done")
"""


@pytest.mark.parametrize("jit", ["0", "1"])
def test_code_that_was_hot_before_the_first_run_follows(jit, succeed):
    assert succeed(BEFORE, env={"PYTHON_JIT": jit}) == "done\n"


def test_without_a_runtime_everything_is_as_ever():
    lock = threading.RLock()
    with lock, lock:
        assert lock._recursion_count() == 2
        assert not start_thread(lambda: lock.acquire(timeout=0.01))()
    condition = threading.Condition()
    with condition:
        assert not condition.wait(timeout=0.01)
    future = start_thread(lambda: queue.Queue().get(timeout=0.01))
    with pytest.raises(queue.Empty):
        future()
    assert threading.current_thread() is threading.main_thread()
