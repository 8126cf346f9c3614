"""The actor of a supervisor: loop, restart intensity, answers."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from smarm import _core
from smarm._errors import ActorExit, StartFailed, SupervisorError
from smarm._signals import Call, Exit
from smarm.supervision import starting
from smarm.supervision.references import ChildCount, ChildInfo, Request
from smarm.supervision.reports import is_orderly
from smarm.supervision.running_child import ParentEnded, RunningChild

if TYPE_CHECKING:
    from collections.abc import Callable

    from smarm._core import Pid
    from smarm.supervision.children import Children
    from smarm.supervision.reports import Reports


class TryAgain(NamedTuple):
    """What a supervisor sends itself when a restart has failed."""

    child: Any


class SupervisorProcess:
    """A supervisor's actor.  More than ``max_restarts`` restarts within ``max_seconds`` end it."""

    def __init__(self, children: Children, reports: Reports, max_restarts: int, max_seconds: float) -> None:
        self.children = children
        self.reports = reports
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        self.ending: tuple[object] | None = None
        """The reason, when it is to end."""
        self.gave_up = False
        self.restarts: deque[float] = deque()

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def run(self, name: str | None) -> None:
        _core.trap_exit(True)
        if name is not None:
            _core.register(name)
        try:
            self.children.start_all()
            starting.started()
            while self.ending is None:
                self.handle(self.receive())
        except ParentEnded as order:
            self.ending = (order.reason,)
        except BaseException:
            # A child did not start, or this actor is asked to end in a way that it cannot trap.  If it is killed the
            # next wait raises again, and the children learn it through their links.
            self.children.stop_all()
            raise
        self.children.stop_all()
        (reason,) = self.ending
        if self.reports.parent is None and self.gave_up:  # the main actor: nobody is there to restart it
            raise SupervisorError(f"supervisor {self.reports.label} gave up: more than {self.limit_text}")
        if not (
            isinstance(reason, str)
            and reason in (("normal", "shutdown") if self.reports.parent is None else ("normal",))
        ):
            raise ActorExit(reason)

    def receive(self) -> Any:
        while True:
            try:
                return _core.receive()
            except Exception as error:  # a message that cannot be decoded here: its sender's fault
                self.reports.log("warning", "supervisor %s dropped a message: %s", self.reports.label, error)

    def handle(self, message: Any) -> None:
        kind = type(message)
        if kind is Exit:
            child = self.children.take_ended(message.pid)
            if child is not None:
                child.pid = None
                self.child_ended(child, message.pid, message.reason)
            elif message.pid == self.reports.parent:
                self.ending = (message.reason,)
        elif kind is Call and type(message.request) is Request:
            self.answer(message)
        elif kind is TryAgain:
            child = self.children.find_restarting(message.child)
            if child is not None:
                self.restart_or_end(child)
        elif kind is starting.Stop:
            self.ending = (message.reason,)
        else:
            self.reports.log(
                "warning", "supervisor %s got a message that it does not expect: %.500r", self.reports.label, message
            )

    # ---- children that end -------------------------------------------------------------------------------------------

    def child_ended(self, child: RunningChild, pid: Pid, reason: object) -> None:
        orderly = is_orderly(reason)
        if _core._is_ending():  # which kills every actor; what failed by itself is told
            if not orderly and reason != "killed":
                self.reports.report(child.spec, pid, reason, "not restarting it, for the runtime ends")
            self.ending = ("shutdown",)
            return
        if child.spec.restart == "permanent" or (child.spec.restart == "transient" and not orderly):
            within_limit = self.count_restart()
            self.reports.report(
                child.spec, pid, reason, self.children.describe_restart(child) if within_limit else self.give_up()
            )
            if within_limit:
                self.restart_or_end(child)
            return
        if not orderly:
            self.reports.report(child.spec, pid, reason, "not restarting it, for it is temporary")
        if child.spec.restart == "temporary":
            self.children.forget(child)
        if self.children.end_with(child):
            self.ending = ("shutdown",)

    def count_restart(self) -> bool:
        """Count a restart; False: there are too many."""
        now = time.monotonic()
        while self.restarts and self.restarts[0] < now - self.max_seconds:
            self.restarts.popleft()
        self.restarts.append(now)
        return len(self.restarts) <= self.max_restarts

    def give_up(self) -> str:
        """End with "shutdown", for there are too many restarts; return the words for the report."""
        self.gave_up = True
        self.ending = ("shutdown",)
        return f"more than {self.limit_text}: stopping this supervisor"

    def restart_or_end(self, child: RunningChild) -> None:
        try:
            self.children.restart(child)
        except ParentEnded as order:
            self.ending = (order.reason,)
        except StartFailed as error:
            failed = self.children.find_failed(error, child)
            failed.restarting = True
            # Counts as another restart.  What is in the mailbox comes first, an order to stop among it.
            within_limit = self.count_restart()
            self.reports.report(failed.spec, None, error, "trying again" if within_limit else self.give_up())
            if within_limit:
                _core.send(_core.self(), TryAgain(self.children.restart_key(failed)))

    # ---- answers -----------------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> None:
        request: Request = call.request
        operations: dict[str, Callable[..., Any]] = {
            "which_children": self.which_children,
            "count_children": self.count_children,
            "start_child": self.children.start_child,
            "terminate_child": self.children.terminate_child,
            "restart_child": self.children.restart_child,
            "delete_child": self.children.delete_child,
        }
        result: tuple[Any, Exception | None]
        try:
            result = (operations[request.operation](*request.arguments), None)
        except ParentEnded as order:
            self.ending = (order.reason,)
            return
        except Exception as error:
            result = (None, error)
        try:
            _core.reply(call, result)
        except Exception as error:  # what it holds cannot leave this worker
            _core.reply(call, (None, SupervisorError(f"the answer cannot be sent: {error}")))

    def which_children(self) -> list[ChildInfo]:
        return [child.info() for child in self.children.all()]

    def count_children(self) -> ChildCount:
        children = self.which_children()
        supervisors = sum(child.kind == "supervisor" for child in children)
        active = sum(child.state == "running" for child in children)
        return ChildCount(len(children), active, supervisors, len(children) - supervisors)

    @property
    def limit_text(self) -> str:
        return f"{self.max_restarts} restarts within {self.max_seconds:g} s"
