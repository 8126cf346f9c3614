"""The private copies of one worker's interpreter: a module's shared object and the libraries that came with it."""

from __future__ import annotations

import os
import sys
import zlib

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


def _variant(renames: tuple[tuple[str, str], ...]) -> str:
    """Tell apart copies that say other names: which libraries are private is the user's choice, too."""
    return f"{zlib.crc32(repr(sorted(old for old, _ in renames)).encode()):08x}" if renames else ""


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
        return self._cache.facts(path).get("own_gil") is True

    def remember_none_needed(self, path: str) -> None:
        """Keep that for the next interpreter."""
        self._cache.remember(path, own_gil=True)

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
        names = tuple(dict.fromkeys(renames))
        copy = self._cache.place(
            path, self._owner, lambda fd: _core._write_private_copy(path, fd, names), variant=_variant(names)
        )
        loaded = False
        try:
            handle = _core._open_private_copy(copy, path, sys.getdlopenflags())
            loaded = True
        except ImportError as error:
            raise ImportError(str(error).replace(copy, path)) from None
        finally:
            self._cache.release(copy, loaded=loaded)
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
