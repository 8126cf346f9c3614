"""File descriptors: wait, read, write and close without blocking the worker.

Every function takes an int or an object with ``fileno()``, and a timeout in seconds (None: no limit).
"""

from smarm._core import _io

wait_readable = _io.wait_readable
wait_writable = _io.wait_writable
read = _io.read
write = _io.write
close = _io.close

__all__ = ["close", "read", "wait_readable", "wait_writable", "write"]
