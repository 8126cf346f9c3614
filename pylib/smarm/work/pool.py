"""A pool: task actors on the workers, and what others of this interpreter, actors and plain threads, have for them to do.

The submitters put Jobs into ``pending``; one actor, the manager, hands them to the task actors and hears of their ends
(manager.py).  It starts with the first job, in the runtime that is there, or in one that runs in the background.
"""

from __future__ import annotations

import threading
from collections import deque

from smarm import _core
from smarm._errors import EndOfLoad
from smarm.work import background

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Protocol

    from smarm._core import Pid, Sender
    from smarm.work.slots import Failure

    type Place = Literal["main", "local"] | int | None

    class Job(Protocol):
        """One batch of items, from its submission to its end."""

        def begin(self) -> bool:
            """It is about to be given away; False: it has been cancelled, and is forgotten."""

        def send(self, batches: Sender[Any], number: int) -> None:
            """Give it to the task actors.  What this raises is told by fail()."""

        def returned(self, value: Any, seconds: float) -> None:
            """Its only item is done, has this value, and took so long."""

        def deliver(
            self,
            first: int,
            values: list[Any],
            failures: list[Failure] | None,
            left: list[Any] | None,
            seconds: float,
            done: bool,
        ) -> None:
            """Some of it is done; done: all that this batch will do."""

        def fail(self, error: BaseException) -> None:
            """It has no outcome, and will have none."""

        def drop(self) -> None:
            """It will never begin."""

        def describe(self) -> str:
            """Say what it is, for people."""


class Pool:
    """What submitters and manager share.  Any thread and actor of its interpreter may use it."""

    def __init__(
        self,
        start: Callable[[Pool], None],
        name: str,
        actors: int | None,
        placement: Place,
        work: dict[str, Any],
    ) -> None:
        self._start = start
        self.name = name
        self.actors = actors
        self.placement = placement
        self.work = work  # fields of slots.Order that are not their defaults
        self.pending: deque[Job] = deque()
        self.asleep = False  # the manager waits, and has room for more
        self.pid: Pid | None = None  # of the manager, while it lives
        self.run = 0
        self.broken: str | None = None
        self.closed: str | None = None  # why no more is taken
        self.cancels = False  # what has not begun
        self.kills = False  # what runs
        self.over = False  # the manager has looked for the last time
        self.ended = threading.Event()
        self._takes = False  # more, without a look at anything else
        self._started = False
        self._lock = threading.Lock()  # for the start

    def put(self, job: Job) -> None:
        """Take a job.  Never waits, but for the start of the runtime; Raises RuntimeError when the pool is closed."""
        if not self._takes:
            self._make_ready()
        self.pending.append(job)
        if self.asleep:
            self.wake()
        elif self.over and self._take_back(job):  # the end has come meanwhile, and has not seen it
            self._make_ready()

    def _make_ready(self) -> None:
        if _core._loading():
            raise EndOfLoad
        if self.broken is not None:
            from concurrent.futures import BrokenExecutor

            raise BrokenExecutor(self.broken)
        if background.exiting:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if self.closed is not None:
            raise RuntimeError(self.closed)
        with self._lock:
            if not self._started:
                self._start(self)
                self._started = True
        self._takes = self.closed is None

    def _take_back(self, job: Job) -> bool:
        try:
            self.pending.remove(job)
        except ValueError:  # seen, and dropped
            return False
        return True

    def close(self, *, cancels: bool = False, kills: bool = False) -> None:
        """Take no more; end when everything has ended.  Never waits: see ``ended``.  Also for finalisers."""
        self.cancels |= cancels
        self.kills |= kills
        self.closed = self.closed or "cannot schedule new futures after shutdown"
        self._takes = False
        if self._started:
            self.wake()
        else:
            self.ended.set()

    def wait(self) -> None:
        """Wait for the end: not in the manager itself, which runs the callbacks of Futures."""
        if _core.worker_index() is None or _core.self() != self.pid:
            self.ended.wait()

    def wake(self) -> None:
        """Make the manager look at the pool again."""
        self.asleep = False
        pid = self.pid
        if pid is None:
            return  # it looks before it waits for the first time
        if _core.worker_index() is not None:
            _core.send(pid, None)
        else:
            background.tell(self.run, pid)

    def forget(self) -> None:
        """In a forked child, which has neither the manager nor the task actors."""
        self._takes, self._started = False, False
        self.closed = "cannot schedule new futures: this process was forked from the one that has the pool"
        self.ended.set()
