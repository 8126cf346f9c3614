"""The Futures of an Executor: what the standard library's promise, and that their two steps without a lock are one."""

from __future__ import annotations

import concurrent.futures
import dis
import threading

import pytest

from smarm.work import future as futures
from smarm.work.future import Future

# Where CPython looks for requests, so that another thread or actor may run: pycore_ceval.h, bytecodes.c (CHECK_PERIODIC).
LOOKS = ("RESUME", "JUMP_BACKWARD", "CALL", "YIELD", "SEND", "FOR_ITER", "INSTRUMENTED", "BINARY_OP", "COMPARE_OP")


def between(function, first, last):
    """Return the instructions from the first load of this attribute to the last store of that one."""
    code = list(dis.get_instructions(function))
    begin = next(i for i, each in enumerate(code) if each.argval == first)
    end = max(i for i, each in enumerate(code) if each.opname == "STORE_ATTR" and each.argval == last)
    return code[begin : end + 1]


@pytest.mark.parametrize(
    ("function", "stores"),
    [(Future.set_running_or_notify_cancel, ["_state"]), (Future.set_result, ["_result", "_state"])],
)
def test_nobody_else_runs_between_the_look_at_the_gate_and_the_new_state(function, stores):
    steps = between(function, "held", "_state")
    assert [each.argval for each in steps if each.opname == "STORE_ATTR"] == stores
    names = [each.opname for each in steps]
    compares = [each for each in steps if each.opname == "COMPARE_OP"]
    assert all("==" in each.argrepr for each in compares), "held == 0: of ints, which runs no code"
    assert not [name for name in names if name.startswith(LOOKS) and name != "COMPARE_OP"], names


def test_who_waits_is_woken_by_the_result():
    future = Future()
    assert future.set_running_or_notify_cancel()
    got = []
    threads = [threading.Thread(target=lambda: got.append(future.result(timeout=60))) for _ in range(5)]
    for thread in threads:
        thread.start()
    while len(future._waiters) < 5:
        pass
    future.set_result(3)
    for thread in threads:
        thread.join()
    assert got == [3] * 5
    assert future._waiters == []


def test_who_waits_is_woken_by_an_exception_and_by_a_cancellation():
    for end, expected in (
        (lambda future: future.set_exception(KeyError(1)), KeyError),
        (Future.cancel, concurrent.futures.CancelledError),
    ):
        future = Future()
        got = []

        def wait(future=future, got=got):
            try:
                future.result(timeout=60)
            except BaseException as error:
                got.append(type(error))

        thread = threading.Thread(target=wait)
        thread.start()
        while not future._waiters:
            pass
        end(future)
        thread.join()
        assert got == [expected]


def test_a_timeout_leaves_nothing_behind():
    future = Future()
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0.001)
    assert future._waiters == []


def test_a_result_that_comes_while_somebody_begins_to_wait_is_not_lost():
    """Over and over: whoever is between its look at the state and its sleep must be seen."""
    for _ in range(300):
        all_futures = [Future() for _ in range(3)]
        for future in all_futures:
            future.set_running_or_notify_cancel()

        def finish(all_futures=all_futures):
            for future in all_futures:
                future.set_result(1)

        thread = threading.Thread(target=finish)
        thread.start()
        done, not_done = concurrent.futures.wait(all_futures, timeout=60)
        assert (len(done), len(not_done)) == (3, 0)
        assert [future.result(timeout=60) for future in all_futures] == [1, 1, 1]
        thread.join()


def test_the_gate_is_free_afterwards():
    assert futures._gate.held == 0


def test_who_gives_up_waiting_for_the_gate_is_not_counted():
    class Refuses:
        def acquire(self):
            raise KeyboardInterrupt

    gate = futures._Gate()
    gate._lock = Refuses()
    with pytest.raises(KeyboardInterrupt):
        gate.acquire()
    assert gate.held == 0
