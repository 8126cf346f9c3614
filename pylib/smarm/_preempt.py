"""Sections that the scheduler must not interrupt."""

from __future__ import annotations

from smarm import _core


class no_preempt:
    """``with smarm.no_preempt():`` keeps the worker until the block ends or parks by itself; nests.

    For short sections that must not be seen half done by other actors of this worker.  A block that lasts longer than
    ``stall_threshold`` while others wait is reported.  What is requested of the actor is delivered at a wait in it; when
    it computes, after the run's ``kill_patience``, when it holds no longer.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        _core._no_preempt(True)

    def __exit__(self, *_: object) -> None:
        _core._no_preempt(False)
