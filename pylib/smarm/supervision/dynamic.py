"""Supervisors of children that come and go.  Elixir's DynamicSupervisor, OTP's simple_one_for_one."""

from __future__ import annotations

import heapq
import math
import time
from typing import TYPE_CHECKING, Any

from smarm import _core
from smarm._errors import SupervisorError, Timeout
from smarm._signals import Down, Exit, Ref
from smarm.supervision import starting
from smarm.supervision.children import Children
from smarm.supervision.running_child import GIVEN_UP, RunningChild
from smarm.supervision.specs import Child
from smarm.supervision.supervisor import BaseSupervisor

if TYPE_CHECKING:
    from smarm._core import Pid
    from smarm.supervision.reports import Reports


class DynamicSupervisor(BaseSupervisor):
    """Starts without children; each is restarted alone, and forgotten when it ends for good.

    Children are named by their Pids, their ids need not differ.  At the end all are stopped at once, not one after the
    other.  ``max_children`` is the most that there can be, the rest is as for Supervisor.  Raises ValueError or
    TypeError for what does not fit together.
    """

    def __init__(
        self,
        *,
        max_children: float = math.inf,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        name: str | None = None,
    ) -> None:
        super().__init__(max_restarts=max_restarts, max_seconds=max_seconds, name=name)
        if not isinstance(max_children, (int, float)):
            raise TypeError(f"max_children is a number, or math.inf, not {type(max_children).__name__}")
        if not max_children >= 0:
            raise ValueError(f"max_children must not be negative, it is {max_children!r}")
        self.max_children = max_children

    def _describe(self) -> str:
        return "" if self.max_children == math.inf else f", at most {self.max_children} children"

    def _make_children(self, reports: Reports) -> Children:
        return DynamicChildren(self.max_children, reports)


class DynamicChildren(Children):
    """The children of a DynamicSupervisor."""

    def __init__(self, max_children: float, reports: Reports) -> None:
        super().__init__(reports)
        self.max_children = max_children
        self.running: dict[Pid, RunningChild] = {}
        self.restarting: dict[int, RunningChild] = {}

    def start_all(self) -> None:
        pass

    def start_one(self, child: RunningChild) -> Pid | None:
        child.start(self.reports.parent, self.reports.ancestors)
        if child.pid is not None:
            self.running[child.pid] = child
        return child.pid

    def stop_all(self) -> None:
        """Ask all at once, then wait for each as long as it may take.  Other messages are dropped: this actor ends."""
        waiting: dict[Ref, RunningChild] = {}
        deadlines: list[tuple[float, Ref, bool]] = []  # a heap; True: it has been killed already
        now = time.monotonic()
        for pid, child in self.running.items():
            ref = _core.monitor(pid)
            waiting[ref] = child
            child.ask_to_end()
            killed = child.spec.shutdown == "brutal_kill"
            patience = starting.patience_with_killed() if killed else child.spec.patience
            if patience is not None:
                heapq.heappush(deadlines, (now + patience, ref, killed))
        reasons: dict[Pid, object] = {}  # a child that had ended by itself: its Exit has the reason, Down says noproc
        killed_late: set[Ref] = set()
        while waiting:
            while deadlines and deadlines[0][1] not in waiting:
                heapq.heappop(deadlines)
            left = max(0.0, deadlines[0][0] - time.monotonic()) if deadlines else None
            try:
                message = _core.receive(timeout=left)
            except Timeout:
                _, ref, killed = heapq.heappop(deadlines)
                self.lose_patience(waiting, ref, killed)
                killed_late.add(ref)
                heapq.heappush(deadlines, (time.monotonic() + starting.patience_with_killed(), ref, True))
                continue
            except Exception:  # a message that cannot be decoded here
                continue
            if type(message) is Exit:
                reasons[message.pid] = message.reason
            elif type(message) is Down and message.ref in waiting:
                child = waiting.pop(message.ref)
                reason = reasons.get(message.pid, message.reason)
                self.report_shutdown(child, message.pid, child.shutdown_problem(reason, message.ref in killed_late))
        self.running.clear()
        self.restarting.clear()

    def lose_patience(self, waiting: dict[Ref, RunningChild], ref: Ref, killed: bool) -> None:
        child = waiting[ref]
        if not killed:
            assert child.pid is not None
            _core.kill(child.pid, interrupt_after=0)
            return
        del waiting[ref]
        self.report_shutdown(child, child.pid, GIVEN_UP)

    def take_ended(self, pid: Pid) -> RunningChild | None:
        return self.running.pop(pid, None)

    def forget(self, child: RunningChild) -> None:
        self.restarting.pop(id(child), None)

    def restart(self, child: RunningChild) -> None:
        self.restarting[id(child)] = child
        self.start_one(child)
        del self.restarting[id(child)]

    def find_restarting(self, key: Any) -> RunningChild | None:
        return self.restarting.get(key)

    def restart_key(self, child: RunningChild) -> Any:
        return id(child)

    def all(self) -> list[RunningChild]:
        return [*self.running.values(), *self.restarting.values()]

    # ---- answers -----------------------------------------------------------------------------------------------------

    def start_child(self, child: Any, args: tuple[Any, ...]) -> Pid | None:
        if not isinstance(child, Child):
            child = Child(getattr(child, "__qualname__", repr(child)), child, args)
        elif args:
            raise TypeError(
                "start_child() takes a smarm.Child, which has its arguments, or a function and its arguments"
            )
        if len(self.running) + len(self.restarting) >= self.max_children:
            raise SupervisorError(f"there are max_children={self.max_children} already")
        return self.start_one(RunningChild(child))

    def terminate_child(self, key: Any) -> None:
        child = self.running.get(key)
        if child is None:
            raise SupervisorError(f"no child runs as {key!r}")
        self.shut_down(child)
        del self.running[key]

    def restart_child(self, key: Any) -> Pid | None:
        raise SupervisorError("a DynamicSupervisor forgets children that do not run: start another")

    def delete_child(self, key: Any) -> None:
        raise SupervisorError("a DynamicSupervisor forgets children that do not run: there is nothing to delete")
