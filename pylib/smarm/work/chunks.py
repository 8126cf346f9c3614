"""How many items go to a task actor at a time."""

from __future__ import annotations

TARGET = 0.0005
"""Seconds of work in a chunk: what it costs to hand it over is little beside them, and so is the wait for the last one."""

GROWS = 8
"""How many times larger than before a chunk can get by one measurement."""

MOST = 65536
"""Items."""


class Chunks:
    """Chooses the size of the next chunk by what the items of the last ones cost."""

    def __init__(self, fixed: int | None) -> None:
        self._fixed = fixed
        self.size = fixed or 1

    def measured(self, items: int, seconds: float) -> None:
        """So many items took so long, in one task actor."""
        if self._fixed is not None or items == 0:
            return
        wanted = int(TARGET * items / max(seconds, 1e-9))
        self.size = max(1, min(wanted, self.size * GROWS, MOST))

    def one_by_one(self) -> None:
        """From now on."""
        self._fixed = self.size = 1
