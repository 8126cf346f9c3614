"""Reading lines and exact sizes from a connection, whatever pieces they arrive in.

What was received and not asked for is given back to the connection, which its next ``recv`` returns first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from smarm._deadline import Deadline
from smarm._errors import EndOfStream, TooLong

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 8192  # of a line: what is given back is copied


class _Connection(Protocol):
    def recv(self, size: int, timeout: float | None = None) -> bytes: ...
    def _unread(self, data: bytes, /) -> None: ...


def readline(connection: _Connection, limit: int = 65536, timeout: float | None = None) -> bytes:
    """Return the next line with its newline; without one when the stream ends in it, b"" at the end."""
    deadline = Deadline(timeout)
    line = b""
    try:
        while True:
            data = connection.recv(_PIECE, deadline.left())
            end = data.find(b"\n") + 1
            line += data
            if len(line) - len(data) + (end or len(data)) > limit:
                raise TooLong(f"the line is longer than {limit} bytes")
            if end or not data:
                rest = data[end:] if end else b""
                connection._unread(rest)
                return line[: len(line) - len(rest)]
    except BaseException:
        connection._unread(line)
        raise


def lines(connection: _Connection, limit: int = 65536, timeout: float | None = None) -> Iterator[bytes]:
    """Iterate over the lines until the stream ends."""
    while line := readline(connection, limit, timeout):
        yield line


def read_exactly(connection: _Connection, size: int, /, timeout: float | None = None) -> bytes:
    """Return ``size`` bytes."""
    if size < 0:
        raise ValueError(f"read_exactly() takes a size of 0 or more bytes, not {size}")
    deadline = Deadline(timeout)
    parts: list[bytes] = []
    missing = size
    try:
        while missing:
            data = connection.recv(missing, deadline.left())
            if not data:
                raise EndOfStream(f"the stream ended after {size - missing} of {size} bytes", b"".join(parts))
            parts.append(data)
            missing -= len(data)
    except BaseException:
        connection._unread(b"".join(parts))
        raise
    return b"".join(parts)
