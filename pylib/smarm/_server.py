"""Servers: an actor with state that answers calls, one at a time.  OTP's gen_server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, Protocol, Unpack, overload

from smarm import _core
from smarm._deadline import Deadline, check_timeout
from smarm._errors import ActorExit, DecodeError, NoRuntime, ProcessDown, Timeout
from smarm._names import whereis
from smarm._signals import HANDLING, Call, Caller, Exit
from smarm.supervision import starting

if TYPE_CHECKING:
    from smarm._core import Pid


class Cast(NamedTuple):
    """A message for handle_cast."""

    message: Any


class _Named(NamedTuple):
    """The last of start's arguments: those of init that were given by name."""

    values: dict[str, Any]


if TYPE_CHECKING:
    type Place = Literal["local", "main", "spread"] | int | None

    class _HasInit[**Init](Protocol):
        def init(self, *args: Init.args, **named: Init.kwargs) -> object: ...

    class _Options(starting.Mailbox, total=False):
        timeout: float | None


class ServerRef(NamedTuple):
    """Names a server by its Pid or by its registered name; sendable.

    ``ServerRef("db")`` finds whoever has that name when it is used: it stays good when a supervisor restarts the
    server.
    """

    address: Pid | str

    @property
    def pid(self) -> Pid | None:
        """The server's Pid; None when nobody has the name now."""
        pid: Pid | None = _core.whereis(self.address) if isinstance(self.address, str) else self.address
        return pid

    def call(self, request: object, timeout: float | None = 5.0, *, wait: float | None = 0.0) -> Any:
        """Return what the server's handle_call answers.  Parks; raises as ``smarm.call``.

        ``wait``: seconds to wait for somebody to have the server's name (None: any time), for calls while a supervisor
        restarts it.  A call that it has taken is never made again: when it ends in it, that is ProcessDown.
        """
        if wait == 0 or not isinstance(self.address, str):
            return _core.call(self.address, request, timeout=timeout)
        deadline = Deadline(wait)
        while True:
            pid = whereis(self.address, timeout=deadline.left())
            try:
                return _core.call(pid, request, timeout=timeout)
            except ProcessDown as error:
                if error.reason != "noproc":  # it was gone before the call came
                    raise

    def cast(self, message: object) -> None:
        """Send a message for handle_cast; never waits.  Raises NotRegistered, NotSendable."""
        _core.send(self.address, Cast(message))

    def stop(self, reason: object = "normal", timeout: float | None = None) -> None:
        """Ask the server to end after what is in its mailbox, and wait until it has called terminate and ended.

        Raises ProcessDown when it had ended or ends for another reason, Timeout, NotRegistered, and RuntimeError in the
        server itself, whose callbacks call ``self.stop(reason)``.
        """
        starting.stop(self.address, reason, timeout)


class Server:
    """Base class of servers.  Override what the server needs; the state is in ``self``.

    Callbacks run in the server's actor, one after the other.  An exception that leaves one ends the server:
    ``terminate`` is called, callers that wait get ProcessDown with that reason, and a supervisor restarts it.  ``raise
    smarm.ActorExit(reason)`` ends it on purpose, ``self.stop(reason)`` does so after the callback has returned.
    """

    NO_REPLY: ClassVar[Final] = object()
    """Returned by handle_call to answer later: ``smarm.reply(caller, value)``, from any actor."""

    IGNORE: ClassVar[Final] = object()
    """Returned by init when the server is not to run, which is no failure: start raises StartIgnored, a supervisor keeps
    the child as one that is stopped."""

    idle_timeout: float | None = None
    """Seconds without a message after which handle_timeout is called."""

    _stop: starting.Stop | None = None
    _continuation: tuple[Any] | None = None

    # With options mypy cannot check args against an init that has defaults.
    @overload
    @classmethod
    def start[**Init](cls: type[_HasInit[Init]], *args: Init.args, **named: Init.kwargs) -> ServerRef: ...
    @overload
    @classmethod
    def start(
        cls, *args: Any, name: str | None, on: Place = None, link: bool = False, **more: Unpack[_Options]
    ) -> ServerRef: ...
    @overload
    @classmethod
    def start(cls, *args: Any, on: Place, link: bool = False, **more: Unpack[_Options]) -> ServerRef: ...
    @overload
    @classmethod
    def start(cls, *args: Any, link: bool, **more: Unpack[_Options]) -> ServerRef: ...
    @overload
    @classmethod
    def start(cls, *args: Any, timeout: float | None, **mailbox: Unpack[starting.Mailbox]) -> ServerRef: ...
    @overload
    @classmethod
    def start(
        cls,
        *args: Any,
        mailbox_limit: int | None,
        mailbox_byte_limit: int | None = None,
        on_full: starting.OnFull = "error",
    ) -> ServerRef: ...
    @classmethod  # type: ignore[misc]  # the cls of the first overload is narrower
    def start(
        cls,
        *args: Any,
        name: str | None = None,
        on: str | int | None = None,
        link: bool = False,
        timeout: float | None = None,
        mailbox_limit: int | None = None,
        mailbox_byte_limit: int | None = None,
        on_full: starting.OnFull = "error",
        **named: Any,
    ) -> ServerRef:
        """Start a server, wait until its ``init(*args)`` has returned, and return its ServerRef.

        What else is given by name goes to init, too.  ``name`` registers it before init.  ``on`` chooses its worker, ``link`` links it to the caller,
        ``mailbox_limit``, ``mailbox_byte_limit`` and ``on_full`` bound what may wait for it, as for spawn.
        Raises ActorFailed with init's exception as its cause, StartIgnored when init returned IGNORE, ActorKilled,
        Timeout (it is killed), NotSendable.
        """
        check_timeout(timeout)
        if _core.worker_index() is None:
            raise NoRuntime(
                f"{cls.__qualname__}.start() needs a running actor: start one with smarm.run(main) or smarm-host app.py"
            )
        if named:
            args += (_Named(named),)
        birth = starting.Birth(_core.self(), link, True, True, name, starting.ancestors())
        handle = starting.spawn(
            birth,
            cls,
            args,
            on=on,
            label=name or cls.__name__,
            monitor=True,
            mailbox_limit=mailbox_limit,
            mailbox_byte_limit=mailbox_byte_limit,
            on_full=on_full,
        )
        starting.wait_until_started(handle, timeout)
        return ServerRef(handle.pid)

    # ---- callbacks ---------------------------------------------------------------------------------------------------

    def init(self, *args: Any) -> object:
        """Set the server up; its starter waits.  An exception here is raised in the starter.

        Returns IGNORE when the server is not to run; anything else that it returns says nothing.
        """
        if args:
            raise TypeError(f"{type(self).__qualname__}.init takes no arguments; {len(args)} were given")
        return None

    def handle_call(self, request: Any, caller: Call) -> Any:
        """Return the answer to a call, or NO_REPLY.

        ``caller.pid`` is who calls.  ``caller`` may be kept and sent, to other actors or to this one (handle_info gets it),
        for ``smarm.reply``.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has no handle_call")

    def handle_cast(self, message: Any) -> None:
        """Take what ``cast`` sent."""
        raise NotImplementedError(f"{type(self).__qualname__} has no handle_cast")

    def handle_info(self, message: Any) -> None:
        """Take any other message: what ``smarm.send`` sent, Down, Exit of an actor that is not the parent."""
        import logging

        logging.getLogger("smarm.server").warning(
            "%s got a message that it does not expect: %r", self._label(), message
        )

    def handle_timeout(self) -> None:
        """Called when no message came for ``idle_timeout`` seconds."""

    def handle_continue(self, value: Any) -> None:
        """Called before the next message with what ``proceed`` was given."""

    def terminate(self, reason: Any) -> None:
        """Clean up: the server ends.  ``reason`` is the exit reason, or the exception that a callback raised.

        Not called when init failed.  In a killed server the first call that parks raises ActorExit again.
        """

    # ---- for callbacks -----------------------------------------------------------------------------------------------

    def stop(self, reason: object = "normal") -> None:
        """End the server when the running callback has returned (and its answer has been sent)."""
        self._stop = starting.Stop(reason)

    def proceed(self, value: object = None) -> None:
        """Call ``handle_continue(value)`` after the running callback, before any message: for the slow part of init.

        Raises RuntimeError at a second call in one callback: there is one continuation.
        """
        if self._continuation is not None:
            raise RuntimeError(
                f"{self._label()} called proceed() twice in one callback, with {_shorten(self._continuation[0])} first: "
                "handle_continue is called once; it may call proceed() again"
            )
        self._continuation = (value,)

    # ---- the loop ----------------------------------------------------------------------------------------------------

    @classmethod
    def _run_as_actor(cls, *args: Any) -> None:
        server = cls()
        named: dict[str, Any] = {}
        if args and type(args[-1]) is _Named:
            *args, (named,) = args  # type: ignore[assignment]
        if server.init(*args, **named) is Server.IGNORE:
            starting.ignored()
        else:
            server._run()

    def _run(self) -> None:
        parent = starting.parent()
        try:
            starting.started()  # from here on terminate is called, whenever an exit signal comes
            while self._stop is None:
                self._step(parent)
        except BaseException as error:
            self.terminate(error.reason if isinstance(error, ActorExit) else error)
            raise
        self._end(self._stop.reason)

    def _end(self, reason: object) -> None:
        self.terminate(reason)
        if reason != "normal":
            raise ActorExit(reason)

    def _step(self, parent: Pid | None) -> None:
        if self._continuation is not None:
            (value,), self._continuation = self._continuation, None
            self.handle_continue(value)
            return
        try:
            message = _core.receive(timeout=self.idle_timeout)
        except Timeout:
            self.handle_timeout()
            return
        except DecodeError:  # its sender's fault: counted, and lost alone
            return
        try:
            self._dispatch(message, parent)
        except Exception as error:
            error.add_note(f"{self._label()}{HANDLING}{_shorten(message)}")
            raise

    def _dispatch(self, message: Any, parent: Pid | None) -> None:
        kind = type(message)
        if kind is Call:
            answer = self.handle_call(message.request, Caller(*message))
            if answer is not Server.NO_REPLY:
                _core.reply(message, answer)
        elif kind is Cast:
            self.handle_cast(message.message)
        elif kind is starting.Stop:
            self._stop = message
        elif kind is Exit and message.pid == parent:
            self._stop = starting.Stop(message.reason)
        else:
            self.handle_info(message)

    def _label(self) -> str:
        return f"server {type(self).__qualname__} {_core.self()}"


def _shorten(message: object) -> str:
    try:
        text = repr(message)
    except Exception:  # of a user's class
        return f"<{type(message).__qualname__}, whose repr failed>"
    return text if len(text) <= 500 else text[:500] + "..."
