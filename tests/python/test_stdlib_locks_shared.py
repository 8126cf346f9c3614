"""What is built on locks, and locks that actors share with threads, workers and code from before the runtime."""

from __future__ import annotations

import concurrent.futures
import io
import logging
import queue
import random
import threading
import time

import pytest
from locks_helpers import PATIENCE, run_all, start_thread

import smarm

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
    assert sorted(item for got in results[:3] for item in got) == list(range(60))


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
        return [item for consumer in consumers for item in consumer.join(timeout=PATIENCE)]

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
            holder = start_thread(hold) if holder_is_thread else smarm.spawn(hold, on="local").join
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

    assert smarm.run(main, workers=1) < 10


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


# ---- other interpreters, what existed before -------------------------------------------------------------------------


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
