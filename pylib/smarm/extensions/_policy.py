"""Which libraries and modules are an exception to the rule, and why: one table, to which the user adds by name.

The rule: an extension module outside of the standard library is private to the worker that imports it, and so are the
libraries that came with it.
"""

from __future__ import annotations

from smarm import _core

SHARED_LIBRARIES = {
    "libopenblas": "25 MB, keeps no state between calls, and its threads are for the whole process",
    "libscipy_openblas": "the same, as numpy and scipy bring it along",
    "libmkl": "as openblas",
    "libblas": "as openblas",
    "libgfortran": "the Fortran runtime, which is thread-safe",
    "libquadmath": "functions without state",
    "libgomp": "the OpenMP runtime: one pool of threads for the whole process",
    "libomp": "as libgomp",
    "libiomp": "as libgomp",
    "libstdc++": "the C++ runtime: exceptions and streams cross libraries through it",
    "libgcc_s": "unwinds the stack through all libraries",
    "libpython": "there is one CPython in the process",
}
"""Libraries that all private copies share, by the beginnings of their file names."""

PRIVATE_LIBRARIES = {
    "libllvmlite": "its table of symbols has addresses of one interpreter's objects",
}
"""Libraries that Python code opens with ctypes and of which each worker gets a copy, likewise."""

MAIN_ONLY = {
    "torch": "2 GB of libraries with thread pools and a registry of their own; not tried",
    "tensorflow": "as torch",
    "jaxlib": "as torch",
    "setproctitle": "the title of a process is where its arguments were, which one copy finds and another one does not",
    "PyQt5": "a GUI belongs to the main thread of the process",
    "PyQt6": "a GUI belongs to the main thread of the process",
    "PySide6": "a GUI belongs to the main thread of the process",
}
"""Modules, with all that is in them, that stay with the main interpreter."""


class Policy:
    """The table and what the user has added to it in this run."""

    __slots__ = ("main_only", "private_libraries", "shared_libraries")

    def __init__(self) -> None:
        shared, private, main_only = _core._extension_lists()
        self.shared_libraries = (*SHARED_LIBRARIES, *shared)
        self.private_libraries = (*PRIVATE_LIBRARIES, *private)
        self.main_only = MAIN_ONLY | dict.fromkeys(main_only, "the program says so in extensions_main_only")

    def why_main_only(self, module: str) -> str | None:
        """Return why this module stays with the main interpreter, None if it does not."""
        while module:
            if module in self.main_only:
                return self.main_only[module]
            module = module.rpartition(".")[0]
        return None
