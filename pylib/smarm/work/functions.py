"""How a task's function gets to the worker that runs it.

By its name where a worker can import it, which is the usual case.  A lambda or nested function as its code, its defaults and what it
has captured: in the worker it is a function of the worker's own copy of its module.  Everything else as the codec sends it, or as
pickle takes it apart.
"""

from __future__ import annotations

import marshal
import sys
from types import BuiltinFunctionType, CellType, CodeType, FunctionType

from smarm import _core, _main

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable
    from typing import Any

    type Pickled = list[Any]
    """``[bytes, objects]``: what pickle has taken apart, and what of it only messages can carry."""

_by_name: dict[Any, tuple[str, str]] = {}  # what has been found under its own name before


def pack(function: Callable[..., Any]) -> Any:
    """Return what to send for a function; Raises NotSendable for a lambda or nested function that cannot travel."""
    kind = type(function)
    if kind is FunctionType or kind is BuiltinFunctionType or kind is type:
        name = _by_name.get(function) or _find_name(function)
        if name is not None:
            return name
        if kind is FunctionType and not _is_main_by_value() and may_pickle():
            return pickled(function)
    return function


def pack_optional(function: Callable[..., Any] | None) -> Any:
    """Pack a function, or None."""
    return None if function is None else pack(function)


def unpack(packed: Any) -> Any:
    """Return the function or value, in the interpreter that uses it."""
    kind = type(packed)
    if kind is tuple:
        function = _found.get(packed)
        if function is None:
            function = _found[packed] = find(*packed)
        return function
    return _load(packed) if kind is list else packed


_found: dict[tuple[str, str], Any] = {}


def find(module: str, name: str) -> Any:
    """Return what has this qualified name in this interpreter's copy of the module.  Raises ImportError, AttributeError."""
    value: Any = _main.load() if module == "__main__" and _is_worker() else import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def import_module(name: str) -> Any:
    """Import a module: importlib itself takes a millisecond in each worker."""
    __import__(name)
    return sys.modules[name]


def _is_worker() -> bool:
    from smarm import _worker

    return _worker.own_index != 0


def _is_main_by_value() -> bool:
    """Whether no worker can load the program's __main__: a command line, a notebook, the REPL."""
    kind: str = (_main.known() if _is_worker() else _main.describe())["kind"]
    return kind == "none"


def _module_of(function: Any) -> str | None:
    name = getattr(function, "__module__", None)
    if name == _main.LOAD_NAME:
        return "__main__"
    return name if isinstance(name, str) else None


def _find_name(function: Any) -> tuple[str, str] | None:
    """Return module and qualified name, if they lead to this very object in other interpreters, too."""
    module, name = _module_of(function), getattr(function, "__qualname__", "<")
    if module is None or "<" in name or (module == "__main__" and _is_main_by_value()):
        return None
    value: Any = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    if value is not function:
        return None
    _by_name[function] = module, name
    return module, name


class _Probe:
    """What only pickle takes apart."""


def may_pickle() -> bool:
    """Whether the run's messages may carry what pickle takes apart."""
    from smarm._errors import NotSendable

    try:
        _core._encode(_Probe())
    except NotSendable:
        return False
    return True


# ---- by pickle -------------------------------------------------------------------------------------------------------

# What belongs to the runtime and travels in messages only.
_HANDLES = (
    *(_core.Pid, _core.Sender, _core.Receiver, _core.Buffer, _core.Timer),
    *(_core.Mutex, _core.Semaphore, _core.Event, _core.Condition, _core.Barrier, _core.Once),
)


def pickled(value: Any) -> Pickled:
    """Take a value apart with pickle, functions of any kind in it.  Raises NotSendable."""
    import pickle

    from smarm._errors import NotSendable

    try:
        return _dump(value, pickle.Pickler)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        try:
            cloudpickle: Any = import_module("cloudpickle")
        except ImportError:
            raise NotSendable(
                f"{_describe(value)} cannot be sent: {error}; define at module level what it uses, or install cloudpickle"
            ) from error
    try:
        return _dump(value, cloudpickle.CloudPickler)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise NotSendable(f"{_describe(value)} cannot be sent: {error}") from error


def _describe(value: Any) -> str:
    return f"{type(value).__name__} {getattr(value, '__qualname__', '')!r}" if callable(value) else type(value).__name__


def _dump(value: Any, base: type[pickle.Pickler]) -> Pickled:
    import io

    objects: list[Any] = []

    class Pickler(base):  # type: ignore[valid-type, misc]
        def persistent_id(self, part: Any) -> int | None:
            if not isinstance(part, _HANDLES):
                return None
            objects.append(part)
            return len(objects) - 1

        def reducer_override(self, part: Any) -> Any:
            if isinstance(part, FunctionType):
                return _reduce_function(part) or self._otherwise(part)
            if isinstance(part, CellType):
                return _new_cell, (), _contents(part), None, None, _fill_cell
            return self._otherwise(part)

        def _otherwise(self, part: Any) -> Any:
            override = getattr(super(), "reducer_override", None)
            return NotImplemented if override is None else override(part)

    file = io.BytesIO()
    Pickler(file, protocol=5).dump(value)
    return [file.getvalue(), objects]


def _load(packed: Pickled) -> Any:
    import io
    import pickle

    data, objects = packed

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: int) -> Any:
            return objects[number]

        def find_class(self, module: str, name: str) -> Any:
            if module == "__main__" and _is_worker():
                return find(module, name)
            return super().find_class(module, name)

    return Unpickler(io.BytesIO(data)).load()


def _reduce_function(function: FunctionType) -> Any:
    """Return how to make the function of its code; None: pickle, or cloudpickle, knows better."""
    if _find_name(function) is not None:
        return None
    name = _module_of(function)
    module = sys.modules.get(name) if name is not None else None
    if getattr(module, "__dict__", None) is not function.__globals__ or (name == "__main__" and _is_main_by_value()):
        return None
    state = (
        function.__defaults__,
        function.__kwdefaults__,
        function.__dict__ or None,
    )
    made_of = (name, marshal.dumps(function.__code__), function.__name__, function.__qualname__, function.__closure__)
    return _make_function, made_of, state, None, None, _complete_function


def _make_function(
    module: str, code: bytes, name: str, qualified_name: str, closure: tuple[CellType, ...] | None
) -> FunctionType:
    own: Any = _main.load() if module == "__main__" and _is_worker() else import_module(module)
    compiled: CodeType = marshal.loads(code)
    function = FunctionType(compiled, own.__dict__, name, None, closure)
    function.__module__, function.__qualname__ = module, qualified_name
    return function


def _complete_function(function: FunctionType, state: tuple[Any, Any, dict[str, Any] | None]) -> None:
    function.__defaults__, function.__kwdefaults__, attributes = state
    if attributes:
        function.__dict__.update(attributes)


def _new_cell() -> CellType:
    return CellType()


def _contents(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not bound yet
        return ()


def _fill_cell(cell: CellType, contents: tuple[Any, ...]) -> None:
    for value in contents:
        cell.cell_contents = value
