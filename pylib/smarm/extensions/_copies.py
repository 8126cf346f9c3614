"""The private copies of one worker's interpreter: a module's shared object and the libraries that came with it."""

from __future__ import annotations

import os
import sys

from smarm import _core
from smarm.extensions._cache import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from smarm.extensions._policy import Policy

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _system_directories() -> frozenset[str]:
    """Return where libraries are that no package has brought along: they stay shared."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    return frozenset({"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", *(f"{p}/lib" for p in prefixes)})


class Copies:
    """What this interpreter has opened, by the original's path.  The caller sees to it that one actor at a time asks."""

    def __init__(self) -> None:
        self._owner = _core._extension_owner()
        self._cache = Cache()
        self._opened: dict[str, tuple[str, object]] = {}  # the copy's path, and what stands for it
        self._shared: set[str] = set()
        self._system = _system_directories()

    def needs_none(self, path: str) -> bool:
        """Whether a copy of this module has said that it supports the interpreters of workers."""
        return self._cache.recall(path, "own_gil") == "yes"

    def remember_none_needed(self, path: str) -> None:
        """Keep that for the next interpreter."""
        self._cache.remember(path, "own_gil", "yes")

    def open(self, path: str, policy: Policy, inherited: tuple[str, ...] = ()) -> object:
        """Return what stands for the copy of this shared object, loaded.  Raises ImportError and OSError."""
        if path in self._opened:
            return self._opened[path][1]
        needed, name, search = _core._read_shared_object(path)
        here = os.path.dirname(path)
        directories = tuple(d.replace("${ORIGIN}", here).replace("$ORIGIN", here) for d in search) + inherited
        renames = [(name, self._own_name(name))] if name else []
        for library, found in self._bundled(needed, directories):
            if os.path.basename(found).startswith(policy.shared_libraries):
                if found not in self._shared:
                    _core._open_shared_library(found)
                    self._shared.add(found)
            elif found != path:
                self.open(found, policy, directories)
                renames.append((library, self._own_name(library)))
        copy = self._cache.place(
            path, self._owner, lambda fd: _core._write_private_copy(path, fd, tuple(dict.fromkeys(renames)))
        )
        try:
            handle = _core._open_private_copy(copy, path, sys.getdlopenflags())
        except ImportError as error:
            raise ImportError(str(error).replace(copy, path)) from None
        self._opened[path] = copy, handle
        return handle

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
