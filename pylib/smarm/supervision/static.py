"""Supervisors of children that are known when they start.  OTP's supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from smarm._errors import StartFailed, SupervisorError
from smarm.supervision.children import Children
from smarm.supervision.running_child import RunningChild
from smarm.supervision.specs import Child
from smarm.supervision.supervisor import BaseSupervisor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smarm._core import Pid
    from smarm.supervision.reports import Reports

type Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
type AutoShutdown = Literal["never", "any_significant", "all_significant"]


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
        try:
            self.children = tuple(children)
        except TypeError:
            raise TypeError(f"a supervisor takes a list of smarm.Child objects, not {children!r}") from None
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

    def _describe(self) -> str:
        return f", {self.strategy}, children: {', '.join(repr(child.id) for child in self.children) or 'none'}"

    def _make_children(self, reports: Reports) -> Children:
        return StaticChildren(self, reports)


class StaticChildren(Children):
    """The children of a Supervisor."""

    def __init__(self, spec: Supervisor, reports: Reports) -> None:
        super().__init__(reports)
        self.spec = spec
        self.children: dict[Any, RunningChild] = {child.id: RunningChild(child) for child in spec.children}
        """By id, in start order."""
        self.by_pid: dict[Pid, RunningChild] = {}

    def start_all(self) -> None:
        self.start_in_order(list(self.children.values()))

    def start_in_order(self, children: list[RunningChild]) -> None:
        for child in children:
            self.start_one(child)

    def start_one(self, child: RunningChild) -> Pid | None:
        child.start(self.reports.parent, self.reports.ancestors)
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

    def take_ended(self, pid: Pid) -> RunningChild | None:
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

    def all(self) -> list[RunningChild]:
        return list(self.children.values())

    def end_with(self, child: RunningChild) -> bool:
        mode = self.spec.auto_shutdown
        if mode == "never" or not child.spec.significant:
            return False
        others = any(one.spec.significant and (one.pid is not None or one.restarting) for one in self.children.values())
        return mode == "any_significant" or not others

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
