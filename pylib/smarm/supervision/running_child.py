"""The actor of a child: started, restarted, shut down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from smarm import _core
from smarm._errors import StartFailed, Timeout
from smarm._signals import Call, Down, Exit, Ref
from smarm.supervision import starting
from smarm.supervision.references import ChildInfo
from smarm.supervision.reports import describe, is_orderly

if TYPE_CHECKING:
    from smarm._core import Pid
    from smarm.supervision.specs import Child

GIVEN_UP = "it does not end although it was killed: given up"


class RunningChild:
    """A child and its actor, which changes when it is restarted.  Used by the supervisor's actor only."""

    __slots__ = ("pid", "restarting", "spec")

    def __init__(self, spec: Child) -> None:
        self.spec = spec
        self.pid: Pid | None = None
        self.restarting = False

    def info(self) -> ChildInfo:
        state: Literal["running", "restarting", "stopped"] = "stopped"
        if self.pid is not None:
            state = "running"
        elif self.restarting:
            state = "restarting"
        return ChildInfo(self.spec.id, self.pid, state, self.spec.resolved_kind, self.spec.restart)

    # ---- start -------------------------------------------------------------------------------------------------------

    def start(self, parent: Pid | None, ancestors: tuple[Any, ...]) -> None:
        """Start the actor and wait until it is ready, or until it has decided not to run (pid is None then).

        Raises StartFailed, and ParentEnded when the parent tells the supervisor meanwhile to end: the child has been shut down then.
        """
        spec = self.spec
        waited_for = spec.acks or spec.name is not None
        birth = starting.Birth(_core.self(), True, waited_for, spec.acks, spec.name, ancestors)
        try:
            handle = starting.spawn(
                birth,
                spec.start,
                spec.args,
                on=spec.on,
                label=str(spec.id),
                monitor=waited_for,
                mailbox_limit=spec.mailbox_limit,
                mailbox_byte_limit=spec.mailbox_byte_limit,
                on_full=spec.on_full,
            )
        except Exception as error:  # NotSendable, ConfigError, NoRuntime, MemoryError
            raise StartFailed(f"child {spec.id!r} could not be spawned: {error}", spec.id, error) from error
        handle.observe()  # the supervisor reports how it ends
        runs = True
        if waited_for:
            assert handle.monitor is not None
            runs = self._wait_until_started(handle.pid, handle.monitor, parent)
        self.pid = handle.pid if runs else None
        self.restarting = False

    def _wait_until_started(self, pid: Pid, ref: Ref, parent: Pid | None) -> bool:
        """Return True when the actor is ready, False when it has decided not to run."""
        spec = self.spec
        answers = (starting.Started, starting.Ignored)

        def concerns(message: Any) -> bool:
            kind = type(message)
            if kind in answers or (kind is Exit and message.pid == parent):
                return kind is Exit or message.pid == pid
            return (kind is Down and message.ref == ref) or (kind is Call and message.caller == pid)

        while True:
            message = _core.receive(concerns)
            kind = type(message)
            if kind is starting.Started:
                starting.end_monitor(ref)
                return True
            if kind is starting.Ignored:
                starting.wait_until_gone(ref)
                return False
            if kind is Exit:
                starting.end_monitor(ref)
                self.pid = pid
                self.shut_down()
                raise ParentEnded(message.reason)
            if kind is Call:
                text = f"child {spec.id!r} called its supervisor before it was started: both would wait for ever"
                _core.reply(message, (None, RuntimeError(text)))
                continue
            exit_message = starting.discard_exit(pid)
            # A child that was killed before it ran has a link still: that signal has the reason, Down has it, too.
            reason = message.reason if exit_message is None else exit_message.reason
            cause = reason if isinstance(reason, BaseException) else None
            returned = isinstance(reason, str) and reason == "normal"
            summary = "it returned before it was ready" if returned else describe(reason)
            raise StartFailed(f"child {spec.id!r} failed to start: {summary}", spec.id, reason) from cause

    # ---- shutdown ----------------------------------------------------------------------------------------------------

    def ask_to_end(self) -> None:
        """Send the exit signal of a shutdown."""
        assert self.pid is not None
        if self.spec.shutdown == "brutal_kill":
            _core.kill(self.pid, interrupt_after=0)
        else:
            _core.exit(self.pid, "shutdown")

    def shut_down(self) -> str | BaseException | None:
        """End the actor and wait until it has ended; return what there is to report, else None."""
        pid, spec = self.pid, self.spec
        assert pid is not None
        ref = _core.monitor(pid)
        self.ask_to_end()
        killed_late = False
        brutal = spec.shutdown == "brutal_kill"
        down = _wait_for_end(ref, starting.patience_with_killed() if brutal else spec.patience)
        if down is None and not brutal:
            killed_late = True
            _core.kill(pid, interrupt_after=0)
            down = _wait_for_end(ref, starting.patience_with_killed())
        self.pid = None
        if down is None:
            _core.unlink(pid)
            starting.end_monitor(ref)
            return GIVEN_UP
        # It may have ended before, by itself: then its Exit has the reason, and Down says noproc.
        exit_message = starting.discard_exit(pid)
        return self.shutdown_problem(down.reason if exit_message is None else exit_message.reason, killed_late)

    def shutdown_problem(self, reason: object, killed_late: bool) -> str | BaseException | None:
        """Return what is wrong with how an actor ended that was asked to."""
        if isinstance(reason, str) and reason == "killed":
            if killed_late:
                return f"it did not end within {self.spec.patience:g} s of being asked to: killed"
            if self.spec.shutdown == "brutal_kill" or _core._is_ending():  # the runtime ends everybody
                return None
        if is_orderly(reason) or (isinstance(reason, str) and reason == "noproc"):
            return None
        return reason if isinstance(reason, BaseException) else describe(reason)


class ParentEnded(Exception):
    """The supervisor's parent tells it to end while it waits for a child's start."""

    def __init__(self, reason: object) -> None:
        super().__init__(reason)
        self.reason = reason


def _wait_for_end(ref: Ref, timeout: float | None) -> Down | None:
    try:
        down: Down = _core.receive(ref, timeout=timeout)
    except Timeout:
        return None
    return down
