"""Whether workers can load what an actor needs, asked before the first one that may run anywhere.

A module that imports an extension module which refuses workers loads on the main worker and nowhere else.  Of the actors that
any worker may run those would fail that get to another one, by chance.  So one worker tries, and spawn() refuses all.
"""

from __future__ import annotations

import sys

from smarm import _core, _main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_run = 0  # the number of the run that this is about
_hints: dict[str, str | None] = {}  # by module: why workers cannot load it, None if they can


def check(function: Any, arguments: tuple[Any, ...], try_on_worker: Callable[[str], str | None] | None = None) -> bool:
    """Raise ImportError if workers cannot load what this actor needs.  True: no function of that module needs to be asked for again.

    Waits for a worker that loads it, at the first call for a module.
    """
    own = _module_of(function)
    of_smarm = own.partition(".")[0] == "smarm"  # what it is to run is among the arguments, then
    for module in {_module_of(argument) for argument in arguments} if of_smarm else {own}:
        hint = _hint_for(module, try_on_worker or _try_on_worker)
        if hint is not None:
            error = ImportError(f"only the main worker can load {module}, which the actor needs. {hint}", name=module)
            error.add_note(hint)
            raise error
    return not of_smarm


def _module_of(value: Any) -> str:
    """Return the name of the module that a worker loads for this function, class or object."""
    import functools
    import types

    while isinstance(value, (functools.partial, types.MethodType)):
        value = value.func if isinstance(value, functools.partial) else value.__func__
    if not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        value = type(value)
    name = value.__module__
    return name if isinstance(name, str) else ""


def _hint_for(module: str, try_on_worker: Callable[[str], str | None]) -> str | None:
    global _run
    run = _core._portal_run()
    if run != _run:
        _run = run
        _hints.clear()
    if module not in _hints:
        by_value = module == "__main__" and _main.is_shipped_by_value()
        asked = not by_value and module in sys.modules and any(_may_refuse())
        _hints[module] = try_on_worker(module) if asked else None
    return _hints[module]


def _may_refuse() -> Iterator[bool]:
    """Say for each extension module of this interpreter, but for the standard library's, whether it may refuse workers."""
    from smarm import _program
    from smarm.extensions._policy import Policy

    policy = Policy()
    private = _core._extensions_are_private()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in sys.stdlib_module_names or name == "smarm._core":
            continue
        if _program.is_native(module):
            yield not private or policy.why_main_only(name) is not None


def _try_on_worker(module: str) -> str | None:
    from smarm._errors import SmarmError

    try:
        hint: str | None = _core.spawn(load, module, on=1, name="trial load").join()
    except SmarmError:  # there is no room for one more actor, say: that is for the program's actors to find out
        return None
    return hint


def load(module: str) -> str | None:
    """Load a module, on a worker; return the hint if an extension module refuses, None if not or if it fails otherwise."""
    import importlib

    from smarm.extensions import _refusals

    try:
        if module == "__main__":
            _main.load()
        else:
            importlib.import_module(module)
    except Exception as error:
        return _refusals.hint_of(error)
    return None
