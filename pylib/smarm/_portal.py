"""Portals: how threads that run no actor, and asyncio code, reach the actors of the running runtime."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from smarm import _core
from smarm._errors import NoRuntime, Timeout

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from smarm._core import Pid, _OutsideHandle


class PortalTask[Result]:
    """An actor that a portal spawned: ``task.result(timeout)`` from a thread, ``await task`` in asyncio."""

    __slots__ = ("_handle",)

    def __init__(self, handle: _OutsideHandle) -> None:
        self._handle = handle

    def __repr__(self) -> str:
        return f"<smarm.PortalTask of {self.pid}, {'ended' if self.done() else 'running'}>"

    @property
    def pid(self) -> Pid:
        """The actor's Pid."""
        return self._handle.pid

    def done(self) -> bool:
        """Return whether the actor has ended."""
        return self._handle.done

    def result(self, timeout: float | None = None) -> Result:
        """Wait until the actor has ended and return its value; again and again the same.

        Blocks the thread, or parks the calling actor.  Raises as ``JoinHandle.join``, and NoRuntime when the runtime
        ended without the actor.
        """
        if not self._handle.wait(timeout):
            raise Timeout("the actor did not end before the timeout")
        value: Result = self._handle.outcome()
        return value

    def __await__(self) -> Generator[Any, None, Result]:
        """Wait in an asyncio loop, as ``result``.  Cancelling that leaves the actor alone."""
        yield from _wait(self._handle).__await__()
        value: Result = self._handle.outcome()
        return value


class Portal:
    """Leads from any thread to the runtime.  Thread-safe.

    It belongs to the runtime that runs when it is made or, made before, when it is first used; when that has ended,
    everything raises NoRuntime.  In an actor, the methods do what smarm's functions do.
    """

    __slots__ = ("_run",)

    def __init__(self) -> None:
        self._run = _core._portal_run()

    def __repr__(self) -> str:
        return f"<smarm.Portal, {'open' if self.running else 'closed'}>"

    @property
    def running(self) -> bool:
        """Whether the runtime is there, now."""
        now = _core._portal_run()
        return now != 0 and self._run in (0, now)

    def send(self, pid: Pid | str, message: object, /) -> None:
        """Put a message into an actor's mailbox, as ``smarm.send``; never waits.

        Raises NoRuntime, NotRegistered, NotSendable, MailboxFull.
        """
        if _core.worker_index() is not None:
            _core.send(pid, message)
        else:
            _core._portal_send(self._number(), pid, message)

    def call(self, pid: Pid | str, request: object, /, timeout: float | None = 5.0) -> Any:
        """Send a Call to an actor and return its answer, as ``smarm.call``.  Blocks the thread.

        Raises NoRuntime, ProcessDown, Timeout, NotRegistered, NotSendable, MailboxFull.
        """
        if _core.worker_index() is not None:
            return _core.call(pid, request, timeout=timeout)
        handle = self._start_call(pid, request, timeout)
        if not handle.wait(timeout):
            self._give_up(handle)
        return _answer_of(handle)

    async def call_async(self, pid: Pid | str, request: object, /, timeout: float | None = 5.0) -> Any:
        """Do as ``call``, in an asyncio loop.  Cancelling it gives the call up: a late answer is dropped."""
        import asyncio  # here: the workers, which import this module for _call, need none

        handle = self._start_call(pid, request, timeout)
        try:
            async with asyncio.timeout(timeout):
                await _wait(handle)
        except TimeoutError:
            self._give_up(handle)
        finally:
            if not handle.done:
                _core._portal_kill(self._number(), handle.pid)
        return _answer_of(handle)

    def spawn[Result](self, function: Callable[..., Result], /, *args: Any, **options: Any) -> PortalTask[Result]:
        """Start an actor that runs ``function(*args)``, as ``smarm.spawn``, and return its PortalTask.

        ``function`` is found by its name on the worker, as for any spawn that is not local.  The options are those of
        ``smarm.spawn`` without ``link`` and ``monitor``; ``on="local"`` has no meaning here.  Raises NoRuntime, TypeError,
        ConfigError, NotSendable, ImportError for what workers cannot load.
        """
        if options.get("on") in (None, "spread"):
            from smarm.extensions import _trial

            _trial.check(function, args, self._try_to_load)
        return PortalTask(_core._portal_spawn(self._number(), None, function, *args, **options))

    def _try_to_load(self, module: str) -> str | None:
        from smarm._errors import SmarmError
        from smarm.extensions import _trial

        try:
            task: PortalTask[str | None] = PortalTask(
                _core._portal_spawn(self._number(), None, _trial.load, module, on=1, name="trial load")
            )
            return task.result()
        except SmarmError:  # there is one worker, say: that is for the actor to find out
            return None

    def _number(self) -> int:
        if self._run == 0:
            self._run = _core._portal_run()
        return self._run

    def _start_call(self, pid: Pid | str, request: object, timeout: float | None) -> _OutsideHandle:
        return _core._portal_spawn(self._number(), pid, _call, pid, request, timeout, name="portal call")

    def _give_up(self, handle: _OutsideHandle) -> None:
        _core._portal_kill(self._number(), handle.pid)
        raise Timeout("no answer came before the timeout")


def portal() -> Portal:
    """Return a Portal, for threads that run no actor and for asyncio code."""
    return Portal()


# ---- calls: an actor on the side of the called one makes them --------------------------------------------------------


def _call(pid: Pid | str, request: object, timeout: float | None) -> tuple[bool, Any]:
    try:
        return True, _core.call(pid, request, timeout=timeout)
    except Exception as error:  # all of them are the caller's business
        return False, error


def _answer_of(handle: _OutsideHandle) -> Any:
    from smarm._errors import ActorKilled

    try:
        answered, value = handle.outcome()
    except ActorKilled as error:
        raise NoRuntime("the runtime ended before an answer came") from error
    if answered:
        return value
    raise value


# ---- asyncio ---------------------------------------------------------------------------------------------------------


class _Bell:
    """One loop's eventfd, which the ends of actors ring; there while somebody waits."""

    __slots__ = ("_fd", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[asyncio.Future[None], _OutsideHandle] = {}
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.add_reader(self._fd, self._ring)

    def _ring(self) -> None:
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            return
        for future, handle in self._waiting.items():
            if handle.done and not future.done():
                future.set_result(None)

    async def wait(self, handle: _OutsideHandle) -> None:
        future = self._loop.create_future()
        self._waiting[future] = handle
        try:
            if handle.ring(self._fd):
                await future
        finally:
            handle.ring(-1)
            del self._waiting[future]
            if not self._waiting:
                del _bells[self._loop]
                self._loop.remove_reader(self._fd)
                os.close(self._fd)


_bells: dict[asyncio.AbstractEventLoop, _Bell] = {}


async def _wait(handle: _OutsideHandle) -> None:
    import asyncio

    if handle.done:
        return
    loop = asyncio.get_running_loop()
    bell = _bells.get(loop)
    if bell is None:
        bell = _bells[loop] = _Bell(loop)
    await bell.wait(handle)
