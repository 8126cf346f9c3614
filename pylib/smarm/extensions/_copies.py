"""The private copies of one worker's interpreter: a module's shared object and the libraries that came with it."""

from __future__ import annotations

import os
import sys
import zlib

from smarm import _core
from smarm.extensions._cache import Cache
from smarm.extensions._needing_object import needing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from smarm.extensions._policy import Policy

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _system_directories() -> frozenset[str]:
    """Return where libraries are that no package has brought along: they stay shared."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    return frozenset({"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", *(f"{p}/lib" for p in prefixes)})


def _variant(renames: tuple[tuple[str, str], ...]) -> str:
    """Tell apart copies that say other names: which libraries are private is the user's choice, too."""
    return f"{zlib.crc32(repr([old for old, _ in renames]).encode()):08x}" if renames else ""


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class Copies:
    """What this interpreter has opened, by the original's path.  The caller sees to it that one actor at a time asks."""

    def __init__(self) -> None:
        self._owner = _core._extension_owner()
        self._cache = Cache()
        self._opened: dict[str, tuple[str, object]] = {}  # the copy's path, and what stands for it
        self._shared: set[str] = set()
        self._system = _system_directories()

    def open(self, path: str, policy: Policy) -> object:
        """Return what stands for the copy of this shared object, loaded after what it needs.

        Raises ImportError and OSError.
        """
        if path not in self._opened:
            placed: dict[str, str] = {}
            try:
                if self._place(path, policy, (), placed, [path]):
                    self._load_together(placed)
                for original, copy in placed.items():
                    self._load(original, copy)
            finally:
                for original, copy in placed.items():
                    self._cache.release(copy, loaded=original in self._opened)
        return self._opened[path][1]

    def _place(
        self, path: str, policy: Policy, inherited: tuple[str, ...], placed: dict[str, str], above: list[str]
    ) -> bool:
        """Make the copies of a shared object and of what it needs, in the order in which they are to be loaded.

        Returns whether there are some that need each other in a circle.
        """
        if path in self._opened or path in placed:
            return False
        needed, name, search = _core._read_shared_object(path)
        here = os.path.dirname(path)
        directories = tuple(d.replace("${ORIGIN}", here).replace("$ORIGIN", here) for d in search) + inherited
        renames = {name} if name else set()
        circle = False
        for library, found in self._bundled(needed, directories):
            if os.path.basename(found).startswith(policy.shared_libraries):
                self._open_shared(found)
                continue
            renames.add(library)
            if found in above or self._place(found, policy, directories, placed, [*above, found]):
                circle = True
        names = tuple((old, self._own_name(old)) for old in sorted(renames))
        copy = self._cache.place(
            path, self._owner, lambda fd: _core._write_private_copy(path, fd, names), variant=_variant(names)
        )
        placed[path] = copy
        return circle

    def _load_together(self, placed: dict[str, str]) -> None:
        """Load copies that need each other, by an object that needs them all: see _needing_object."""
        data = needing(list(reversed(placed.values())))  # as the loader would come to them
        path = self._cache.place(
            next(iter(placed)), self._owner, lambda fd: _write(fd, data), variant=f"all{zlib.crc32(data):08x}"
        )
        loaded = False
        try:
            _core._open_private_copy(path, path, sys.getdlopenflags())
            loaded = True
        finally:
            self._cache.release(path, loaded=loaded)

    def _load(self, path: str, copy: str) -> None:
        try:
            self._opened[path] = copy, _core._open_private_copy(copy, path, sys.getdlopenflags())
        except ImportError as error:
            raise ImportError(str(error).replace(copy, path)) from None

    def _open_shared(self, path: str) -> None:
        if path not in self._shared:
            _core._open_shared_library(path)
            self._shared.add(path)

    def path_of(self, path: str) -> str:
        """Return where the copy of an opened shared object is."""
        return self._opened[path][0]

    def _own_name(self, name: str) -> str:
        """Return a name that only this interpreter's copy has, as long as the library's: libx.so.1 -> 00ax.so.1."""
        n = self._owner
        return _DIGITS[n // 1296 % 36] + _DIGITS[n // 36 % 36] + _DIGITS[n % 36] + name[3:]

    def _bundled(self, needed: tuple[str, ...], directories: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Find the libraries that a package has brought along, among those that are needed."""
        for name in needed:
            for directory in directories:
                found = os.path.join(directory, name)
                if os.path.exists(found):
                    found = os.path.realpath(found)
                    if os.path.dirname(found) not in self._system and not found.startswith(("/usr/lib/", "/lib/")):
                        yield name, found
                    break
