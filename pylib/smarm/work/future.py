"""The Futures of an Executor: those of concurrent.futures at a fraction of the price, which matters where a task takes a microsecond.

A Future of the standard library has a Condition of its own, and takes its lock four times in its life.  Here all of an interpreter
share one Gate, and the manager takes it only where somebody else has to do with this Future: waits for it, or holds the gate.

Without the lock, looking whether that is so and changing the state must be one step for all other threads and actors.  It is: they
run only where the interpreter looks for requests, at calls, at the beginning of functions and at the end of loops; and the lines
between a `SAFETY` and its state have none of these, which test_future.py looks up in their bytecode.
"""

from __future__ import annotations

import threading
from concurrent import futures
from concurrent.futures import _base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PENDING, _RUNNING, _FINISHED = _base.PENDING, _base.RUNNING, _base.FINISHED
_CANCELLED = (_base.CANCELLED, _base.CANCELLED_AND_NOTIFIED)


class _Gate:
    """Stands for the Condition of every Future: ``wait``, ``as_completed`` and ``add_done_callback`` take it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.held = 0  # by how many, those included that wait for it

    def acquire(self) -> bool:
        self.held += 1
        try:
            return self._lock.acquire()
        except BaseException:
            self.held -= 1
            raise

    def release(self) -> None:
        self._lock.release()
        self.held -= 1

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def notify_all(self) -> None:
        """Nobody waits for the gate: result() and exception() have waiters of their own."""


_gate = _Gate()


class _Waiter:
    """One caller of result() or exception(); in the Future's list, as those of ``concurrent.futures.wait`` are."""

    def __init__(self) -> None:
        self._wakes = threading.Lock()
        self._wakes.acquire()

    def wait(self, timeout: float | None) -> None:
        self._wakes.acquire(timeout=-1 if timeout is None else max(0.0, min(timeout, threading.TIMEOUT_MAX)))

    def add_result(self, future: Future) -> None:
        self._wakes.release()

    add_exception = add_cancelled = add_result


class Future(futures.Future):  # type: ignore[type-arg]
    """What became of a call, or will."""

    _condition: Any = _gate
    _state = _PENDING
    _result: Any = None
    _exception: BaseException | None = None

    def __init__(self) -> None:
        self._waiters: list[Any] = []
        self._done_callbacks: list[Any] = []

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the call and return its value, or raise what it raised; TimeoutError, CancelledError."""
        if self._state is not _FINISHED:
            self._wait(timeout)
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                del self  # no cycle through the traceback
        return self._result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call and return what it raised, or None; raises TimeoutError, CancelledError."""
        if self._state is not _FINISHED:
            self._wait(timeout)
        return self._exception

    def _wait(self, timeout: float | None) -> None:
        waiter = None
        with _gate:
            if self._state in (_PENDING, _RUNNING):
                waiter = _Waiter()
                self._waiters.append(waiter)
        if waiter is not None:
            try:
                waiter.wait(timeout)
            finally:
                with _gate:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)
        if self._state in _CANCELLED:
            raise futures.CancelledError
        if self._state is not _FINISHED:
            raise TimeoutError

    def cancel(self) -> bool:
        """Cancel the call if it has not begun; return whether it is cancelled."""
        if not super().cancel():
            return False
        with _gate:
            for waiter in [waiter for waiter in self._waiters if isinstance(waiter, _Waiter)]:
                self._waiters.remove(waiter)
                waiter.add_cancelled(self)
        return True

    def set_running_or_notify_cancel(self) -> bool:
        """For the manager: whether the call is to run."""
        # SAFETY: see above.
        if _gate.held == 0 and self._state is _PENDING:
            self._state = _RUNNING
            return True
        return super().set_running_or_notify_cancel()

    def set_result(self, result: Any) -> None:
        """For the manager: the call has returned."""
        # SAFETY: see above.  What _result had before is None.
        if _gate.held == 0 and self._state is _RUNNING and not self._waiters:
            self._result = result
            self._state = _FINISHED
        else:
            self._set_result_under_lock(result)
        if self._done_callbacks:
            self._invoke_callbacks()  # type: ignore[attr-defined]

    def _set_result_under_lock(self, result: Any) -> None:
        with _gate:
            if self._state in _CANCELLED or self._state is _FINISHED:
                raise futures.InvalidStateError(f"{self._state}: {self!r}")
            self._result = result
            self._state = _FINISHED
            for waiter in self._waiters:
                waiter.add_result(self)
