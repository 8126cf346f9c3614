"""The rest of a timeout that several calls share."""

from __future__ import annotations

import time


class Deadline:
    """When a timeout, in seconds or None, will be over.  Raises ValueError for a negative one and NaN, TypeError."""

    def __init__(self, timeout: float | None) -> None:
        self._end: float | None = None
        if timeout is None:
            return
        if not hasattr(timeout, "__float__") and not hasattr(timeout, "__index__"):
            raise TypeError(f"a timeout is a number of seconds or None, not {type(timeout).__name__}")
        try:
            seconds = float(timeout)
        except OverflowError:  # an int beyond any float: never, or refused below
            seconds = float("inf") if timeout > 0 else -1.0
        if not seconds >= 0:
            raise ValueError(f"a timeout must be 0 or more seconds, not {timeout!r:.100}")
        self._end = time.monotonic() + seconds

    def left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())


def check_timeout(timeout: float | None) -> None:
    """Refuse what is no timeout, before something has begun that would have to be undone."""
    Deadline(timeout)
