"""faulthandler in a worker: CPython's module is the main interpreter's, since handlers of signals are the process's.

What concerns the process is already so, or cannot be asked for from a worker: ``smarm-host -X faulthandler``, or
``faulthandler.enable()`` on the main worker.  Dumps of the own traceback work.
"""

from __future__ import annotations

import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def make(name: str) -> types.ModuleType:
    """Return a module with faulthandler's functions."""
    module = types.ModuleType(name, __doc__)
    for function in (enable, disable, is_enabled, dump_traceback, dump_traceback_later, cancel_dump_traceback_later,
                     register, unregister):  # fmt: skip
        setattr(module, function.__name__, function)
    return module


def _descriptor(file: Any) -> int:
    if file is None:
        file = sys.stderr
    return file if isinstance(file, int) else int(file.fileno())


def enable(file: Any = None, all_threads: bool = True, **_: Any) -> None:
    """Do nothing: handlers are the process's, set on the main worker."""


def disable() -> bool:
    """Return False: nothing was enabled here."""
    return False


def is_enabled() -> bool:
    """Return False: nothing is enabled here."""
    return False


def dump_traceback(file: Any = None, all_threads: bool = True, **_: Any) -> None:
    """Write the traceback of the caller to a file or descriptor."""
    import os
    import traceback

    stack = traceback.extract_stack(sys._getframe(1))
    lines = ["Current thread (most recent call first):\n"]
    lines += [f'  File "{frame.filename}", line {frame.lineno} in {frame.name}\n' for frame in reversed(stack)]
    os.write(_descriptor(file), "".join(lines).encode("utf-8", "backslashreplace"))


def dump_traceback_later(timeout: float, repeat: bool = False, file: Any = None, exit: bool = False) -> None:
    """Refuse: the thread that watches is the process's."""
    raise RuntimeError('faulthandler.dump_traceback_later() is the main interpreter\'s: call it with on="main"')


def cancel_dump_traceback_later() -> None:
    """Do nothing: nothing was started here."""


def register(signum: int, file: Any = None, all_threads: bool = True, chain: bool = False, **_: Any) -> None:
    """Refuse: handlers of signals are the process's."""
    raise RuntimeError('faulthandler.register() is the main interpreter\'s: call it with on="main"')


def unregister(signum: int) -> bool:
    """Return False: nothing was registered here."""
    return False
