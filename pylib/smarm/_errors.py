"""Every exception that smarm raises, in one tree.

``SmarmError`` is the root of what a program may want to catch.  ``ActorExit`` is not below it and not an ``Exception``:
it unwinds an actor that is being stopped, as ``GeneratorExit`` unwinds a generator.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smarm._core import Pid


class SmarmError(Exception):
    """Root of smarm's errors."""


class NoRuntime(SmarmError, RuntimeError):
    """The call needs a running actor: start one with ``smarm.run(main)`` or ``smarm-host app.py``."""


class AlreadyRunning(SmarmError, RuntimeError):
    """This process already has a running smarm runtime; there can be one at a time."""


class ConfigError(SmarmError, ValueError):
    """A configuration value is out of range or of the wrong type."""


class ActorLimit(SmarmError, RuntimeError):
    """There can be no more actors: the option that the message names (max_actors, max_stack_bytes) does not allow it."""


class BufferLimit(SmarmError, MemoryError):
    """There can be no more Buffers of that size: the option max_buffer_bytes does not allow it."""


class ExtensionCacheError(SmarmError, OSError):
    """There is no place for a private copy of an extension module, on disk or in memory; the message says why and what to do."""


class NotSendable(SmarmError, TypeError):
    """A value cannot leave its actor; the message names the path to it inside the argument or message."""


class DecodeError(SmarmError, ValueError):
    """A message's bytes are not what an encoder writes."""


class BufferMoved(SmarmError, BufferError):
    """The Buffer was sent, moved or split: its bytes have another owner now."""


class Closed(SmarmError):
    """The channel has no sender or no receiver any more.

    ``cause`` is what ``close(cause)`` was given, else None; an exception is the error's ``__cause__``, too.  ``source``
    is what a ``select`` found closed.
    """

    def __init__(self, message: str = "", cause: object = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.source: object = None
        if isinstance(cause, BaseException):
            self.__cause__ = cause


class DescriptorClosed(Closed, OSError):
    """A file descriptor was closed, or its number got another file, while an actor waited for it in the standard library.

    It is an OSError with errno EBADF, too, for code that knows nothing of smarm.
    """

    errno = 9  # EBADF, without importing a module for it


class Full(SmarmError):
    """The channel has no room for one more value, and its ``on_full`` is "error"."""


class MailboxFull(Full):
    """The actor's mailbox has as much as its limit allows, which the message names; nothing was sent.

    ``mailbox_limit`` is of the number of messages, ``mailbox_byte_limit`` of their bytes.
    """


class Timeout(SmarmError, TimeoutError):
    """A deadline passed before the awaited event."""


class LockTimeout(Timeout):
    """A Mutex or Semaphore could not be had before the timeout."""


class LockPoisoned(SmarmError):
    """An actor ended while it held the Mutex: what the lock protects may be half changed.

    ``pid`` is that actor.  The caller does not hold the lock; ``mutex.repair(timeout)`` is the way on.
    """

    def __init__(self, pid: Pid | None = None) -> None:
        super().__init__(f"actor {pid} ended while it held the Mutex; use repair() to put right what it protects")
        self.pid = pid


class TooLong(SmarmError, ValueError):
    """A line of a connection is longer than the limit; what came of it is read again."""


class EndOfStream(SmarmError, EOFError):
    """The stream ended before as many bytes as were asked for; ``partial`` has those that came."""

    def __init__(self, message: str = "", partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial


class ActorFailed(SmarmError):
    """The joined actor ended with an exception.

    ``pid`` and ``name`` say which actor, ``remote_traceback`` is its formatted traceback.  ``__cause__`` is the original
    exception where it could travel, otherwise None.
    """

    def __init__(
        self, message: str, pid: Pid | None = None, name: str | None = None, remote_traceback: str = ""
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.name = name
        self.remote_traceback = remote_traceback


class ActorKilled(ActorFailed):
    """The joined actor was stopped from outside before it could return; ``reason`` says why."""

    def __init__(self, message: str, pid: Pid | None = None, reason: object = "killed") -> None:
        super().__init__(message, pid)
        self.reason = reason


class NotThere(SmarmError):
    """Nobody is there: NotRegistered or ProcessDown.  It may come back under the same name: see ``whereis(timeout=)``."""


class ProcessDown(NotThere):
    """The called actor has ended without answering, or never was; ``pid`` (or name) and ``reason`` say more."""

    def __init__(self, message: str, pid: Pid | str | None = None, reason: object = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.reason = reason


class SupervisorError(SmarmError):
    """A supervisor refuses what it is asked for; the message says why."""


class StartFailed(SupervisorError):
    """A child did not start: ``id`` says which, ``reason`` is its exit reason and, if that is an exception, the cause."""

    def __init__(self, message: str, id: object = None, reason: object = None) -> None:
        super().__init__(message)
        self.id = id
        self.reason = reason


class StartIgnored(SmarmError):
    """The server's ``init`` returned ``Server.IGNORE``: it was not to be started, which is no failure."""


class NotRegistered(NotThere, LookupError):
    """No living actor has that name."""


class Deadlock(SmarmError):
    """In a simulation: every actor waits, and no timer is left that could wake one.  The message shows where."""


class TooManySteps(SmarmError):
    """A simulation has made more than ``max_steps`` steps: it may go on for ever.  ``seed`` is its seed."""

    def __init__(self, message: str, seed: int) -> None:
        super().__init__(message)
        self.seed = seed


class NotSimulated(SmarmError, RuntimeError):
    """A simulation cannot do that: the message says what to do instead."""


class SeedFailed(SmarmError, AssertionError):
    """``explore`` found a seed whose run fails: ``seed``; what it failed with is ``__cause__``."""

    def __init__(self, message: str, seed: int) -> None:
        super().__init__(message)
        self.seed = seed


class ActorExit(BaseException):
    """Raised inside an actor that is to end, so that its ``finally`` blocks run.  Do not swallow it.

    ``reason`` becomes the actor's exit reason.  Raise it yourself to end the running actor with a reason.
    """

    def __init__(self, reason: object = "killed") -> None:
        super().__init__(reason)
        self.reason = reason


class Cancelled(BaseException):
    """Raised inside a ``timeout`` or ``TaskGroup`` block that is to end now.  Do not swallow it.

    It never leaves its block, which turns it into Timeout or into the errors of the group.
    """


class EndOfLoad(BaseException):
    """Ends the load of the script in a worker, where it reaches a call that needs a running actor.  Internal."""


def _name_as_imported() -> None:
    """Give each class the module from which programs import it."""
    for_tests = {"Deadlock", "TooManySteps", "NotSimulated", "SeedFailed"}
    for value in list(globals().values()):
        if isinstance(value, type) and value.__module__ == __name__ and value is not EndOfLoad:
            value.__module__ = "smarm.testing" if value.__name__ in for_tests else "smarm"


_name_as_imported()
