"""How a supervised actor or a server comes up: it runs here first, and tells its starter when it is ready.

The starter waits for ``Started`` or for the end of the actor.  An actor that fails before it is ready unlinks itself,
so that its starter gets one error, not an error and an exit signal.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from contextvars import ContextVar
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Unpack

from smarm import _core
from smarm._deadline import check_timeout
from smarm._errors import StartIgnored, Timeout
from smarm._signals import Down, Exit, Ref

if TYPE_CHECKING:
    from collections.abc import Callable

    from smarm._core import JoinHandle, Pid


type OnFull = Literal["error", "drop_newest"]

PATIENCE = 5.0
"""Seconds that a killed actor gets at its end: ActorExit is raised in it at every park, but it may be busy, or swallow that."""


def patience_with_killed() -> float:
    """Return the seconds after which one is given up: it is interrupted wherever it is after kill_patience."""
    return (_core._kill_patience() or 0.0) + PATIENCE


class Started(NamedTuple):
    """What a starter is told when its actor is ready."""

    pid: Pid


class Ignored(NamedTuple):
    """What a starter is told when its actor has decided not to run."""

    pid: Pid


class Stop(NamedTuple):
    """Asks a server or supervisor to end."""

    reason: Any


class Birth(NamedTuple):
    """What an actor knows of its start."""

    starter: Pid
    linked: bool
    waited_for: bool
    """The starter waits for Started."""
    acks: bool
    """The target says by itself when it is ready: a server, a supervisor, or a function that calls started()."""
    name: str | None
    """To register before anything else."""
    ancestors: tuple[Any, ...]
    """Pids or names of the supervisors above, the nearest first."""


# Each actor has a thread state, hence context variables, of its own.
_birth: ContextVar[Birth | None] = ContextVar("smarm_birth", default=None)


def started() -> None:
    """Tell the supervisor that this actor is ready: the next child may start.

    For functions of a ``Child(ack=True)``; does nothing in an actor that nobody waits for.
    """
    birth = _birth.get()
    if birth is not None and birth.waited_for:
        _birth.set(birth._replace(waited_for=False))
        _core.send(birth.starter, Started(_core.self()))


def ignored() -> None:
    """Tell the starter that this actor ends at once, and that this is no failure."""
    birth = _birth.get()
    if birth is None or not birth.waited_for:
        return
    _birth.set(birth._replace(waited_for=False))
    if birth.linked:
        _core.unlink(birth.starter)
    _core.send(birth.starter, Ignored(_core.self()))


def ancestors() -> tuple[Any, ...]:
    """Return the supervisors above this actor, the nearest first."""
    birth = _birth.get()
    return () if birth is None else birth.ancestors


def parent() -> Pid | None:
    """Return who spawned this actor."""
    info = _core._process_info(_core.self())
    assert info is not None  # it is the running actor
    pid: Pid | None = info["parent"]
    return pid


def boot(birth: Birth, target: Callable[..., Any], /, *args: Any) -> Any:
    """Run ``target(*args)``; the first function of the new actor."""
    _birth.set(birth)
    try:
        if birth.name is not None:
            _core.register(birth.name)
        if not birth.acks:
            started()
        return getattr(target, "_run_as_actor", target)(*args)
    except BaseException:
        now = _birth.get()
        if birth.linked and now is not None and now.waited_for:
            _core.unlink(birth.starter)
        raise


def _is_found_by_name(target: Any) -> bool:
    # As spawn() decides which functions any worker can run.
    if not isinstance(target, FunctionType | BuiltinFunctionType | type):
        return False
    return not getattr(target, "__closure__", None) and "<" not in target.__qualname__


class Mailbox(TypedDict, total=False):
    """What spawn takes for the actor's mailbox."""

    mailbox_limit: int | None
    mailbox_byte_limit: int | None
    on_full: OnFull


def spawn(
    birth: Birth,
    target: Callable[..., Any],
    args: tuple[Any, ...],
    *,
    on: Any,
    label: str | None,
    monitor: bool,
    **mailbox: Unpack[Mailbox],
) -> JoinHandle[Any]:
    """Spawn an actor that boots ``target``."""
    here = _core.worker_index()
    elsewhere = on is not None and on != "local" and on != here and (on != "main" or here != 0)
    if elsewhere or _is_found_by_name(target):
        return _core.spawn(boot, birth, target, *args, on=on, name=label, link=birth.linked, monitor=monitor, **mailbox)
    # On this worker a callable with state is handed over as it is, while the arguments are copied.
    function = functools.partial(boot, birth, target)
    return _core.spawn(function, *args, on=on, name=label, link=birth.linked, monitor=monitor, **mailbox)


def discard_exit(pid: Pid) -> Exit | None:
    """Take the Exit message of ``pid`` out of the mailbox, if it is there."""
    try:
        found: Exit = _core.receive(lambda message: type(message) is Exit and message.pid == pid, timeout=0)
    except Timeout:
        return None
    return found


def end_monitor(ref: Ref) -> None:
    """End a monitor and forget its Down."""
    _core.demonitor(ref, flush=True)


def wait_until_gone(ref: Ref) -> None:
    """Wait for the end of an actor that will not run: its name and what it holds are free then."""
    with suppress(Timeout):
        _core.receive(ref, timeout=patience_with_killed())
    end_monitor(ref)


def wait_until_started(handle: JoinHandle[Any], timeout: float | None) -> None:
    """Wait for an actor that was spawned with a monitor.

    Raises as ``join`` when it has ended, StartIgnored when it has decided not to run, Timeout after ``timeout`` seconds
    (it is killed).
    """
    pid, ref = handle.pid, handle.monitor
    assert ref is not None

    def concerns(message: Any) -> bool:
        kind = type(message)
        return (kind in (Started, Ignored) and message.pid == pid) or (kind is Down and message.ref == ref)

    try:
        message = _core.receive(concerns, timeout=timeout)
    except Timeout:
        abandon(pid, ref)
        raise Timeout(f"the actor {pid} was not ready after {timeout:g} s; it has been killed") from None
    if type(message) is Ignored:
        wait_until_gone(ref)
        raise StartIgnored(f"the actor {pid} was not started: its init returned IGNORE")
    if type(message) is Started:
        end_monitor(ref)
        return
    discard_exit(pid)
    handle.join()
    raise RuntimeError(f"the actor {pid} returned before it was ready")


def abandon(pid: Pid, ref: Ref) -> None:
    """Kill an actor that is not ready, and forget what it has told."""
    _core.unlink(pid)
    _core.kill(pid, interrupt_after=0)
    wait_until_gone(ref)
    discard_exit(pid)
    with suppress(Timeout):
        _core.receive(lambda message: type(message) in (Started, Ignored) and message.pid == pid, timeout=0)


def stop(address: Pid | str, reason: object, timeout: float | None) -> None:
    """Ask a server or supervisor to end and wait until it has, however full its mailbox is.

    Raises ProcessDown, Timeout, NotRegistered, and RuntimeError in that actor itself.
    """
    from smarm._errors import NotRegistered, ProcessDown

    check_timeout(timeout)
    pid = _core.whereis(address) if isinstance(address, str) else address
    if pid is None:
        raise NotRegistered(f"no actor has the name {address!r}")
    if pid == _core.self():
        raise RuntimeError(
            "an actor cannot wait for its own end: in a server's callback call self.stop(reason), elsewhere raise "
            "smarm.ActorExit(reason)"
        )
    ref = _core.monitor(pid)
    _core._send_past_limit(pid, Stop(reason))
    try:
        down: Down = _core.receive(ref, timeout=timeout)
    except BaseException:
        end_monitor(ref)
        raise
    if down.reason != reason:
        cause = down.reason if isinstance(down.reason, BaseException) else None
        raise ProcessDown(f"{address} ended for another reason: {down.reason!r}", address, down.reason) from cause
