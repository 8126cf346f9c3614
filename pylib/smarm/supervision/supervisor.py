"""What both kinds of supervisors have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from smarm import _core
from smarm._deadline import check_timeout
from smarm._errors import SmarmError, StartFailed
from smarm.supervision import starting
from smarm.supervision.process import SupervisorProcess
from smarm.supervision.references import SupervisorRef
from smarm.supervision.reports import Reports

if TYPE_CHECKING:
    from smarm.supervision.children import Children


class BaseSupervisor(ABC):
    """What Supervisor and DynamicSupervisor have in common: a description that does not change, run by an actor."""

    _is_supervisor: ClassVar[bool] = True

    def __init__(self, *, max_restarts: int, max_seconds: float, name: str | None) -> None:
        if isinstance(max_restarts, bool) or not isinstance(max_restarts, int) or max_restarts < 0:
            raise ValueError(f"max_restarts must be a whole number from 0, not {max_restarts!r}")
        if not isinstance(max_seconds, (int, float)):
            raise TypeError(f"max_seconds is a number of seconds, not {type(max_seconds).__name__}")
        if not max_seconds > 0:  # NaN included
            raise ValueError(f"max_seconds must be positive, not {max_seconds!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a supervisor's name must be a str, not {name!r}")
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        self.name = name

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<smarm.{type(self).__qualname__}{name}{self._describe()}>"

    def start(self, *, link: bool = True, on: str | int | None = None, timeout: float | None = None) -> SupervisorRef:
        """Start the supervisor in an actor of its own and wait until all children have started.

        ``link`` links it to the caller: it ends when the caller does.  ``on`` is as for spawn; without it it runs on
        the caller's worker, and on another all that it holds must be sendable.  Raises StartFailed when a child does
        not start (those before it have been stopped, in reverse order), Timeout (it is killed), NotSendable.
        """
        check_timeout(timeout)
        birth = starting.Birth(_core.self(), link, True, True, None, starting.ancestors())
        handle = starting.spawn(birth, self, (), on=on, label=self.name or type(self).__name__, monitor=True)
        try:
            starting.wait_until_started(handle, timeout)
        except SmarmError as error:
            if isinstance(error.__cause__, StartFailed):
                raise error.__cause__ from error.__cause__.__cause__
            raise
        return SupervisorRef(handle.pid)

    def __call__(self) -> None:
        """Run the supervisor in the running actor until it ends: ``smarm.run(Supervisor([...]))``."""
        reports = Reports(self.name)
        children = self._make_children(reports)
        SupervisorProcess(children, reports, self.max_restarts, self.max_seconds).run(self.name)

    @abstractmethod
    def _describe(self) -> str: ...

    @abstractmethod
    def _make_children(self, reports: Reports) -> Children: ...
