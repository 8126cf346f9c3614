"""Sections that the scheduler must not interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from smarm import _core


@contextmanager
def no_preempt() -> Iterator[None]:
    """Keep the worker until the block ends or parks by itself; nests.

    For short sections that must not be seen half done by other actors of this worker.  A block that lasts longer than
    ``stall_threshold`` while others wait is reported.
    """
    _core._no_preempt(True)
    try:
        yield
    finally:
        _core._no_preempt(False)
