"""What is requested of an actor that runs an asyncio loop by ``run_until_complete`` itself, not by ``asyncio.run``.

The exception would come out of the loop with the coroutine left where it is, and nobody to cancel it.  So it is cancelled first, and
the exception raised where the loop is left.  Where an asyncio has not what is used here, ``give`` refuses, and it is raised at once.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any


def give(exception: BaseException) -> bool:
    """Cancel what the running loop of this actor runs; raise the exception when that has ended.  False: not here."""
    if isinstance(exception, KeyboardInterrupt):  # as under python
        return False
    frame = _run_until_complete()
    if frame is None:
        return False
    loop: Any = frame.f_locals["self"]
    future: Any = frame.f_locals["future"]

    def leave() -> None:
        del loop._run_forever_cleanup
        loop._run_forever_cleanup()
        raise exception

    loop._run_forever_cleanup = leave
    loop.call_soon_threadsafe(future.cancel)  # which ends the wait, too
    return True


def _run_until_complete() -> types.FrameType | None:
    """Return the frame of the loop whose wait calls this; None: of another kind, or it is asyncio.Runner's, which cancels by itself."""
    events: Any = sys.modules.get("asyncio.base_events")
    loop: Any = getattr(events, "BaseEventLoop", None)
    if not hasattr(loop, "_run_forever_cleanup"):
        return None
    frame: types.FrameType | None = sys._getframe(3)  # beyond give() and select(): see _run_once
    for name in ("_run_once", "run_forever"):
        if frame is None or frame.f_code is not getattr(loop, name).__code__:
            return None
        frame = frame.f_back
    if frame is None or frame.f_code is not loop.run_until_complete.__code__:
        return None
    caller = frame.f_back
    return None if caller is not None and caller.f_globals.get("__name__") == "asyncio.runners" else frame
