"""What a worker's interpreter takes over from the main one, and what it does before it ends."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

own_index = 0
"""Which worker this interpreter is: also known to its plain threads, which are none."""

_STREAMS = ("stdin", "stdout", "stderr")
_COPIED = ("argv", "orig_argv", "executable", "_base_executable", "warnoptions", "dont_write_bytecode")


def snapshot(_: None) -> dict[str, Any]:
    """Return what new interpreters copy from this (the main) interpreter, in types that marshal knows."""
    from smarm import _main

    values: dict[str, Any] = {name: getattr(sys, name) for name in _COPIED if hasattr(sys, name)}
    return {
        "path": [entry for entry in sys.path if isinstance(entry, str)],
        "sys": values,
        "main": _main.describe(),
        "recursion_limit": sys.getrecursionlimit(),
        "closed": [name for name in _STREAMS if getattr(sys, f"__{name}__") is None],
    }


def prepare(values: dict[str, Any]) -> None:
    """Make this interpreter, which is new or has rested, look like the main one."""
    from smarm import _failure, _main  # noqa: F401 - the first is there before no file can be opened any more

    global own_index
    own_index = values["index"]
    for name, value in values["sys"].items():
        setattr(sys, name, value)
    sys.setrecursionlimit(values["recursion_limit"])
    _main.remember(values["main"])
    for name in values["closed"]:  # if the number is open now, then for something else
        setattr(sys, name, None)
        setattr(sys, f"__{name}__", None)
    # Lines of different workers must not be torn apart, and appear in the order in which they were printed.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def rest(_: None) -> bool:
    """Forget the program: this interpreter is to be kept for the process's next run.  False: it cannot be."""
    from smarm import _main, _program

    _flush()
    streams = [getattr(sys, f"__{name}__") for name in _STREAMS]
    if any(stream is not None and stream.closed for stream in streams):
        return False
    sys.stdin, sys.stdout, sys.stderr = streams
    _main.forget()
    _program.forget()
    return True


def finish(_: None) -> None:
    """Flush what this interpreter has printed, and let it end quietly."""
    _bind_dummy_threads()
    _flush()


def end_threads(_: None) -> None:
    """Do what Py_EndInterpreter begins with: afterwards no more threads of native code come, and it is known who is left."""
    threading: Any = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit: Any = sys.modules.get("atexit")
    if atexit is not None:
        atexit._run_exitfuncs()
    _flush()


_watches_end = False


def watch_end(_: None) -> None:
    """Have the interpreters of workers that are kept ended before this (the main) one ends or forks."""
    global _watches_end
    if _watches_end:
        return
    import atexit
    import os

    from smarm import _core

    atexit.register(_core._end_kept_interpreters, True)
    os.register_at_fork(before=lambda: _core._end_kept_interpreters(False))
    _watches_end = True


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # closed by the program, or the other end is gone: nothing left to save
            pass


def _bind_dummy_threads() -> None:
    """Let go of threads that Python has not started also when the module threading is empty already (gh-130522: before 3.13.3).

    The thread that ends the interpreter is one of them when an atexit handler asks for it, as that of concurrent.futures does.
    """
    threading: Any = sys.modules.get("threading")
    owner = getattr(threading, "_DeleteDummyThreadOnDel", None)
    release = getattr(owner, "__del__", None)
    if release is not None and not release.__defaults__:
        release.__defaults__ = (threading._active_limbo_lock, threading._active)
        release.__code__ = _release_dummy_thread.__code__


def _release_dummy_thread(self: Any, lock: Any, active: Any) -> None:
    with lock:
        if active.get(self._tident) is self._dummy_thread:
            del active[self._tident]
