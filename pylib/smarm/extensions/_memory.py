"""Copies in memory, for where no file can be kept or loaded.  They cost their whole size for as long as they are loaded."""

from __future__ import annotations

import errno
import os
import time

MFD_CLOEXEC = 0x1
MFD_EXEC = 0x10
"""Says that it is for code (Linux 6.3+), where vm.memfd_noexec would have it otherwise."""


def create(name: str) -> tuple[str, int]:
    """Make an empty file in memory; return a path under which dlopen finds it, and its descriptor, which the caller closes.

    The path works in this process only, while the descriptor is open; what is mapped stays when it is closed.  Raises OSError.
    """
    descriptor = _create(name)
    try:
        path = _unused_name(descriptor)
        os.stat(path)  # there may be no /proc
    except BaseException:
        os.close(descriptor)
        raise
    return path, descriptor


def _create(name: str) -> int:
    label = name.encode("ascii", "backslashreplace").decode()[-200:]  # the kernel takes 249 bytes
    try:
        return os.memfd_create(label, MFD_CLOEXEC | MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.memfd_create(label, MFD_CLOEXEC)


def _unused_name(descriptor: int) -> str:
    """Return a name of the open file that has never been used in this process.

    glibc compares names before it opens anything: under a name that it has seen it answers with the library of then,
    and numbers of descriptors come again.  So the time is part of the name, as "/." and "/" for its bits: copies that are
    open at the same time differ by the descriptor, others by the time.
    """
    bits = "".join("/." if bit == "1" else "/" for bit in f"{time.monotonic_ns():b}")
    return f"/proc/self{bits}/fd/{descriptor}"
