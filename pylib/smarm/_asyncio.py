"""What is requested of an actor that runs an asyncio loop goes to what ``run_until_complete`` runs, which ``asyncio.run`` calls, too.

The exception would come out of the loop's wait with all tasks left where they are.  So that one is cancelled first, as for Ctrl-C under
``asyncio.run``, and the exception raised where the loop is left.  Where an asyncio has not what is used here, ``give`` refuses, and it is
raised at once; so it is where the program called ``run_forever``.
"""

from __future__ import annotations

import sys

from smarm import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any


def give(exception: BaseException) -> bool | None:
    """Cancel what the running loop of this actor runs; raise the exception when that has ended.

    None: it has ended, and the exception is requested again, for after its result was returned.  False: not here.
    """
    if isinstance(exception, KeyboardInterrupt):  # as under python
        return False
    frame = _run_until_complete()
    if frame is None:
        return False
    loop: Any = frame.f_locals["self"]
    future: Any = frame.f_locals["future"]
    if future.done():
        _core._arm_again(exception)
        return None
    leave = vars(loop).get("_run_forever_cleanup")
    if not isinstance(leave, _Leave):
        leave = loop._run_forever_cleanup = _Leave(loop, future)
    leave.exceptions.append(exception)
    loop.call_soon_threadsafe(leave.cancel)  # which ends the wait, too
    return True


class _Leave:
    """Stands for a loop's ``_run_forever_cleanup``, and raises what the loop was given after it."""

    def __init__(self, loop: Any, future: Any) -> None:
        self._loop, self._future = loop, future
        self._handled = sys.exception()
        self._cancelled = False
        self.exceptions: list[BaseException] = []

    def cancel(self) -> None:
        if self._future.cancel():
            self._cancelled = True

    def __call__(self) -> None:
        loop, future = self._loop, self._future
        del loop._run_forever_cleanup
        loop._run_forever_cleanup()
        if sys.exception() is not self._handled:  # another one leaves the loop
            return
        if future.done() and not future.cancelled() and future.exception() is not None:  # what its clean-up has raised
            return
        if self._cancelled:
            last = self.exceptions.pop()
        for exception in self.exceptions:  # overtaken by the last one, or by the end of what the loop runs
            _core._arm_again(exception)
        if self._cancelled:
            raise last


def _run_until_complete() -> types.FrameType | None:
    """Return the frame of the loop whose wait calls the caller; None: a loop of another kind, or under another call."""
    events: Any = sys.modules.get("asyncio.base_events")
    loop: Any = getattr(events, "BaseEventLoop", None)
    if not hasattr(loop, "_run_forever_cleanup"):
        return None
    frame: types.FrameType | None = sys._getframe(3)  # beyond the caller and select(): see _run_once
    for name in ("_run_once", "run_forever", "run_until_complete"):
        if frame is None or frame.f_code is not getattr(loop, name).__code__:
            return None
        if name != "run_until_complete":
            frame = frame.f_back
    return frame
