"""How types of a program travel in messages."""

from __future__ import annotations

from builtins import type as _type

from smarm import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Types that the encoder never looks up: it writes them without taking them apart.
_BUILT_IN = frozenset(
    {
        *(int, float, complex, bool, str, bytes, bytearray, range, slice, tuple, list, dict, set, frozenset),
        *map(type, (None, ..., NotImplemented)),
        *(_core.Pid, _core.Sender, _core.Receiver, _core.Buffer, _core.Timer),
        *(_core.Mutex, _core.Semaphore, _core.Event, _core.Condition, _core.Barrier, _core.Once),
    }
)


def register_codec[Value](type: _type[Value], encode: Callable[[Value], Any], decode: Callable[[Any], Value]) -> None:
    """Say how objects of exactly this type travel in messages from this interpreter.

    ``encode(object)`` returns a value that can be sent, ``decode(value)`` makes the object again where it arrives.
    Call it at module level: ``decode`` is found by its module and name there.  Raises TypeError, ValueError for a
    ``decode`` that is not at module level.
    """
    if not isinstance(type, _type):
        raise TypeError(f"register_codec() needs a type, not {type!r}")
    if type in _BUILT_IN:
        raise TypeError(f"{type.__qualname__} cannot get another codec: the runtime sends it without taking it apart")
    for name, function in (("encode", encode), ("decode", decode)):
        if not callable(function):
            raise TypeError(f"{name} must be callable, not {function!r}")
    module, path = getattr(decode, "__module__", None), getattr(decode, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or "<" in path:
        raise ValueError(
            f"decode must be a function or class at module level, not {decode!r}: other workers find it by its name"
        )
    module = "__main__" if module == "__smarm_main__" else module
    _core._register_codec(type, f"{module}:{path}", encode, decode)
