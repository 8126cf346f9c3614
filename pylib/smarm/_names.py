"""Looking for a name, and waiting for it."""

from __future__ import annotations

from smarm import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import overload

    from smarm._core import Pid
else:  # typing takes longer to import than all of smarm

    def overload(function):
        return function


_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.02
_NO_WAIT = float("-inf")


@overload
def whereis(name: str, /) -> Pid | None: ...
@overload
def whereis(name: str, /, *, timeout: float | None) -> Pid: ...  # noqa: F811
def whereis(name: str, /, *, timeout: float | None = _NO_WAIT) -> Pid | None:  # noqa: F811
    """Return the Pid of the actor with that name, or None.

    With ``timeout`` (seconds; None: any time) park until somebody has the name, which is looked for every 20 ms at
    least, and raise Timeout when nobody has it by then.  Raises TypeError, ValueError for an empty name, NoRuntime.
    """
    pid: Pid | None = _core.whereis(name)
    if timeout == _NO_WAIT:
        return pid
    from smarm._deadline import Deadline
    from smarm._errors import Timeout

    deadline = Deadline(timeout)
    pause = _FIRST_PAUSE
    while pid is None:
        left = deadline.left()
        if left == 0:
            raise Timeout(f"nobody had the name {name!r} after {timeout:.3g} s")
        _core.sleep(pause if left is None else min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
        pid = _core.whereis(name)
    return pid
