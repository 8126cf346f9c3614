"""Where an exception that was raised in an actor from outside can end without anybody's having caught it.

There it is armed again, silently; and a child of asyncio that is never started is not waited for without end.  ``watch`` puts functions
of its own in these places, once they exist: it is called before each such exception, since programs replace hooks and import modules
when they like.
"""

from __future__ import annotations

import sys

from smarm import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Callable
    from typing import Any


def watch() -> None:
    """Watch what there is now.  Returns soon; raises nothing that matters."""
    if not isinstance(sys.unraisablehook, _Hook):
        sys.unraisablehook = _Hook(sys.unraisablehook, "exc_value")
    modules = sys.modules
    threading: Any = modules.get("threading")
    if threading is not None and not isinstance(getattr(threading, "excepthook", None), _Hook):
        threading.excepthook = _Hook(threading.excepthook, "exc_value")
    futures = modules.get("concurrent.futures._base")
    if futures is not None and hasattr(futures, "Future"):
        _watch_method(futures.Future, "set_exception", _set_exception)
    events = modules.get("asyncio.base_events")
    if events is not None and hasattr(events, "BaseEventLoop"):
        _watch_method(events.BaseEventLoop, "call_exception_handler", _call_exception_handler)
        _watch_task(modules["asyncio"])
    processes = modules.get("asyncio.base_subprocess")
    if processes is not None and hasattr(processes, "BaseSubprocessTransport"):
        _watch_method(processes.BaseSubprocessTransport, "_process_exited", _process_exited)


class _Hook:
    """A hook for exceptions that arms what it can again, and leaves the rest to the hook before it."""

    def __init__(self, previous: Callable[[Any], Any], field: str) -> None:
        self.__wrapped__ = previous
        self._field = field

    def __call__(self, arguments: Any, /) -> Any:
        if _core._arm_again(getattr(arguments, self._field, None)):
            return None
        return self.__wrapped__(arguments)


def _watch_method(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    """Have the method be called by ``wrapper(original, self, *arguments)``, once however often this is asked for."""
    original = owner.__dict__.get(name)
    if original is None or hasattr(original, "_smarm_watched"):
        return

    def method(self: Any, *arguments: Any) -> Any:
        return wrapper(original, self, *arguments)

    method.__name__, method.__qualname__, method.__doc__ = name, original.__qualname__, original.__doc__
    method._smarm_watched = True  # type: ignore[attr-defined]
    setattr(owner, name, method)


def _set_exception(original: Callable[..., Any], future: Any, exception: BaseException) -> Any:
    _core._arm_again(exception)
    return original(future, exception)


def _call_exception_handler(original: Callable[..., Any], loop: Any, context: dict[str, Any]) -> Any:
    if not _core._arm_again(context.get("exception")):
        original(loop, context)


def _process_exited(original: Callable[..., Any], transport: Any, code: int) -> None:
    """Have asyncio end a child whose start is cancelled together with the task that waits for it: 3.13.0 waits for ever."""
    original(transport, code)
    waiters = transport._exit_waiters
    if waiters and transport._pending_calls is not None:  # its pipes are not connected, and may never be
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(code)
        waiters.clear()  # who asks now is told at once


def _watch_task(asyncio: types.ModuleType) -> None:
    """Look at the running task, which is about to be left by the exception, when it ends."""
    loop = asyncio._get_running_loop()
    task = asyncio.current_task(loop) if loop is not None else None
    if task is not None and _look_at_end not in (callback for callback, _ in (getattr(task, "_callbacks", None) or ())):
        task.add_done_callback(_look_at_end)


def _look_at_end(task: Any) -> None:
    # Called after whoever awaits it, who has taken the exception then.
    if not getattr(task, "_log_traceback", False) or task.cancelled():
        return
    exception = task.exception()  # marks it as taken
    if not _core._arm_again(exception):
        task._log_traceback = True
