"""Messages that no encoder writes, put together by hand, and a watch that sees whether anything runs while they are read."""

from __future__ import annotations

import contextlib
import enum
import gc
import pathlib
import re
import sys
import uuid
from collections.abc import Iterator
from types import CodeType
from typing import Any

from smarm import _core, _errors


def read_tags() -> dict[str, bytes]:
    """Returns the tags by name, as the C++ header counts them."""
    header = (pathlib.Path(__file__).parents[2] / "src/codec/format.h").read_text()
    table = re.search(r"enum class Tag[^{]*{(.*?)};", header, re.DOTALL)
    assert table
    names = re.findall(r"\w+", re.sub(r"//.*", "", table[1]))
    return {name: bytes([number]) for number, name in enumerate(names)}


TAG = read_tags()


class Raw(bytes):
    """Bytes of a message, as opposed to a value of it."""


def data(value: Any) -> bytes:
    """Returns the bytes of a value, which may be made by hand, or hold what is."""
    if isinstance(value, Raw):
        return bytes(value)
    for kind, tag in ((tuple, "Tuple"), (list, "List"), (set, "Set"), (frozenset, "FrozenSet")):
        if type(value) is kind:
            return TAG[tag] + bytes([len(value)]) + b"".join(map(data, value))
    if type(value) is dict:
        items = b"".join(data(key) + data(item) for key, item in value.items())
        return TAG["Dict"] + bytes([len(value)]) + items
    return bytes(_core._encode(value, pickle=False))


def text(name: str) -> bytes:
    return TAG["String1"] + bytes([len(name)]) + name.encode()


def named(module: str, name: str) -> Raw:
    """A reference to a global; it gets a number."""
    return Raw(TAG["Global"] + text(module) + text(name))


def of(value: Any) -> Raw:
    """A class or function by its own name."""
    return named(value.__module__, value.__qualname__)


def ref(number: int) -> Raw:
    return Raw(TAG["Ref"] + bytes([number]))


def part(tag: str, *values: Any, end: bool = False) -> bytes:
    return TAG[tag] + b"".join(map(data, values)) + (TAG["End"] if end else b"")


def made(tag: str, cls: Any, *arguments: Any, parts: bytes = b"") -> Raw:
    """An object: "New", "Call", "Exception" with arguments, "Plain" without."""
    name = cls if isinstance(cls, Raw) else of(cls)
    taken = b"" if tag == "Plain" else data(tuple(arguments))
    return Raw(TAG[tag] + name + taken + TAG["Memo"] + parts + TAG["End"])


def member(cls: Any, name: Any) -> Raw:
    return Raw(TAG["Member"] + (cls if isinstance(cls, Raw) else of(cls)) + data(name))


# ---- the watch -----------------------------------------------------------------------------------------------------

# Code of the standard library that hashes and compares keys; its own only.
MAY_RUN = {enum.Enum.__hash__.__code__, uuid.UUID.__hash__.__code__, uuid.UUID.__eq__.__code__}

# What the watch itself does.
NOISE = (__file__, contextlib.__file__)

_watching: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching is not None and not event.startswith("sys.monitoring"):
        _watching.append(f"{event}{arguments!r}")


def _start(code: CodeType, offset: int) -> None:
    if _watching is not None and code not in MAY_RUN and code.co_filename not in NOISE:
        _watching.append(f"{code.co_qualname} in {code.co_filename}")


def refusal(message: bytes) -> BaseException | None:
    """Returns the DecodeError of a message, or None when it made something."""
    try:
        made = _core._decode(bytes(message), pickle=False)
    except _errors.DecodeError as error:
        return error
    print("it made", object.__repr__(made))
    return None


@contextlib.contextmanager
def what_runs() -> Iterator[list[str]]:
    """Lists the Python functions that start and the audited events (imports, processes, files, exec) inside of the block."""
    global _watching
    if not hasattr(sys, "_smarm_tests_audit"):  # a hook stays for ever
        sys.addaudithook(_audit)
        sys._smarm_tests_audit = True  # type: ignore[attr-defined]
    tool = 4
    sys.monitoring.use_tool_id(tool, "smarm tests")
    sys.monitoring.register_callback(tool, sys.monitoring.events.PY_START, _start)
    sys.monitoring.set_events(tool, sys.monitoring.events.PY_START)
    seen: list[str] = []
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()  # a collection is no message's doing: other libraries' functions that are told of each
    _watching = seen
    try:
        yield seen
    finally:
        _watching = None
        gc.callbacks[:] = callbacks
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)


# What hooks of hostile classes were called; emptied before each test by whoever looks.
ran: list[str] = []


def hook(name: str, result: Any = None) -> Any:
    def function(*arguments: Any, **keywords: Any) -> Any:
        ran.append(name)
        return result

    return function
