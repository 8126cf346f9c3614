"""One child of a supervisor: its specification, and the running actor."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from smarm import _core, _starting
from smarm._errors import StartFailed, Timeout
from smarm._server import Server
from smarm._signals import Call, Down, Exit, Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from smarm._core import Pid

type Restart = Literal["permanent", "transient", "temporary"]
type Kind = Literal["worker", "supervisor"]


def is_supervisor(start: Any) -> bool:
    return getattr(type(start), "_is_supervisor", False) is True


@dataclass(frozen=True, slots=True)
class Child:
    """What a supervisor starts, and what it does when that ends.

    ``start`` is a function, a Server class or a Supervisor; ``start(*args)`` runs in an actor linked to the
    supervisor.  Each start gets a fresh copy of ``args``.

    ``restart``: "permanent" is restarted always, "transient" after a failure (any reason but "normal", "shutdown" and
    a tuple that begins with "shutdown"), "temporary" never.

    ``shutdown``: seconds between asking it to exit with "shutdown" and killing it, "brutal_kill" to kill at once,
    "inf" or ``math.inf`` to wait; the default is 5, for supervisors "inf".

    ``on``, ``mailbox_limit``, ``mailbox_byte_limit`` and ``on_full`` are as for spawn.

    ``name`` is registered before the function runs, at each restart again.  A Server or a
    Supervisor has started when it is initialised, a function with ``ack=True`` when it calls ``smarm.started()``;
    others count as started when they are spawned.  ``significant``: see auto_shutdown of Supervisor.

    Raises ValueError or TypeError for what does not fit together.
    """

    id: Any
    start: Callable[..., Any]
    args: tuple[Any, ...] = ()
    _: KW_ONLY
    restart: Restart = "permanent"
    shutdown: float | Literal["brutal_kill", "inf"] | None = None
    on: str | int | None = None
    name: str | None = None
    kind: Kind | None = None
    ack: bool = False
    significant: bool = False
    mailbox_limit: int | None = None
    mailbox_byte_limit: int | None = None
    on_full: _starting.OnFull = "error"

    def __post_init__(self) -> None:
        if not callable(self.start):
            raise TypeError(
                f"child {self.id!r}: start must be a function, a Server class or a Supervisor, not {self.start!r}"
            )
        if isinstance(self.start, Server):
            raise TypeError(
                f"child {self.id!r}: start must be the class {type(self.start).__name__}, not an object of it"
            )
        if not isinstance(self.args, tuple):
            raise TypeError(f"child {self.id!r}: args must be a tuple, not {self.args!r}")
        if self.restart not in ("permanent", "transient", "temporary"):
            raise ValueError(
                f'child {self.id!r}: restart is "permanent", "transient" or "temporary", not {self.restart!r}'
            )
        if self.kind not in (None, "worker", "supervisor"):
            raise ValueError(f'child {self.id!r}: kind is "worker" or "supervisor", not {self.kind!r}')
        if self.significant and self.restart == "permanent":
            raise ValueError(f"child {self.id!r}: a permanent child cannot be significant, for it never ends by itself")
        if isinstance(self.shutdown, str):
            if self.shutdown not in ("brutal_kill", "inf"):
                raise ValueError(
                    f'child {self.id!r}: shutdown is seconds, "brutal_kill" or "inf", not {self.shutdown!r}'
                )
        elif self.shutdown is not None and not isinstance(self.shutdown, (int, float)):
            raise TypeError(
                f'child {self.id!r}: shutdown is seconds, "brutal_kill" or "inf", not {type(self.shutdown).__name__}'
            )
        elif self.shutdown is not None and not self.shutdown >= 0:  # NaN included
            raise ValueError(f"child {self.id!r}: shutdown must not be negative, it is {self.shutdown!r}")

    @property
    def resolved_kind(self) -> Kind:
        """kind, or what ``start`` is."""
        return self.kind or ("supervisor" if is_supervisor(self.start) else "worker")

    @property
    def patience(self) -> float | None:
        """Seconds that it gets to shut down; None: for ever.  Not for "brutal_kill"."""
        if self.shutdown is None:
            return None if self.resolved_kind == "supervisor" else 5.0
        return None if self.shutdown in ("inf", math.inf) else float(self.shutdown)

    @property
    def acks(self) -> bool:
        """Whether the actor itself says when it is ready."""
        return (
            self.ack or is_supervisor(self.start) or (isinstance(self.start, type) and issubclass(self.start, Server))
        )


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

        Raises StartFailed.

        Raises ParentEnded when the parent tells the supervisor meanwhile to end: the child has been shut down then.
        """
        spec = self.spec
        waited_for = spec.acks or spec.name is not None
        birth = _starting.Birth(_core.self(), True, waited_for, spec.acks, spec.name, ancestors)
        try:
            handle = _starting.spawn(
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
        answers = (_starting.Started, _starting.Ignored)

        def concerns(message: Any) -> bool:
            kind = type(message)
            if kind in answers or (kind is Exit and message.pid == parent):
                return kind is Exit or message.pid == pid
            return (kind is Down and message.ref == ref) or (kind is Call and message.caller == pid)

        while True:
            message = _core.receive(concerns)
            kind = type(message)
            if kind in answers:
                _starting.end_monitor(ref)
                return kind is _starting.Started
            if kind is Exit:
                _starting.end_monitor(ref)
                self.pid = pid
                self.shut_down()
                raise ParentEnded(message.reason)
            if kind is Call:
                text = f"child {spec.id!r} called its supervisor before it was started: both would wait for ever"
                _core.reply(message, (None, RuntimeError(text)))
                continue
            exit_message = _starting.discard_exit(pid)
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
            _core.kill(self.pid)
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
        down = _wait_for_end(ref, _starting.PATIENCE if brutal else spec.patience)
        if down is None and not brutal:
            killed_late = True
            _core.kill(pid)
            down = _wait_for_end(ref, _starting.PATIENCE)
        self.pid = None
        if down is None:
            _core.unlink(pid)
            _starting.end_monitor(ref)
            return GIVEN_UP
        # It may have ended before, by itself: then its Exit has the reason, and Down says noproc.
        exit_message = _starting.discard_exit(pid)
        return self.shutdown_problem(down.reason if exit_message is None else exit_message.reason, killed_late)

    def shutdown_problem(self, reason: object, killed_late: bool) -> str | BaseException | None:
        """Return what is wrong with how an actor ended that was asked to."""
        if isinstance(reason, str) and reason == "killed":
            if killed_late:
                return f"it did not end within {self.spec.patience:g} s of being asked to: killed"
            if self.spec.shutdown == "brutal_kill":
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


def is_orderly(reason: object) -> bool:
    """Whether an exit reason says that nothing went wrong."""
    if isinstance(reason, tuple):
        return len(reason) > 0 and is_orderly(reason[0]) and reason[0] != "normal"
    return isinstance(reason, str) and reason in ("normal", "shutdown")


def describe(reason: object) -> str:
    """Return an exit reason in a line."""
    if isinstance(reason, BaseException):
        cause = reason.__cause__ or reason
        return f"{type(cause).__qualname__}: {cause}"
    return reason if isinstance(reason, str) else repr(reason)
