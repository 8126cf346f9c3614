"""What an actor is told about the end of others."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    from smarm._core import Pid
else:
    from smarm._record import NamedTuple


HANDLING = " was handling "
"""In the note that a server adds to an exception: behind it is the message."""


class Ref(int):
    """Names one monitor (or call); unique in the process, hashable, sendable."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<ref {int(self)}>"

    def __copy__(self) -> Ref:
        return self

    def __deepcopy__(self, memo: object) -> Ref:
        return self


class Down(NamedTuple):
    """A monitored actor has ended, or never was (reason "noproc")."""

    ref: Ref
    pid: Pid
    reason: Any
    """"normal", "shutdown", "killed", "noproc", what exit() was given, or an ActorFailed."""


class Exit(NamedTuple):
    """A linked actor has ended, or somebody sent an exit signal; for actors that trap exits."""

    pid: Pid
    reason: Any


class Signal:
    """What a parent is told of a child that was spawned with ``signal=True`` or ``time_limit=``: one of these three."""

    class Exit(NamedTuple):
        """The child has ended: it returned, or was asked to end."""

        pid: Pid
        reason: Any
        """"normal", "shutdown", "killed", or what exit() was given."""

    class Panic(NamedTuple):
        """The child has failed."""

        pid: Pid
        error: Any
        """An ActorFailed, with the child's exception as its cause."""

    class Timeout(NamedTuple):
        """The child has not ended within its time_limit; it goes on."""

        pid: Pid


class Call(NamedTuple):
    """A request that waits for its answer: ``smarm.reply(call, value)``."""

    ref: Ref
    caller: Pid
    request: Any

    @property
    def pid(self) -> Pid:
        """Who calls."""
        return self.caller


class Caller(Call):
    """The Call that a Server hands to handle_call; sent on, it is data, not a call."""

    __slots__ = ()
