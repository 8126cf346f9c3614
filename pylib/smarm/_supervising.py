"""The actor of a supervisor, as far as both kinds have it in common: loop, restart intensity, answers, reports."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from smarm import _core, _starting
from smarm._child import ChildCount, ChildInfo, ParentEnded, Request, RunningChild, describe, is_orderly
from smarm._errors import ActorExit, StartFailed, SupervisorError
from smarm._signals import HANDLING, Call, Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from smarm._core import Pid
    from smarm._supervisor import BaseSupervisor


class TryAgain(NamedTuple):
    """What a supervisor sends itself when a restart has failed."""

    child: Any


class SupervisorProcess(ABC):
    """A supervisor's actor."""

    def __init__(self, spec: BaseSupervisor) -> None:
        self.spec = spec
        self.pid = _core.self()
        self.parent = _starting.parent()
        self.ancestors = (spec.name or self.pid, *_starting.ancestors())
        self.ending: tuple[object] | None = None
        """The reason, when it is to end."""
        self.gave_up = False
        self.restarts: deque[float] = deque()

    # ---- what the two kinds do differently ---------------------------------------------------------------------------

    @abstractmethod
    def start_all(self) -> None: ...

    @abstractmethod
    def stop_all(self) -> None: ...

    @abstractmethod
    def find(self, pid: Pid) -> RunningChild | None:
        """Return the child that runs as ``pid``, which is no longer found then."""

    @abstractmethod
    def forget(self, child: RunningChild) -> None:
        """Drop the specification of a child that has ended."""

    @abstractmethod
    def restart(self, child: RunningChild) -> None:
        """Restart a child that has ended or whose start has failed, and what the strategy says.  Raises StartFailed."""

    @abstractmethod
    def find_restarting(self, key: Any) -> RunningChild | None:
        """Return the child of a TryAgain, if it still waits for that."""

    @abstractmethod
    def restart_key(self, child: RunningChild) -> Any:
        """Return what a TryAgain names the child by."""

    @abstractmethod
    def all_children(self) -> list[RunningChild]: ...

    @abstractmethod
    def start_child(self, child: Any, args: tuple[Any, ...]) -> Pid | None: ...

    @abstractmethod
    def terminate_child(self, key: Any) -> None: ...

    @abstractmethod
    def restart_child(self, key: Any) -> Pid | None: ...

    @abstractmethod
    def delete_child(self, key: Any) -> None: ...

    def describe_restart(self, child: RunningChild) -> str:
        return "restarting it"

    def ended_for_good(self, child: RunningChild) -> None:  # noqa: B027 - nothing is right for most
        """A child has ended and is not restarted."""

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        _core.trap_exit(True)
        if self.spec.name is not None:
            _core.register(self.spec.name)
        try:
            self.start_all()
            _starting.started()
            while self.ending is None:
                self.handle(self.receive())
        except ParentEnded as order:
            self.ending = (order.reason,)
        except BaseException:
            # A child did not start, or this actor is asked to end in a way that it cannot trap.  If it is killed the
            # next wait raises again, and the children learn it through their links.
            self.stop_all()
            raise
        self.stop_all()
        (reason,) = self.ending
        if self.parent is None and self.gave_up:  # the main actor: nobody is there to restart it
            raise SupervisorError(f"supervisor {self.label} gave up: more than {self.limit_text}")
        if not (isinstance(reason, str) and reason in (("normal", "shutdown") if self.parent is None else ("normal",))):
            raise ActorExit(reason)

    def receive(self) -> Any:
        while True:
            try:
                return _core.receive()
            except Exception as error:  # a message that cannot be decoded here: its sender's fault
                self.log("warning", "supervisor %s dropped a message: %s", self.label, error)

    def handle(self, message: Any) -> None:
        kind = type(message)
        if kind is Exit:
            child = self.find(message.pid)
            if child is not None:
                child.pid = None
                self.child_ended(child, message.pid, message.reason)
            elif message.pid == self.parent:
                self.ending = (message.reason,)
        elif kind is Call and type(message.request) is Request:
            self.answer(message)
        elif kind is TryAgain:
            child = self.find_restarting(message.child)
            if child is not None:
                self.restart_or_end(child)
        elif kind is _starting.Stop:
            self.ending = (message.reason,)
        else:
            self.log("warning", "supervisor %s got a message that it does not expect: %.500r", self.label, message)

    # ---- children that end -------------------------------------------------------------------------------------------

    def child_ended(self, child: RunningChild, pid: Pid, reason: object) -> None:
        orderly = is_orderly(reason)
        if child.spec.restart == "permanent" or (child.spec.restart == "transient" and not orderly):
            within_limit = self.count_restart()
            self.report(child, pid, reason, self.describe_restart(child) if within_limit else self.give_up())
            if within_limit:
                self.restart_or_end(child)
            return
        if not orderly:
            self.report(child, pid, reason, "not restarting it, for it is temporary")
        if child.spec.restart == "temporary":
            self.forget(child)
        self.ended_for_good(child)

    def count_restart(self) -> bool:
        """Count a restart; False: there are too many."""
        now = time.monotonic()
        while self.restarts and self.restarts[0] < now - self.spec.max_seconds:
            self.restarts.popleft()
        self.restarts.append(now)
        return len(self.restarts) <= self.spec.max_restarts

    def give_up(self) -> str:
        """End with "shutdown", for there are too many restarts; return the words for the report."""
        self.gave_up = True
        self.ending = ("shutdown",)
        return f"more than {self.limit_text}: stopping this supervisor"

    def restart_or_end(self, child: RunningChild) -> None:
        try:
            self.restart(child)
        except ParentEnded as order:
            self.ending = (order.reason,)
        except StartFailed as error:
            failed = self.find_failed(error, child)
            failed.restarting = True
            # Counts as another restart.  What is in the mailbox comes first, an order to stop among it.
            within_limit = self.count_restart()
            self.report(failed, None, error, "trying again" if within_limit else self.give_up())
            if within_limit:
                _core.send(self.pid, TryAgain(self.restart_key(failed)))

    def find_failed(self, error: StartFailed, child: RunningChild) -> RunningChild:
        return child

    # ---- answers -----------------------------------------------------------------------------------------------------

    def answer(self, call: Call) -> None:
        request: Request = call.request
        operations: dict[str, Callable[..., Any]] = {
            "which_children": self.which_children,
            "count_children": self.count_children,
            "start_child": self.start_child,
            "terminate_child": self.terminate_child,
            "restart_child": self.restart_child,
            "delete_child": self.delete_child,
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
        return [child.info() for child in self.all_children()]

    def count_children(self) -> ChildCount:
        children = self.which_children()
        supervisors = sum(child.kind == "supervisor" for child in children)
        active = sum(child.state == "running" for child in children)
        return ChildCount(len(children), active, supervisors, len(children) - supervisors)

    # ---- reports -----------------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        return f"{self.spec.name!r} {self.pid}" if self.spec.name else str(self.pid)

    @property
    def limit_text(self) -> str:
        spec = self.spec
        return f"{spec.max_restarts} restarts within {spec.max_seconds:g} s"

    def shut_down(self, child: RunningChild) -> None:
        pid = child.pid
        self.report_shutdown(child, pid, child.shut_down())

    def report_shutdown(self, child: RunningChild, pid: Pid | None, problem: str | BaseException | None) -> None:
        if problem is not None:
            self.report(child, pid, problem, "it was being stopped")

    def report(self, child: RunningChild, pid: Pid | None, reason: object, decision: str) -> None:
        """Log how a child has ended, once."""
        spec = child.spec
        if isinstance(reason, StartFailed):
            what = str(reason)
        else:
            name = f" (named {spec.name!r})" if spec.name else ""
            what = f"child {spec.id!r}{name} {pid} ended: {describe(reason)}"
        lines = [f"supervisor {self.label}: {what}", f"  decision: {decision}"]
        lines.append(f"  ancestors: {', '.join(map(str, self.ancestors))}")
        message = last_message_of(reason)
        if message is not None:
            lines.append(f"  last message: {message}")
        trace = traceback_of(reason)
        if trace:
            lines.append(trace.rstrip())
        report = {
            "id": spec.id,
            "name": spec.name,
            "pid": pid,
            "reason": reason,
            "decision": decision,
            "ancestors": self.ancestors,
            "last_message": message,
        }
        self.log("info" if is_orderly(reason) else "error", "%s", "\n".join(lines), extra={"smarm": report})

    def log(self, level: str, text: str, *arguments: Any, **options: Any) -> None:
        import logging

        # What a logging handler raises must not end the supervisor.
        try:
            getattr(logging.getLogger("smarm.supervisor"), level)(text, *arguments, **options)
        except Exception as error:
            import sys

            if sys.stderr is not None:
                what = f"a report of supervisor {self.label} could not be logged: {error!r}"
                sys.stderr.write(f"smarm: {what}\n{text % arguments}\n")


def traceback_of(reason: object) -> str:
    """Return the traceback that an exit reason carries, or that its causes carry."""
    seen = 0
    while isinstance(reason, BaseException) and seen < 16:
        text = getattr(reason, "remote_traceback", "")
        if text:
            return str(text)
        reason = reason.__cause__ or getattr(reason, "reason", None)
        seen += 1
    return ""


def last_message_of(reason: object) -> str | None:
    """Return the repr of the message that a server was handling when it failed; None: it was handling none."""
    seen = 0
    while isinstance(reason, BaseException) and seen < 16:
        for note in getattr(reason, "__notes__", ()):
            who, found, message = note.partition(HANDLING)
            if found and who.startswith("server "):
                return str(message)
        reason = reason.__cause__ or getattr(reason, "reason", None)
        seen += 1
    return None
