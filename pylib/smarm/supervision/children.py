"""The children of one supervisor: what its loop asks of a strategy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smarm._core import Pid
    from smarm._errors import StartFailed
    from smarm.supervision.reports import Reports
    from smarm.supervision.running_child import RunningChild


class Children(ABC):
    """The running children, and those that wait to be started again.  Used by the supervisor's actor only.

    It never calls the loop.  What starts a child raises StartFailed, and ParentEnded when the supervisor is told
    meanwhile to end.
    """

    def __init__(self, reports: Reports) -> None:
        self.reports = reports

    @abstractmethod
    def start_all(self) -> None: ...

    @abstractmethod
    def stop_all(self) -> None: ...

    @abstractmethod
    def all(self) -> list[RunningChild]: ...

    # ---- children that end -------------------------------------------------------------------------------------------

    @abstractmethod
    def take_ended(self, pid: Pid) -> RunningChild | None:
        """Return the child that ran as ``pid``, which is no longer found then."""

    @abstractmethod
    def forget(self, child: RunningChild) -> None:
        """Drop the specification of a child that has ended."""

    @abstractmethod
    def restart(self, child: RunningChild) -> None:
        """Restart a child that has ended or whose start has failed, and what the strategy says."""

    @abstractmethod
    def restart_key(self, child: RunningChild) -> Any:
        """Return what names a child that is to be started again later."""

    @abstractmethod
    def find_restarting(self, key: Any) -> RunningChild | None:
        """Return the child of a restart key, if it still waits to be started again."""

    def find_failed(self, error: StartFailed, child: RunningChild) -> RunningChild:
        """Return the child whose start has failed while ``child`` was restarted."""
        return child

    def describe_restart(self, child: RunningChild) -> str:
        return "restarting it"

    def end_with(self, child: RunningChild) -> bool:
        """Whether the supervisor is to end with a child that has ended and is not restarted."""
        return False

    # ---- what a SupervisorRef asks for: raise SupervisorError --------------------------------------------------------

    @abstractmethod
    def start_child(self, child: Any, args: tuple[Any, ...]) -> Pid | None: ...

    @abstractmethod
    def terminate_child(self, key: Any) -> None: ...

    @abstractmethod
    def restart_child(self, key: Any) -> Pid | None: ...

    @abstractmethod
    def delete_child(self, key: Any) -> None: ...

    # ---- for strategies ----------------------------------------------------------------------------------------------

    def shut_down(self, child: RunningChild) -> None:
        pid = child.pid
        self.report_shutdown(child, pid, child.shut_down())

    def report_shutdown(self, child: RunningChild, pid: Pid | None, problem: str | BaseException | None) -> None:
        if problem is not None:
            self.reports.report(child.spec, pid, problem, "it was being stopped")
