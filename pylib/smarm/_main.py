"""The program's ``__main__`` in workers: which functions of it can be found there, and how.

A script is loaded once per worker as a real module, so that its classes keep their identity there.  The load runs the
script's top level under the name ``__smarm_main__`` (an ``if __name__ == "__main__":`` block is skipped) and ends where
it reaches ``smarm.run`` or another call that needs a running actor.
"""

from __future__ import annotations

import sys
from _thread import RLock

from smarm import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any

LOAD_NAME = "__smarm_main__"


_description: dict[str, Any] = {"kind": "none"}
_program: tuple[types.ModuleType | None, dict[str, Any]] | None = None  # what was described last
_lock = RLock()  # one actor loads, the others of its worker wait
_loading: types.ModuleType | None = None
_own: types.ModuleType | None = None  # the interpreter's own __main__, empty in a worker


def describe() -> dict[str, Any]:
    """Say how workers can find the main interpreter's ``__main__``.

    A script by its file, ``-m`` by its module's name, a directory or zip archive by its path, others (REPL, ``-c``,
    standard input, notebooks) not at all.
    """
    global _program
    module = sys.modules.get("__main__")
    found = _look_at(module)
    if found["kind"] != "none":
        _program = module, found
    elif _program is not None and _program[0] is module and not hasattr(sys, "ps1"):
        return _program[1]  # a script that has come to its end has no __file__ any more
    return found


def _look_at(module: types.ModuleType | None) -> dict[str, Any]:
    spec = getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None)
    if hasattr(sys, "ps1"):  # interactive, even if it began with a script
        return {"kind": "none"}
    if spec is not None and spec.name and spec.name != "__main__":
        return {"kind": "module", "name": spec.name}
    if isinstance(file, str) and not (file.startswith("<") and file.endswith(">")):
        import os

        path = os.path.abspath(file)
        return {"kind": "file", "file": path} if spec is None else {"kind": "package", "path": os.path.dirname(path)}
    return {"kind": "none"}


def remember(description: dict[str, Any]) -> None:
    """Keep the main interpreter's description, in a worker."""
    global _description
    _description = description


def forget() -> None:
    """Forget the script, in a worker: the next run's is loaded when it is asked for."""
    global _own
    if _own is not None:
        sys.modules["__main__"] = _own
        sys.modules.pop(LOAD_NAME, None)
        _own = None
    remember({"kind": "none"})


def known() -> dict[str, Any]:
    """Return the main interpreter's description, in a worker."""
    return _description


def is_shipped_by_value() -> bool:
    """Whether functions of ``__main__`` must travel by value, because no worker can load it."""
    kind: str = describe()["kind"]
    return kind == "none"


def load() -> types.ModuleType:
    """Return this worker's copy of the script's ``__main__``, loading it at the first call."""
    with _lock:
        # A load that was cut short may have left anything behind: only the lock says whether the loading actor itself asks.
        if _loading is not None and _lock._recursion_count() > 1:  # type: ignore[attr-defined]
            return _loading
        module = sys.modules["__main__"]
        return module if hasattr(module, "__smarm_loaded__") else _load()


def _load() -> types.ModuleType:
    """Load the script.  However this is cut short, the next call begins anew."""
    global _loading, _own
    import types

    from smarm._errors import EndOfLoad

    module = types.ModuleType(LOAD_NAME)
    kind = _description["kind"]
    if kind == "none":
        raise ImportError(
            "this program's __main__ is not a file, so workers cannot load it: put the function into a module"
        )
    code = _find_code(module, kind)
    if _own is None:
        _own = sys.modules["__main__"]
    try:
        sys.modules["__main__"] = sys.modules[LOAD_NAME] = _loading = module
        _core._begin_load()
        exec(code, module.__dict__)
    except EndOfLoad as end:
        _explain_missing(module, end)
    except BaseException as error:
        sys.modules["__main__"] = _own
        sys.modules.pop(LOAD_NAME, None)
        error.add_note(
            "smarm loads the script's top level once in each worker; put what must not run there "
            'under `if __name__ == "__main__":` or into the main function.'
        )
        raise
    finally:
        _core._end_load()
        _loading = None
    _rename(module)
    module.__dict__["__smarm_loaded__"] = True
    return module


def _explain_missing(module: types.ModuleType, end: BaseException) -> None:
    """Make the module say why it lacks what the script defines below the call that ended its load."""
    trace = end.__traceback__
    while trace is not None and trace.tb_frame.f_globals is not module.__dict__:
        trace = trace.tb_next
    line = trace.tb_lineno if trace is not None else 0

    def missing(name: str) -> Any:
        raise AttributeError(
            f"a worker does not find {name!r} in the program's __main__, which it has loaded up to line {line}, where "
            "the program starts to use actors: define above that line what actors on other workers need"
        )

    module.__dict__.setdefault("__getattr__", missing)


def _find_code(module: types.ModuleType, kind: str) -> types.CodeType:
    import importlib.machinery
    import importlib.util

    if kind in ("module", "package"):
        name = _description.get("name", "__main__")
        if kind == "module":
            spec = importlib.util.find_spec(name)
        else:
            spec = importlib.machinery.PathFinder.find_spec(name, [_description["path"]])
        if spec is None or spec.loader is None:
            raise ImportError(f"a worker cannot find the program's module {_description.get('path', name)!r}")
        module.__dict__.update(__spec__=spec, __package__=spec.parent, __file__=spec.origin, __loader__=spec.loader)
        code = spec.loader.get_code(spec.name)  # type: ignore[attr-defined]
        if code is None:
            raise ImportError(f"the program's module {spec.name!r} has no Python code to load")
        return code  # type: ignore[no-any-return]
    file = _description["file"]
    module.__dict__.update(__file__=file, __cached__=None, __builtins__=__builtins__)
    loader = importlib.machinery.SourceFileLoader(LOAD_NAME, file)
    return loader.source_to_code(loader.get_data(file), file)


def _rename(module: types.ModuleType) -> None:
    """Give what the load defined the names that it has in the main interpreter."""
    import types

    module.__name__ = "__main__"
    for value in list(vars(module).values()):
        if isinstance(value, (type, types.FunctionType)) and value.__module__ == LOAD_NAME:
            value.__module__ = "__main__"
