"""What a supervisor is asked, and its answers: the handle of a running one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from smarm import _core
from smarm._errors import ProcessDown
from smarm.supervision import starting

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from smarm._core import Pid
    from smarm.supervision.specs import Child, Kind, Restart


class ChildInfo(NamedTuple):
    """One child, as which_children tells."""

    id: Any
    pid: Pid | None
    """None: not running."""
    state: Literal["running", "restarting", "stopped"]
    kind: Kind
    restart: Restart


class ChildCount(NamedTuple):
    """How many children there are, as count_children tells."""

    specs: int
    active: int
    supervisors: int
    workers: int


class Request(NamedTuple):
    """What a supervisor is asked through its handle."""

    operation: str
    arguments: tuple[Any, ...] = ()


class SupervisorRef(NamedTuple):
    """Names a running supervisor by its Pid or registered name; sendable.

    Every method parks until the supervisor has answered, which it does when it is not starting or stopping a child,
    and raises ProcessDown when it has ended, Timeout after ``timeout`` seconds (None: never).  ``with`` stops it at the
    end.
    """

    address: Pid | str

    @property
    def pid(self) -> Pid | None:
        """The supervisor's Pid; None when nobody has the name now."""
        pid: Pid | None = _core.whereis(self.address) if isinstance(self.address, str) else self.address
        return pid

    def which_children(self, *, timeout: float | None = None) -> list[ChildInfo]:
        """Return all children, in start order."""
        children: list[ChildInfo] = self._ask(timeout, "which_children")
        return children

    def count_children(self, *, timeout: float | None = None) -> ChildCount:
        """Return how many children there are."""
        count: ChildCount = self._ask(timeout, "count_children")
        return count

    def start_child(self, child: Child | Callable[..., Any], /, *args: Any, timeout: float | None = None) -> Pid | None:
        """Add a child and start it; return its Pid, None for a Server whose init returned IGNORE.

        A DynamicSupervisor also takes a function and its arguments.  Raises StartFailed, NotSendable, and
        SupervisorError when the id is in use or there are max_children.
        """
        pid: Pid | None = self._ask(timeout, "start_child", child, args)
        return pid

    def terminate_child(self, child: Any, /, *, timeout: float | None = None) -> None:
        """Stop a child, named by its id (by its Pid in a DynamicSupervisor).  Its specification stays.

        That of a temporary child and of a DynamicSupervisor's goes.  Raises SupervisorError when there is none.
        """
        self._ask(timeout, "terminate_child", child)

    def restart_child(self, child: Any, /, *, timeout: float | None = None) -> Pid | None:
        """Start a child that has been stopped or has ended; return its Pid, None for a Server whose init returned IGNORE.

        Raises SupervisorError, StartFailed.
        """
        pid: Pid | None = self._ask(timeout, "restart_child", child)
        return pid

    def delete_child(self, child: Any, /, *, timeout: float | None = None) -> None:
        """Forget a child that does not run.  Raises SupervisorError."""
        self._ask(timeout, "delete_child", child)

    def stop(self, reason: object = "normal", timeout: float | None = None) -> None:
        """Stop the children in reverse order, then the supervisor; wait until it has ended.

        Raises ProcessDown when it had ended or ends for another reason, Timeout, NotRegistered.
        """
        starting.stop(self.address, reason, timeout)

    def _ask(self, timeout: float | None, operation: str, *arguments: Any) -> Any:
        value, error = _core.call(self.address, Request(operation, arguments), timeout=timeout)
        if error is not None:
            raise error
        return value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessDown):
            self.stop()
