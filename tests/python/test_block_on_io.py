"""block_on_io: blocking calls on threads of their own."""

from __future__ import annotations

import contextvars
import math
import os
import threading
import time

import pytest

import smarm

CALL = "a blocking call"


class Gate:
    """Holds calls on pool threads until it is opened; an ordinary lock would park the actors, too."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        self.entered = 0

    def wait(self, value=None):
        self.entered += 1
        os.read(self.reading, 1)
        return value

    def open(self, count=1):
        os.write(self.writing, b"x" * count)

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.close()


def blocking():
    return smarm.statistics().workers[0].blocking


def test_the_call_runs_on_another_thread_and_its_value_is_the_object_itself(alone):
    def main():
        value = object()
        thread = smarm.block_on_io(threading.get_native_id)
        assert thread != threading.get_native_id()
        assert smarm.block_on_io(lambda it: it, value) is value
        assert smarm.block_on_io(max, 1, 3, 2) == 3

    alone(main)


def test_other_actors_run_meanwhile(alone, gate, wait_until_parked):
    def main():
        caller = smarm.spawn(lambda: smarm.block_on_io(gate.wait, "done"))
        wait_until_parked(caller.pid)
        gate.open()
        return caller.join()

    assert alone(main) == "done"


def test_an_exception_travels_as_it_is(alone):
    class Odd(Exception):
        pass

    error = Odd("x")

    def fail():
        raise error

    def main():
        with pytest.raises(Odd) as caught:
            smarm.block_on_io(fail)
        assert caught.value is error
        assert [entry.name for entry in caught.traceback][-1] == "fail"
        for ending in (SystemExit(3), KeyboardInterrupt()):
            with pytest.raises(type(ending)):
                smarm.block_on_io(lambda ending=ending: (_ for _ in ()).throw(ending))

    alone(main)


def test_context_variables_go_in_and_stay_in(alone):
    variable = contextvars.ContextVar("variable", default=0)

    def read_and_set():
        seen = variable.get()
        variable.set(2)
        return seen

    def main():
        variable.set(1)
        assert smarm.block_on_io(read_and_set) == 1
        assert variable.get() == 1

    alone(main)


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_a_call_that_takes_too_long_is_given_up(alone, gate, timeout, wait_until):
    results = []

    def main():
        before = blocking().given_up
        with pytest.raises(smarm.Timeout):
            smarm.block_on_io(lambda: results.append(gate.wait()), timeout=timeout)
        assert blocking().given_up == before + 1
        gate.open()
        wait_until(lambda: blocking().running == 0)
        assert smarm.block_on_io(int, "7", timeout=None) == 7

    alone(main)


def test_an_actor_that_is_stopped_gives_its_call_up(alone, gate, wait_until, wait_until_parked):
    def main():
        caller = smarm.spawn(lambda: smarm.block_on_io(gate.wait))
        wait_until(lambda: gate.entered == 1)
        smarm.kill(caller.pid)
        with pytest.raises(smarm.ActorKilled):
            caller.join()
        gate.open()
        wait_until(lambda: blocking().running == 0)

    alone(main)


def test_the_pool_is_bounded_and_the_rest_queues(alone, gate, wait_until):
    def main():
        most = blocking().most_threads
        callers = [smarm.spawn(lambda i=i: smarm.block_on_io(gate.wait, i)) for i in range(most + 8)]
        wait_until(lambda: gate.entered == most and blocking().queued == 8)
        assert (blocking().threads, blocking().running) == (most, most)
        smarm.kill(callers[-1].pid)  # a call that has not begun is taken back
        with pytest.raises(smarm.ActorKilled):
            callers[-1].join()
        assert blocking().queued == 7
        gate.open(most + 7)
        assert [caller.join() for caller in callers[:-1]] == list(range(most + 7))
        assert gate.entered == most + 7

    alone(main)


def test_threads_are_used_again(alone):
    def main():
        before = blocking()
        for _ in range(100):
            smarm.block_on_io(int)
        assert blocking().calls == before.calls + 100
        assert blocking().threads <= max(1, before.threads)  # those of earlier tests are used again, too

    alone(main)


def call_elsewhere():
    return smarm.block_on_io(lambda: [1, 2]), smarm.worker_index()


def test_each_worker_has_its_own_threads():
    def main():
        return smarm.spawn(call_elsewhere, on=1).join()

    assert smarm.run(main, workers=2) == ([1, 2], 1)


def test_a_call_is_no_actor(alone):
    def main():
        with pytest.raises(smarm.NoRuntime):
            smarm.block_on_io(smarm.self)
        with pytest.raises(smarm.NoRuntime):
            smarm.block_on_io(smarm.block_on_io, int)

    alone(main)


def test_locks_exclude_actors_and_calls(alone):
    lock = threading.Lock()
    log = []

    def main():
        with lock:
            caller = smarm.spawn(lambda: smarm.block_on_io(lambda: lock.acquire() and log.append("call")))
            while not smarm.statistics().workers[0].blocking.running:
                smarm.yield_now()
            log.append("actor")
        caller.join()
        lock.release()

    alone(main)
    assert log == ["actor", "call"]


def test_wrong_arguments(alone):
    def main():
        for wrong in ((), (1,)):
            with pytest.raises(TypeError, match="needs the function"):
                smarm.block_on_io(*wrong)
        with pytest.raises(TypeError, match="unexpected keyword argument 'key'"):
            smarm.block_on_io(int, key=1)
        for timeout in (-1, math.nan):
            with pytest.raises(ValueError, match="0 or more"):
                smarm.block_on_io(int, timeout=timeout)
        with pytest.raises(TypeError):
            smarm.block_on_io(int, timeout="1")

    alone(main)
    with pytest.raises(smarm.NoRuntime):
        smarm.block_on_io(int)


def test_a_call_that_never_returns_is_left_behind(run_app):
    result = run_app(
        """
        import os, smarm
        def main():
            reading, _ = os.pipe()
            begun = []
            def wait():
                begun.append(True)
                os.read(reading, 1)
            while not begun:  # what has not begun is left out
                try:
                    smarm.block_on_io(wait, timeout=0.01)
                except smarm.Timeout:
                    pass
            print("gave up")
        smarm.run(main, workers=1, shutdown_timeout=0.1)
        print("end")
        """
    )
    assert (result.code, result.out) == (0, "gave up\nend\n")
    assert "left 1 blocking call behind" in result.err


# ---- time.sleep ------------------------------------------------------------------------------------------------------


def test_sleeping_parks_the_actor(alone, wait_until_parked):
    def main():
        sleeper = smarm.spawn(lambda: time.sleep(1e6))
        wait_until_parked(sleeper.pid)
        smarm.kill(sleeper.pid)
        with pytest.raises(smarm.ActorKilled):
            sleeper.join()
        before = time.monotonic()
        time.sleep(0.01)
        assert time.monotonic() - before >= 0.01
        time.sleep(0)

    alone(main)


def test_what_sleep_refuses_is_as_before(alone):
    def refusals():
        found = []
        for wrong in (-1, math.nan, math.inf, 10**400, "1", None):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
                time.sleep(wrong)
            found.append((caught.type, str(caught.value)))
        return found

    assert alone(refusals) == refusals()


def test_sleep_outside_of_actors_blocks_as_before():
    before = time.monotonic()
    time.sleep(0.01)
    assert time.monotonic() - before >= 0.01
