"""TLS over a Connection; in a module of its own because importing ssl costs every interpreter milliseconds."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from smarm import _reading
from smarm._core import Connection
from smarm._deadline import Deadline
from smarm._errors import Closed

_RECV_BYTES = 64 * 1024


class TlsConnection:
    """A TLS stream over a Connection; made by ``connect_tls`` and ``wrap_tls``.

    One actor may read while another writes.  A write that fails or times out half-way closes the connection: the peer
    could not make sense of what follows.
    """

    def __init__(
        self, connection: Connection, context: ssl.SSLContext, server_side: bool, server_name: str | None
    ) -> None:
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
        self._sending = threading.Lock()  # records must leave in the order in which they were made
        self._receiving = threading.Lock()
        self._given_back = b""  # received, and the next to be received: see smarm._reading

    def _flush(self, deadline: Deadline) -> None:
        with self._sending:
            data = self._outgoing.read()
            if not data:
                return
            try:
                self._connection.sendall(data, timeout=deadline.left())
            except BaseException:
                self._connection.close()
                raise

    def _feed(self, deadline: Deadline) -> None:
        """Take what the peer sent next, unless another actor has done it meanwhile."""
        before = self._incoming.pending
        with self._receiving:
            if self._incoming.pending != before:
                return
            data = self._connection.recv(_RECV_BYTES, timeout=deadline.left())
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _run(self, step: Callable[..., Any], *args: Any, deadline: Deadline) -> Any:
        while True:
            try:
                result = step(*args)
            except ssl.SSLWantReadError:
                self._flush(deadline)
                self._feed(deadline)
                continue
            except ssl.SSLEOFError:
                self._connection._lose_peer()
                raise
            except ssl.SSLError:
                self._flush(deadline)  # the alert that tells the peer why
                raise
            self._flush(deadline)
            return result

    def do_handshake(self, timeout: float | None = None) -> None:
        """Agree on keys; done already when you get the object.  Raises ssl.SSLError, Timeout, Closed, OSError."""
        self._run(self._tls.do_handshake, deadline=Deadline(timeout))

    def recv(self, size: int, timeout: float | None = None) -> bytes:
        """Return at most size bytes as soon as there are any; b"" when the peer has ended the stream.

        Raises ssl.SSLEOFError when the peer vanished without saying so, Timeout, Closed, OSError.
        """
        if self._given_back:
            data, self._given_back = self._given_back[:size], self._given_back[size:]
            return data
        try:
            return self._run(self._tls.read, size, deadline=Deadline(timeout))  # type: ignore[no-any-return]
        except ssl.SSLZeroReturnError:
            return b""

    def recv_into(self, buffer: Any, timeout: float | None = None) -> int:
        """As recv, into a writable buffer; return the number of bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        if self._given_back:
            data = self.recv(len(view))
            view[: len(data)] = data
            return len(data)
        try:
            return self._run(self._tls.read, len(view), view, deadline=Deadline(timeout))  # type: ignore[no-any-return]
        except ssl.SSLZeroReturnError:
            return 0

    def readline(self, limit: int = 65536, timeout: float | None = None) -> bytes:
        """Return the next line, its newline included; see ``Connection.readline``."""
        return _reading.readline(self, limit, timeout)

    def lines(self, limit: int = 65536, timeout: float | None = None) -> Iterator[bytes]:
        """Iterate over the lines until the stream ends; see ``Connection.lines``."""
        return _reading.lines(self, limit, timeout)

    def read_exactly(self, size: int, /, timeout: float | None = None) -> bytes:
        """Return that many bytes; see ``Connection.read_exactly``."""
        return _reading.read_exactly(self, size, timeout)

    def _unread(self, data: bytes, /) -> None:
        self._given_back = data + self._given_back

    @property
    def _has_unread(self) -> bool:
        return bool(self._given_back or self._tls.pending() or self._incoming.pending)

    def sendall(self, data: Any, timeout: float | None = None) -> None:
        """Send all of data.  Raises Timeout, after which the connection is closed, Closed, OSError, ssl.SSLError."""
        deadline = Deadline(timeout)
        view = memoryview(data).cast("B")
        while view:
            written = self._run(self._tls.write, view[:_RECV_BYTES], deadline=deadline)
            view = view[written:]

    def shutdown(self, timeout: float | None = None) -> None:
        """Tell the peer that nothing more will come; its recv then gives b"".  TLS ends both directions."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError, ssl.SSLZeroReturnError):
            self._tls.unwrap()  # its answer is of no use
        self._flush(Deadline(timeout))

    def close(self) -> None:
        """Close without a word; actors that wait for it get Closed.  Again: does nothing."""
        self._connection.close()

    def fileno(self) -> int:
        """Return the file descriptor, -1 when closed."""
        return self._connection.fileno()

    @property
    def closed(self) -> bool:
        """Whether it has been closed here."""
        return self._connection.closed

    @property
    def local_address(self) -> Any:
        """This end's address."""
        return self._connection.local_address

    @property
    def peer_address(self) -> Any:
        """The other end's address."""
        return self._connection.peer_address

    @property
    def tls(self) -> ssl.SSLObject:
        """The SSLObject: ``version()``, ``cipher()``, ``getpeercert()``, ``selected_alpn_protocol()`` ..."""
        return self._tls

    def __enter__(self) -> TlsConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self.closed:
            with contextlib.suppress(OSError, Closed):  # the peer may have gone first
                self.shutdown(timeout=1.0)
        self.close()
