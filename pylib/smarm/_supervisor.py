"""Supervisors: actors that start others, and start them again when they fail.  OTP's supervisor."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from smarm import _core, _starting
from smarm._child import Child, ChildCount, ChildInfo, Request, RunningChild
from smarm._deadline import check_timeout
from smarm._errors import ProcessDown, SmarmError, StartFailed, SupervisorError
from smarm._supervising import SupervisorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from smarm._core import Pid

type Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
type AutoShutdown = Literal["never", "any_significant", "all_significant"]


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
        _starting.stop(self.address, reason, timeout)

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


class BaseSupervisor:
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

    def start(self, *, link: bool = True, on: str | int | None = None, timeout: float | None = None) -> SupervisorRef:
        """Start the supervisor in an actor of its own and wait until all children have started.

        ``link`` links it to the caller: it ends when the caller does.  ``on`` is as for spawn; without it it runs on
        the caller's worker, and on another all that it holds must be sendable.  Raises StartFailed when a child does
        not start (those before it have been stopped, in reverse order), Timeout (it is killed), NotSendable.
        """
        check_timeout(timeout)
        birth = _starting.Birth(_core.self(), link, True, True, None, _starting.ancestors())
        handle = _starting.spawn(birth, self, (), on=on, label=self.name or type(self).__name__, monitor=True)
        try:
            _starting.wait_until_started(handle, timeout)
        except SmarmError as error:
            if isinstance(error.__cause__, StartFailed):
                raise error.__cause__ from error.__cause__.__cause__
            raise
        return SupervisorRef(handle.pid)

    def __call__(self) -> None:
        """Run the supervisor in the running actor until it ends: ``smarm.run(Supervisor([...]))``."""
        self._make_process().run()

    def _make_process(self) -> SupervisorProcess:
        raise NotImplementedError


class Supervisor(BaseSupervisor):
    """Children that are started in order, restarted when they fail, and stopped in reverse order.

    ``strategy`` says what is restarted with a child that ended: "one_for_one" nothing else, "one_for_all" all others,
    "rest_for_one" those that were started after it.  More than ``max_restarts`` restarts within ``max_seconds`` end the
    supervisor with reason "shutdown"; children are stopped first.  ``auto_shutdown``: it also ends so when one
    ("any_significant") or the last one ("all_significant") of its significant children has ended by itself.  ``name``
    is registered.

    It is started by ``start()``, as a ``Child`` of another supervisor, or called: ``smarm.run(Supervisor([...]))``.
    Raises ValueError or TypeError for what does not fit together.
    """

    def __init__(
        self,
        children: Iterable[Child] = (),
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
        name: str | None = None,
    ) -> None:
        super().__init__(max_restarts=max_restarts, max_seconds=max_seconds, name=name)
        self.children = tuple(children)
        self.strategy = strategy
        self.auto_shutdown = auto_shutdown
        ids = set()
        for child in self.children:
            if not isinstance(child, Child):
                raise TypeError(f"a supervisor's children are smarm.Child objects, not {child!r}")
            if child.id in ids:
                raise ValueError(f"two children have the id {child.id!r}")
            ids.add(child.id)
        if strategy not in ("one_for_one", "one_for_all", "rest_for_one"):
            raise ValueError(f'strategy is "one_for_one", "one_for_all" or "rest_for_one", not {strategy!r}')
        if auto_shutdown not in ("never", "any_significant", "all_significant"):
            raise ValueError(f'auto_shutdown is "never", "any_significant" or "all_significant", not {auto_shutdown!r}')

    def _make_process(self) -> SupervisorProcess:
        return StaticSupervisorProcess(self)


class StaticSupervisorProcess(SupervisorProcess):
    """The actor of a Supervisor."""

    spec: Supervisor

    def __init__(self, spec: Supervisor) -> None:
        super().__init__(spec)
        self.children: dict[Any, RunningChild] = {child.id: RunningChild(child) for child in spec.children}
        """By id, in start order."""
        self.by_pid: dict[Pid, RunningChild] = {}

    def start_all(self) -> None:
        self.start_in_order(list(self.children.values()))

    def start_in_order(self, children: list[RunningChild]) -> None:
        for child in children:
            self.start_one(child)

    def start_one(self, child: RunningChild) -> Pid | None:
        child.start(self.parent, self.ancestors)
        if child.pid is not None:
            self.by_pid[child.pid] = child
        elif child.spec.restart == "temporary":
            self.forget(child)
        return child.pid

    def stop_all(self) -> None:
        self.stop_in_reverse(list(self.children.values()))

    def stop_in_reverse(self, children: list[RunningChild]) -> None:
        for child in reversed(children):
            child.restarting = False
            self.stop_one(child)

    def stop_one(self, child: RunningChild) -> None:
        if child.pid is not None:
            pid = child.pid
            self.shut_down(child)
            self.by_pid.pop(pid, None)
        if child.spec.restart == "temporary":
            self.forget(child)

    def find(self, pid: Pid) -> RunningChild | None:
        return self.by_pid.pop(pid, None)

    def forget(self, child: RunningChild) -> None:
        if self.children.get(child.spec.id) is child:
            del self.children[child.spec.id]

    def restart(self, child: RunningChild) -> None:
        if self.spec.strategy == "one_for_one":
            self.start_one(child)
            return
        affected = self.affected_by(child)
        child.restarting = False
        self.stop_in_reverse(affected)
        self.start_in_order([one for one in affected if self.children.get(one.spec.id) is one])

    def affected_by(self, child: RunningChild) -> list[RunningChild]:
        children = list(self.children.values())
        return children if self.spec.strategy == "one_for_all" else children[children.index(child) :]

    def find_failed(self, error: StartFailed, child: RunningChild) -> RunningChild:
        return self.children.get(error.id, child)

    def find_restarting(self, key: Any) -> RunningChild | None:
        child = self.children.get(key)
        return child if child is not None and child.restarting else None

    def restart_key(self, child: RunningChild) -> Any:
        return child.spec.id

    def describe_restart(self, child: RunningChild) -> str:
        others = 0 if self.spec.strategy == "one_for_one" else len(self.affected_by(child)) - 1
        if others == 0:
            return "restarting it"
        which = "all" if self.spec.strategy == "one_for_all" else "those started after it"
        return f"restarting it and {others} other{'s' if others > 1 else ''} ({which})"

    def all_children(self) -> list[RunningChild]:
        return list(self.children.values())

    def ended_for_good(self, child: RunningChild) -> None:
        mode = self.spec.auto_shutdown
        if mode == "never" or not child.spec.significant:
            return
        others = any(one.spec.significant and (one.pid is not None or one.restarting) for one in self.children.values())
        if mode == "any_significant" or not others:
            self.ending = ("shutdown",)

    # ---- answers -----------------------------------------------------------------------------------------------------

    def start_child(self, child: Any, args: tuple[Any, ...]) -> Pid | None:
        if not isinstance(child, Child) or args:
            raise TypeError("start_child() takes a smarm.Child; a DynamicSupervisor also a function and its arguments")
        present = self.children.get(child.id)
        if present is not None:
            state = present.info().state
            raise SupervisorError(f"there is a child with the id {child.id!r} already, which is {state}")
        added = RunningChild(child)
        pid = self.start_one(added)
        if pid is not None or child.restart != "temporary":
            self.children[child.id] = added
        return pid

    def named(self, key: Any) -> RunningChild:
        child = self.children.get(key)
        if child is None:
            raise SupervisorError(f"there is no child with the id {key!r}")
        return child

    def stopped(self, key: Any) -> RunningChild:
        child = self.named(key)
        if child.pid is not None or child.restarting:
            raise SupervisorError(f"child {key!r} is {child.info().state}: terminate it first")
        return child

    def terminate_child(self, key: Any) -> None:
        child = self.named(key)
        child.restarting = False
        self.stop_one(child)

    def restart_child(self, key: Any) -> Pid | None:
        return self.start_one(self.stopped(key))

    def delete_child(self, key: Any) -> None:
        self.forget(self.stopped(key))
