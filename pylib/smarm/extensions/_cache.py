"""Private copies of shared objects, kept between runs and shared by processes of the user.

A copy belongs to one version of its original, one Python and one slot.  The layout, and why processes may add and remove
at the same time, is in ``_contents``; who could plant a copy, and why nobody can, in ``_directory``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.machinery
import os
import stat
import time
from collections.abc import Callable
from typing import NoReturn

from smarm import _core
from smarm._errors import ConfigError, ExtensionCacheError
from smarm.extensions import _directory, _memory

LIMIT = 4 << 30
"""Bytes of the whole cache, unless SMARM_EXTENSION_CACHE_BYTES says otherwise."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENAMETOOLONG, errno.EBUSY)
"""Errors of one copy; after others nothing more is written."""

_PATIENCE = 100  # times that a directory may be removed by others between its being made and its being opened


class _DiskRefuses(Exception):
    """No copy can be kept; the message says why."""


class Cache:
    """The copies, as one interpreter sees them.  Its methods may be called by any thread of it.

    ``place`` is the directory, by default that of the environment; ``limit`` the bytes of all in it.
    """

    def __init__(self, place: str | None = None, *, limit: int | None = None, tag: str | None = None) -> None:
        self._place = place and os.path.abspath(place)
        self._limit = limit_of_environment() if limit is None else limit
        self._tag = (
            tag
            or f"{importlib.machinery.EXTENSION_SUFFIXES[0].strip('.').removesuffix('.so')}-smarm-{_core.__version__}"
        )
        self._root: str | None = None  # the place, once it is known that code may be loaded from it
        self._no_loads: str | None = None  # why that is not so
        self._no_writes: str | None = None  # why nothing new can be kept
        self._executes = False  # whether a copy was mapped as code
        self._bytes: int | None = None  # in the cache, as far as this interpreter knows
        self._in_memory: dict[tuple[str, ...], str] = {}
        self._held: dict[str, list[int]] = {}  # by path: descriptors that keep a copy until it is loaded

    @property
    def trouble(self) -> str | None:
        """Why new copies are made in memory, in a sentence's part; None while they are kept."""
        return self._no_loads or self._no_writes

    def place(self, original: str, slot: int, write: Callable[[int], None], *, variant: str = "") -> str:
        """Return the path of the copy of this file for this slot; the caller loads it, then calls ``release`` with the path.

        Without one ``write(descriptor)`` is called and must write it, from the descriptor's position 0; it may be called a
        second time with another descriptor.  What it writes must depend on the original, the slot and the ``variant``
        (letters and digits) alone.  The same path is returned for the same arguments until the interpreter ends.

        The bytes of a copy never change, whoever has it open.  The copy stays at least until ``release``: afterwards it
        may be removed, which what is mapped does not notice.  Where no file can be kept or loaded, the copy is in memory
        and the path leads to a descriptor that ``release`` closes.

        Blocks for the file system, and is no cancellation point.  Raises OSError if the original cannot be read, what
        ``write`` raises, and ExtensionCacheError if there is no room for a copy anywhere.
        """
        if variant and not variant.isalnum():
            raise ValueError(f"variant must be letters and digits, not {variant!r}")
        path, stamp = self._identify(original)
        stamp += f"-{variant}" if variant else ""
        key = (path, stamp, str(slot))
        if key in self._in_memory:
            return self._in_memory[key]
        try:
            return self._place_on_disk(path, stamp, slot, write)
        except _DiskRefuses as refusal:
            return self._place_in_memory(key, write, str(refusal))

    def release(self, path: str, *, loaded: bool = True) -> None:
        """Say that the copy that ``place`` returned is loaded, or that it will not be.  A path that is not held is ignored."""
        held = self._held.get(path)
        if held:
            os.close(held.pop())
        if not loaded:  # a name in memory is of use as the name of what is loaded only
            self._in_memory = {key: kept for key, kept in self._in_memory.items() if kept != path}

    # ---- on disk -----------------------------------------------------------------------------------------------------

    def _identify(self, original: str) -> tuple[str, str]:
        from smarm.extensions._contents import stamp_of

        path = os.path.realpath(original)
        return path, stamp_of(path)

    def _place_on_disk(self, path: str, stamp: str, slot: int, write: Callable[[int], None]) -> str:
        try:
            directory = self._enter(path, stamp, make=self._no_writes is None)
        except OSError as error:
            self._refuse_writes(error)
        try:
            name = _find_copy(directory, slot)
            if name is None:
                name = self._write(directory, slot, write)
            if not self._executes:
                self._check_execution(directory, name)
        except BaseException:
            os.close(directory)
            raise
        found = f"{self._root}/{self._tag}{path}/{stamp}/{name}"
        self._held.setdefault(found, []).append(directory)
        return found

    def _enter(self, path: str, stamp: str, *, make: bool) -> int:
        """Open the directory of a version and lock it, so that nothing in it is removed.  Raises _DiskRefuses, OSError."""
        root = self._open_root(make=make)
        directory = f"{root}/{self._tag}{path}/{stamp}"
        for _ in range(_PATIENCE):
            try:
                descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                if not make:
                    raise
                with contextlib.suppress(FileNotFoundError):  # somebody clears just now
                    _make_directories(directory)
                continue
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            try:
                if os.path.samestat(os.fstat(descriptor), os.stat(directory)):
                    return descriptor
            except FileNotFoundError:  # removed between our opening and our locking it
                pass
            os.close(descriptor)
        raise OSError(errno.EBUSY, "it is removed again and again", directory)

    def _open_root(self, *, make: bool) -> str:
        if self._no_loads:
            raise _DiskRefuses(self._no_loads)
        if self._root is None:
            try:
                place = self._place or _directory.default_place()
                root = _directory.open_place(place, make=make)
                if os.statvfs(root).f_flag & os.ST_NOEXEC:
                    raise _directory.Unusable(f"{root} is on a file system that is mounted noexec")
            except _directory.Unusable as refusal:
                self._refuse_loads(str(refusal))
            self._root = root
        return self._root

    def _write(self, directory: int, slot: int, write: Callable[[int], None]) -> str:
        """Write a copy under another name, and give it its own when it is whole."""
        if self._no_writes:
            raise _DiskRefuses(self._no_writes)
        temporary = f".{os.urandom(8).hex()}.tmp"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
        except OSError as error:
            self._refuse_writes(error)
        try:
            write(descriptor)
            size = os.fstat(descriptor).st_size
            os.fchmod(descriptor, 0o500)
            name = f"{slot}.{size}.so"
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                self._refuse_writes(error)
            raise
        finally:
            os.close(descriptor)
        self._account(size)
        return name

    def _account(self, size: int) -> None:
        """Add to what is known to be there, and make room when it is too much.  The first one looks, and sweeps."""
        from smarm.extensions import _contents

        assert self._root is not None
        known = self._bytes
        if known is None or known + size > self._limit:
            with contextlib.suppress(OSError):
                self._bytes = _contents.evict(self._root, self._limit)
        else:
            self._bytes = known + size

    def _check_execution(self, directory: int, name: str) -> None:
        """Map a copy as dlopen will: besides noexec there are security modules that forbid it."""
        import mmap

        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if os.fstat(descriptor).st_size:
                mmap.mmap(descriptor, 1, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC).close()
        except PermissionError as error:
            self._refuse_loads(f"code in {self._root} may not be executed ({error.strerror})")
        finally:
            os.close(descriptor)
        self._executes = True

    def _refuse_loads(self, why: str) -> NoReturn:
        self._no_loads = why
        raise _DiskRefuses(why)

    def _refuse_writes(self, error: OSError) -> NoReturn:
        where = self._root or self._place or os.environ.get("SMARM_EXTENSION_CACHE") or "the user's cache directory"
        why = self._no_writes or f"nothing can be written to {where} ({error.strerror or error})"
        if error.errno not in _PASSING:
            self._no_writes = why
        raise _DiskRefuses(why) from error

    # ---- in memory ---------------------------------------------------------------------------------------------------

    def _place_in_memory(self, key: tuple[str, ...], write: Callable[[int], None], refusal: str) -> str:
        try:
            path, descriptor = _memory.create(os.path.basename(key[0]))
        except OSError as error:
            raise _no_place(key[0], refusal, error) from error
        try:
            write(descriptor)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise _no_place(key[0], refusal, error) from error
            raise
        if (kept := self._in_memory.setdefault(key, path)) is not path:  # another thread was faster
            os.close(descriptor)
        else:
            self._held.setdefault(path, []).append(descriptor)
        return kept


def _no_place(original: str, refusal: str, error: OSError) -> ExtensionCacheError:
    return ExtensionCacheError(
        error.errno,
        f"there is no place for a private copy of {original}: {refusal}, and memory does not do ({error.strerror}). "
        "Let SMARM_EXTENSION_CACHE name a directory of yours on a disk with room, from which programs may be run",
    )


def limit_of_environment() -> int:
    """Return how many bytes the cache may have.  Raises ConfigError."""
    value = os.environ.get("SMARM_EXTENSION_CACHE_BYTES") or str(LIMIT)
    if not (value.isascii() and value.isdigit()):
        raise ConfigError(f"SMARM_EXTENSION_CACHE_BYTES must be a whole number of bytes, not {value!r}")
    return int(value)


def _find_copy(directory: int, slot: int) -> str | None:
    """Return the slot's copy if it is whole: one of another length than its name says was not on disk when the power went."""
    prefix = f"{slot}."
    for name in os.listdir(directory):
        if name.startswith(prefix):
            status = os.lstat(name, dir_fd=directory)
            if stat.S_ISREG(status.st_mode) and name == f"{slot}.{status.st_size}.so":
                _touch(name, directory)
                return name
    return None


def _touch(name: str, directory: int) -> None:
    """Note in the access time that it is used now: set by hand, many file systems do not."""
    with contextlib.suppress(OSError):
        written = os.lstat(name, dir_fd=directory).st_mtime_ns
        os.utime(name, ns=(time.time_ns(), written), dir_fd=directory, follow_symlinks=False)


def _make_directories(path: str) -> None:
    """os.makedirs, with mode 0700 for all that it makes."""
    with contextlib.suppress(FileExistsError):
        try:
            os.mkdir(path, 0o700)
        except FileNotFoundError:
            _make_directories(os.path.dirname(path))
            os.mkdir(path, 0o700)
