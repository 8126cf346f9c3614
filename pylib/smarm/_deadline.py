"""The rest of a timeout that several calls share."""

from __future__ import annotations

import time


class Deadline:
    """When a timeout, in seconds or None, will be over."""

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"a timeout must be 0 or more seconds, not {timeout!r}")
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - time.monotonic())
