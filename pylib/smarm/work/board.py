"""A board on which the task actors of a pool write what they run, for their manager to read at any time.

Two numbers for each of them: the batch, 0 for none, and since when, in nanoseconds of the monotonic clock.  Memory of the process
that every interpreter maps: an actor that C code holds cannot be asked.
"""

from __future__ import annotations

import os
import time

from smarm import _core

_WORD = 8


class Board:
    """The manager's side."""

    def __init__(self, actors: int) -> None:
        self.descriptor = os.memfd_create("smarm.work", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, 2 * _WORD * actors)
        self._words = memoryview(_core.Buffer.mmap(self.descriptor, access="write")).cast("Q")

    def running(self, actor: int) -> tuple[int, float] | None:
        """Return the batch that the actor runs and for how many seconds, or None."""
        number, since = self._words[2 * actor], self._words[2 * actor + 1]
        return (number, (time.monotonic_ns() - since) / 1e9) if number else None

    def forget(self, actor: int) -> None:
        self._words[2 * actor] = 0

    def close(self) -> None:
        """To be called when the actors have ended or are given up: their maps live on."""
        self._words.release()
        os.close(self.descriptor)
