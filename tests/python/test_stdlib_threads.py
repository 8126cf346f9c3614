"""Thread.join and SimpleQueue.get park the actor, never its worker, in every worker."""

import concurrent.futures
import queue
import threading
import time

import pytest

import smarm


@pytest.fixture(params=["main", 1], ids=["main lane", "another worker"])
def on(request):
    return request.param


def run_on(on, function):
    """Run a module-level function in an actor of that worker, and return its value."""
    return smarm.run(lambda: smarm.spawn(function, on=on).join(timeout=60), workers=2)


def simple_queue():
    items = queue.SimpleQueue()
    seen = []
    getters = [smarm.spawn(lambda n=n: seen.append((n, items.get())), on="local") for n in range(3)]
    for getter in getters:
        wait_until_parked(getter.pid)
    for item in "abc":
        items.put(item)
    smarm.join_all(getters)
    return seen


def wait_until_parked(pid):
    while smarm.process_info(pid).state != "parked":
        smarm.yield_now()


def test_get_parks_and_items_go_to_the_waiting_in_order(on):
    assert run_on(on, simple_queue) == [(0, "a"), (1, "b"), (2, "c")]


def item_of_a_thread():
    items = queue.SimpleQueue()
    getter = smarm.spawn(items.get, on="local")
    wait_until_parked(getter.pid)
    thread = threading.Thread(target=items.put, args=("from a thread",))
    thread.start()
    value = getter.join()
    thread.join()
    return value


def test_a_thread_s_item_wakes_an_actor(on):
    assert run_on(on, item_of_a_thread) == "from a thread"


def test_an_actor_s_item_wakes_a_thread():
    def main():
        items, answers = queue.SimpleQueue(), queue.SimpleQueue()
        thread = threading.Thread(target=lambda: answers.put(items.get() + 1))
        thread.start()
        items.put(1)
        value = answers.get()
        thread.join()
        return value

    assert smarm.run(main, workers=1) == 2


def test_get_without_waiting_and_with_a_timeout_is_as_before():
    def main():
        items = queue.SimpleQueue()
        for call in (
            lambda: items.get(False),
            lambda: items.get(block=False),
            lambda: items.get_nowait(),
            lambda: items.get(timeout=0.001),
            lambda: items.get(True, 0.001),
            lambda: items.get(timeout=0),
        ):
            with pytest.raises(queue.Empty):
                call()
        with pytest.raises(ValueError, match="non-negative"):
            items.get(timeout=-1)
        with pytest.raises(TypeError):
            items.get(timeout="soon")
        with pytest.raises(TypeError):
            items.get(1, 2, 3)
        items.put(1)
        assert items.get(timeout=float("inf")) == 1
        assert items.empty()

    smarm.run(main, workers=1)


def test_get_of_a_subclass_parks_too():
    class Mine(queue.SimpleQueue):
        pass

    def main():
        items = Mine()
        getter = smarm.spawn(items.get)
        wait_until_parked(getter.pid)
        items.put(7)
        return getter.join()

    assert smarm.run(main, workers=1) == 7


def test_an_actor_that_is_stopped_while_it_waits_loses_no_item():
    def main():
        items = queue.SimpleQueue()
        first, second = smarm.spawn(items.get), smarm.spawn(items.get)
        wait_until_parked(second.pid)
        items.put("an item")  # wakes the first, which is killed before its turn: it has the item, or the second gets it
        smarm.exit(first.pid, "enough")
        items.put("another")
        got = [second.join()]
        try:
            got.append(first.join())
        except smarm.ActorKilled:
            got.append(items.get())
        return sorted(got)

    assert smarm.run(main, workers=1) == ["an item", "another"]


def test_many_actors_and_threads_share_a_queue():
    def main():
        items = queue.SimpleQueue()
        results = queue.SimpleQueue()

        def work():
            while (item := items.get()) is not None:
                results.put(item)

        actors = [smarm.spawn(work) for _ in range(4)]
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(500):
            items.put(number)
        for _ in range(6):
            items.put(None)
        smarm.join_all(actors)
        for thread in threads:
            thread.join()
        return sorted(results.get() for _ in range(500))

    assert smarm.run(main, workers=1) == list(range(500))


def test_an_executor_works_inside_an_actor():
    def main():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(pow, 2, n) for n in range(20)]
            return [future.result() for future in futures]

    assert smarm.run(main, workers=1) == [2**n for n in range(20)]


def join_beside_others():
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    smarm.spawn(go.set, on="local")  # runs only if join gives the worker away
    thread.join()
    thread.join()
    return thread.is_alive()


def test_join_parks(on):
    assert run_on(on, join_beside_others) is False


def test_join_with_a_timeout():
    def main():
        go = threading.Event()
        thread = threading.Thread(target=go.wait)
        thread.start()
        began = time.monotonic()
        thread.join(timeout=0.01)
        assert thread.is_alive()
        assert time.monotonic() - began >= 0.01
        thread.join(timeout=-1)
        thread.join(timeout=0)
        go.set()
        thread.join(timeout=1e6)
        return thread.is_alive()

    assert smarm.run(main, workers=1) is False


def test_an_actor_that_is_stopped_leaves_its_join():
    def main():
        go = threading.Event()
        thread = threading.Thread(target=go.wait)
        thread.start()
        joiner = smarm.spawn(thread.join)
        wait_until_parked(joiner.pid)
        smarm.exit(joiner.pid, "enough")
        with pytest.raises(smarm.ActorKilled):
            joiner.join()
        go.set()
        thread.join()

    smarm.run(main, workers=1)


def test_without_actors_everything_is_as_ever():
    smarm.run(lambda: None, workers=1)
    items = queue.SimpleQueue()
    thread = threading.Thread(target=items.put, args=(1,))
    thread.start()
    assert items.get() == 1
    thread.join()


def joins_of_many_threads():
    """Return whether the pool was free although more actors join threads than it has threads."""
    go_on = threading.Event()
    threads = [threading.Thread(target=go_on.wait) for _ in range(40)]
    for thread in threads:
        thread.start()
    joiners = [smarm.spawn(thread.join, on="local") for thread in threads]
    for joiner in joiners:
        wait_until_parked(joiner.pid)
    free = smarm.block_on_io(lambda: True, timeout=60)
    calls = smarm.statistics().workers[smarm.worker_index()].blocking.running
    go_on.set()
    smarm.join_all(joiners, timeout=60)
    return free, calls, [thread.is_alive() for thread in threads] == [False] * 40


def test_joins_take_no_thread_of_the_pool(on):
    assert run_on(on, joins_of_many_threads) == (True, 0, True)


def test_a_thread_from_before_the_runtime_can_be_joined():
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait)
    thread.start()

    def main():
        joiner = smarm.spawn(thread.join)
        wait_until_parked(joiner.pid)
        go_on.set()
        joiner.join(timeout=60)
        return thread.is_alive()

    assert smarm.run(main, workers=1) is False


def test_a_join_with_a_timeout_gives_up_and_can_be_repeated():
    def main():
        go_on = threading.Event()
        thread = threading.Thread(target=go_on.wait)
        thread.start()
        for timeout in (0.001, 0, -1):
            thread.join(timeout)
            assert thread.is_alive()
        go_on.set()
        thread.join(timeout=1e6)
        assert not thread.is_alive()
        thread.join()

    smarm.run(main, workers=1)


def test_a_thread_that_fails_is_joined_and_one_s_own_is_not():
    def main():
        caught = []
        thread = threading.Thread(target=lambda: 1 / 0)
        threading.excepthook, before = caught.append, threading.excepthook
        try:
            thread.start()
            thread.join()
        finally:
            threading.excepthook = before
        assert [it.exc_type for it in caught] == [ZeroDivisionError]
        with pytest.raises(RuntimeError, match="before it is started"):
            threading.Thread().join()

    smarm.run(main, workers=1)


def test_a_thread_whose_last_destructor_takes_its_time_is_waited_for():
    class Late:
        def __init__(self, ended):
            self.ended = ended

        def __del__(self):
            time.sleep(0.05)
            self.ended.append(True)

    def main():
        ended, local = [], threading.local()

        def work():
            local.late = Late(ended)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return ended

    assert smarm.run(main, workers=1) == [True]


@pytest.mark.parametrize("runs", [1, 2], ids=["once", "in a second run, too"])
def test_a_thread_for_which_nobody_waits_ends_no_process(succeed, runs):
    out = succeed(
        """
        import _thread, sys, time
        import smarm

        def wait(lock):
            lock.acquire()

        def look(lock):
            while not lock.acquire(False):
                time.sleep(0.001)

        def start():
            for function in (wait, look):
                lock = _thread.allocate_lock()
                lock.acquire()
                _thread.start_new_thread(function, (lock,))

        def main():
            smarm.spawn(start, on=1).join()

        if __name__ == "__main__":
            for _ in range(int(sys.argv[1])):
                smarm.run(main, workers=2)
            print("ended")
        """,
        str(runs),
    )
    assert out == "ended\n"
