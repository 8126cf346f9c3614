"""Stream sockets for actors: TCP, Unix and TLS, plain blocking calls that park.

An address is ``(host, port)`` for TCP, or a path (str, bytes, PathLike; a leading NUL makes it abstract) for a Unix
socket.  Every timeout is in seconds, for the whole call; None means no limit.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import socket
import sys
from collections.abc import Callable
from typing import Any

from smarm import _core
from smarm._core import Connection as Connection
from smarm._core import Listener as Listener
from smarm._core import block_on_io, spawn
from smarm._core import sleep as _sleep
from smarm._deadline import Deadline
from smarm._errors import ActorExit, ConfigError, Timeout
from smarm.io import wait_writable

# ssl is imported where it is needed: that takes as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from smarm._tls import TlsConnection as TlsConnection

type Address = tuple[str, int] | tuple[str, int, int, int] | str | bytes | os.PathLike[str]

__all__ = [
    "Address",
    "Connection",
    "Listener",
    "TlsConnection",
    "connect",
    "connect_tls",
    "listen",
    "serve",
    "wrap_tls",
]


def __getattr__(name: str) -> Any:
    if name == "TlsConnection":
        from smarm._tls import TlsConnection

        return TlsConnection
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _is_path(address: Address) -> bool:
    return isinstance(address, (str, bytes, os.PathLike))


def _checked_path(path: str | bytes) -> bytes:
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError as error:
        raise ValueError(f"{path!r} is no path of a file: {error.reason}") from None
    if re.fullmatch(rb"[\w.-]*:\d{1,5}", name) or re.fullmatch(rb"\[[\da-fA-F:.]+\]:\d{1,5}", name):
        host, _, port = os.fsdecode(name).rpartition(":")
        raise ValueError(
            f"{path!r} would be the path of a Unix socket: a TCP address is a tuple, ({host.strip('[]')!r}, {port}); "
            f"such a path is {'./' + os.fsdecode(name)!r}"
        )
    if not name:
        raise ValueError(
            "the path of a Unix socket must not be empty: it would name nothing that others can connect to"
        )
    if b"\0" in name and not name.startswith(b"\0"):
        raise ValueError(f"the path of a Unix socket has no NUL, unless it begins with one (abstract): not {path!r}")
    return name


def _check_host(host: object) -> None:
    if not isinstance(host, (str, bytes, type(None))):
        raise TypeError(f"a host is a str, not {host!r}")
    try:
        name = host.encode("idna") if isinstance(host, str) else host or b""
    except UnicodeError as error:
        raise ValueError(f"{host!r} is no name of a host: {getattr(error, 'reason', error)}") from None
    if b"\0" in name:
        raise ValueError(f"{host!r} is no name of a host: it has a NUL")


def _check_port(port: object) -> None:
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"a port is a number from 0 to 65535, not {port!r}")
    if not 0 <= port <= 65535:
        raise OverflowError(f"a port is a number from 0 to 65535, not {port}")


def _resolve(address: Address, deadline: Deadline, flags: int = 0) -> list[tuple[int, Any]]:
    """Return (family, address) pairs to try; names are looked up on a thread of the worker's pool."""
    if isinstance(address, (str, bytes, os.PathLike)):
        return [(socket.AF_UNIX, _checked_path(os.fspath(address)))]
    if not isinstance(address, tuple) or len(address) not in (2, 4):
        raise TypeError(f"an address is (host, port) or the path of a Unix socket, not {address!r}")
    host, port = address[:2]
    _check_host(host)
    _check_port(port)
    look_up = functools.partial(socket.getaddrinfo, host or None, port, type=socket.SOCK_STREAM)
    try:
        found = look_up(flags=flags | socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = block_on_io(functools.partial(look_up, flags=flags), timeout=deadline.left())
    # getaddrinfo takes no flow and scope.
    return [
        (family, where[:2] + address[2:] if len(where) == 4 and len(address) == 4 else where)
        for family, _, _, _, where in found
    ]


def listen(address: Address, *, backlog: int = 1024, reuse_port: bool = False, mode: int = 0o600) -> Listener:
    """Listen on a TCP or Unix address; port 0 takes a free one, see ``Listener.address``.

    ``mode`` is the permission of a Unix socket's file, less the umask: who may write to it may connect.
    ``reuse_port`` lets several workers (or processes) listen on the same port: the kernel spreads connections over
    them.  Raises OSError, TypeError, ValueError, OverflowError (a port out of range).
    """
    problem: OSError | None = None
    for family, where in _resolve(address, Deadline(None), socket.AI_PASSIVE):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                if family != socket.AF_UNIX:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
                else:
                    os.fchmod(sock.fileno(), mode)  # of the file that bind makes: there is no moment without it
                if reuse_port:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                sock.bind(where)
                sock.listen(backlog)
                return _own(Listener, sock)
        except OSError as error:
            problem = problem or error
    raise problem or OSError(errno.EADDRNOTAVAIL, f"{address!r} names no address")


def connect(address: Address, *, timeout: float | None = None) -> Connection:
    """Connect to a TCP or Unix address, trying all addresses of a host name in turn.

    Raises Timeout, OSError (ConnectionRefusedError, socket.gaierror ...), TypeError, ValueError, OverflowError (a port out of
    range).
    """
    deadline = Deadline(timeout)
    problem: OSError | None = None
    for family, where in _resolve(address, deadline):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                if family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _connect(sock, where, deadline)
                return _own(Connection, sock)
        except Timeout:
            raise
        except OSError as error:
            problem = problem or error
    raise problem or OSError(errno.EADDRNOTAVAIL, f"{address!r} names no address")


def _own[T: (Listener, Connection)](kind: Callable[[int], T], sock: socket.socket) -> T:
    made = kind(sock.fileno())
    sock.detach()
    return made


def _connect(sock: socket.socket, where: Any, deadline: Deadline) -> None:
    sock.setblocking(False)
    while (
        code := sock.connect_ex(where)
    ) == errno.EAGAIN:  # a Unix socket whose backlog is full; nothing tells when it is not
        if deadline.left() == 0:
            raise Timeout("the peer did not accept the connection before the timeout")
        _sleep(0.001)
    if code == errno.EINPROGRESS:
        try:
            wait_writable(sock, timeout=deadline.left())
        except Timeout:
            raise Timeout("the connection was not made before the timeout") from None
        # Asked again, the system takes note that it has been connected.
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or sock.connect_ex(where)
    if code not in (0, errno.EISCONN):
        raise OSError(code, os.strerror(code))


# ---- TLS -------------------------------------------------------------------------------------------------------------


def wrap_tls(
    connection: Connection,
    context: ssl.SSLContext,
    *,
    server_side: bool = False,
    server_name: str | None = None,
    timeout: float | None = None,
) -> TlsConnection:
    """Speak TLS on a connection from here on: do the handshake and return the TlsConnection, which owns the connection.

    When the handshake fails the connection is closed.  Raises ssl.SSLError, Timeout, OSError.
    """
    from smarm._tls import TlsConnection

    try:
        wrapped = TlsConnection(connection, context, server_side, server_name)
        wrapped.do_handshake(timeout)
    except BaseException:
        connection.close()
        raise
    return wrapped


def connect_tls(
    address: Address,
    *,
    context: ssl.SSLContext | None = None,
    server_name: str | None = None,
    timeout: float | None = None,
) -> TlsConnection:
    """Connect and do the TLS handshake.

    ``context`` defaults to ``ssl.create_default_context()``; ``server_name``, which the certificate must have, to the
    host of the address.  Raises ssl.SSLError, Timeout, OSError.
    """
    import ssl

    deadline = Deadline(timeout)
    if context is None:
        context = ssl.create_default_context()
    if server_name is None and isinstance(address, tuple):
        server_name = address[0]
    return wrap_tls(
        connect(address, timeout=deadline.left()), context, server_name=server_name, timeout=deadline.left()
    )


# ---- serving ---------------------------------------------------------------------------------------------------------


def serve(
    handler: Callable[[Connection], object],
    address: Address,
    *,
    workers: int = 1,
    backlog: int = 1024,
    ready: Callable[[Any], object] | None = None,
    name: str | None = None,
) -> None:
    """Accept connections for ever; each gets an actor of its own that runs ``handler(connection)``.

    That actor is on the worker that accepted.  The connection is closed when the handler ends; an exception ends that
    actor only and is reported.  When it is the ConnectionError (with TLS also ssl.SSLEOFError) of a peer that has
    vanished, the actor ends with reason ``("shutdown", error)``, which nobody reports.  ``workers`` beyond 1 makes others accept
    on the same TCP port, too, by actors that are
    linked to this one: ``handler`` must then be a function of a module.  ``ready`` is called with the address when
    connections are taken.
    ``name`` is what the connections' actors are called in dumps and reports.  Raises OSError when the address cannot be
    had, ConfigError.
    """
    most = _core._statistics()["max_workers"]
    if not isinstance(workers, int) or not 1 <= workers <= most:
        raise ConfigError(f"workers must be from 1 to {most}, the workers of this runtime, not {workers!r}")
    if workers > 1 and _is_path(address):
        raise ConfigError("a Unix socket has one listener: workers must be 1")
    listener = listen(address, backlog=backlog, reuse_port=workers > 1)
    own = _core.worker_index()
    others = [index for index in range(most) if index != own][: workers - 1]
    for index in others:
        label = f"{name or 'acceptor'} {index}"
        _core.link(spawn(_serve_here, handler, listener.address, backlog, name, on=index, name=label))
    if ready is not None:
        ready(listener.address)
    _accept_all(handler, listener, name)


def _serve_here(handler: Callable[[Connection], object], address: Address, backlog: int, name: str | None) -> None:
    _accept_all(handler, listen(address, backlog=backlog, reuse_port=True), name)


def _is_loss(error: OSError) -> bool:
    """Whether a peer that vanished can be the reason."""
    ssl = sys.modules.get("ssl")
    return isinstance(error, ConnectionError) or (ssl is not None and isinstance(error, ssl.SSLEOFError))


def _accept_all(handler: Callable[[Connection], object], listener: Listener, name: str | None) -> None:
    with listener:
        while True:
            try:
                connection = listener.accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                _sleep(0.05)  # until some connections have ended
                continue

            def handle(connection: Connection = connection) -> None:
                with connection:
                    try:
                        handler(connection)
                    except OSError as error:
                        if not (connection._peer_has_gone and _is_loss(error)):
                            raise
                        # An end like any other for a server; those that are linked to the handler end, too.
                        raise ActorExit(("shutdown", error)) from None

            spawn(handle, on="local", name=name)
