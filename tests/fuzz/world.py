"""What the inputs of the decode fuzzer can name: the module ``m``, and of the standard library what does no harm, or all of it.

The fuzzer runs the functions below; make_corpus.py writes inputs that name the same things.
"""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools  # noqa: F401
import http.client
import math  # noqa: F401
import os
import subprocess
import sys
import tempfile
import types
import uuid
import warnings
import zoneinfo
from typing import Any

import smarm
import smarm._errors
import smarm._server
import smarm._signals  # noqa: F401

warnings.simplefilter("ignore")


class Node: ...


class Slots:
    __slots__ = ("a", "b")


class Stated:
    def __setstate__(self, state: Any) -> None:
        self.state = state


class Rows(list[Any]): ...


class Table(dict[Any, Any]): ...


class Failure(Exception):
    def __init__(self, first: object, second: object) -> None:
        super().__init__(first, second)


class Pair(tuple[Any, ...]): ...


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Bits(enum.Flag):
    A = 1
    B = 2
    C = 4


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


def make(*arguments: Any) -> Any:
    return arguments


def set_state(target: Any, state: Any) -> None:
    target.state = state


# Beyond here: only where data travel. Whatever of it runs is a finding.


@dataclasses.dataclass
class Point:
    x: Any = None
    y: Any = None

    def method(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any = None
    y: Any = None


@dataclasses.dataclass(eq=False)
class Spy:
    """Runs something whatever is done with it."""

    x: Any = None
    plain = 1

    def spy(self, *arguments: Any) -> Any:
        return None

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None: ...

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    __iter__ = __len__ = __getitem__ = __index__ = __int__ = __float__ = __bytes__ = __buffer__ = __call__ = spy
    __lt__ = __bool__ = __contains__ = __add__ = __or__ = __and__ = __str__ = __repr__ = __format__ = __fspath__ = spy
    trap = property(spy, spy)


@dataclasses.dataclass
class Deleted:
    x: Any = None

    def __del__(self) -> None: ...


@dataclasses.dataclass
class Restored:
    x: Any = None

    def __setstate__(self, state: Any) -> None: ...


class Named(collections.namedtuple("Named", "a b")):
    def method(self) -> None: ...


class OwnNew(Named):
    def __new__(cls, *arguments: Any) -> Any:
        return super().__new__(cls, *arguments)


class Text(str):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Number(int):
    def __index__(self) -> int:
        return 1


class Zone(datetime.tzinfo):
    def utcoffset(self, when: Any) -> Any:
        return None


class Meta(type):
    def __call__(cls, *arguments: Any) -> Any: ...

    def __hash__(cls) -> int:
        return 1

    def __eq__(cls, other: object) -> bool:
        return True

    def __getattr__(cls, name: str) -> Any:
        return os.system


class HasMeta(metaclass=Meta): ...


class Missing(enum.Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls.ONE

    def __hash__(self) -> int:
        return 1


class Trapped(Exception):
    args = property(lambda self: (), lambda self, value: None)
    trap = property(lambda self: (), lambda self, value: None)

    def __del__(self) -> None: ...


CLASSES = [value for value in list(globals().values()) if isinstance(value, type) and value.__module__ == __name__]
GADGETS = [
    *(
        tempfile._TemporaryFileCloser,
        subprocess.Popen,
        http.client.HTTPResponse,
        types.SimpleNamespace,
        types.MethodType,
    ),  # type: ignore[attr-defined]
    *(
        map,
        filter,
        zip,
        enumerate,
        type,
        property,
        super,
        collections.deque,
        collections.OrderedDict,
        collections.defaultdict,
    ),
]

m = types.ModuleType("m")
for value in (*CLASSES, make, set_state):
    value.__module__ = "m"
    setattr(m, value.__name__, value)
m.shared = {"list": [1]}  # type: ignore[attr-defined]
m.point = Point(1)  # type: ignore[attr-defined]


def part(module: types.ModuleType, *names: str) -> types.ModuleType:
    some = types.ModuleType(module.__name__)
    for name in names:
        setattr(some, name, getattr(module, name))
    return some


# Where pickle's protocol is allowed some classes only: modules lead everywhere.
SOME = {
    "m": m,
    "datetime": part(datetime, "date", "datetime", "time", "timedelta", "timezone"),
    "decimal": part(decimal, "Decimal"),
    "enum": part(enum, "EnumType", "Enum", "Flag"),
    "fractions": part(fractions, "Fraction"),
    "http": part(http, "HTTPStatus"),
    "uuid": part(uuid, "UUID", "SafeUUID"),
    "zoneinfo": part(zoneinfo, "ZoneInfo"),
} | {
    name: sys.modules[name]
    for name in ("copyreg", "smarm", "smarm._errors", "smarm._core", "smarm._signals", "functools", "math")
}
UTC = zoneinfo.ZoneInfo("UTC")  # stays in its cache
zoneinfo.reset_tzpath(())
zoneinfo._common.load_tzdata = {}.__getitem__  # type: ignore[attr-defined]  # there are no other zones, in tzdata neither


_all: dict[str, types.ModuleType] = {}


def close() -> None:
    """Cut importing off, and do what taking objects apart would do to their classes."""
    for kind in CLASSES:
        copyreg._slotnames(kind)  # type: ignore[attr-defined]
    sys.modules["m"] = m
    sys.meta_path.clear()
    sys.path_hooks.clear()
    _all.update(sys.modules)


def allow_all() -> None:
    sys.modules.update(_all)


def allow_some() -> None:
    sys.modules.clear()
    sys.modules.update(SOME)


def watch() -> None:
    """Have ``started``, which the fuzzer puts here, called with the code of each function that starts."""
    sys.monitoring.use_tool_id(4, "fuzzer")
    sys.monitoring.register_callback(4, sys.monitoring.events.PY_START, started)  # type: ignore[name-defined]  # noqa: F821
    sys.monitoring.set_events(4, sys.monitoring.events.PY_START)


def may_run() -> set[types.CodeType]:
    """Return the code that a message may run where only data travel: hashing and comparing of some keys.

    And how zoneinfo looks for a zone, by its paths; the fuzzer itself allows zoneinfo's own code.
    """
    functions = [enum.Enum.__hash__, uuid.UUID.__hash__, uuid.UUID.__eq__]
    paths = [value for value in vars(os.path).values() if isinstance(value, types.FunctionType)]
    return {function.__code__ for function in (*functions, *paths)}


def watched_types() -> list[type]:
    return [*CLASSES, *GADGETS, datetime.date, decimal.Decimal, fractions.Fraction, uuid.UUID, enum.Enum]


def watched_values() -> list[Any]:
    """Return what a message must not change, as it is now."""
    members = [dict(vars(member)) for kind in (Colour, Missing, uuid.SafeUUID) for member in kind]
    return [members, repr(m.shared), m.point.x, dict(vars(m)), dict(os.environ), len(sys.modules), sys.path[:]]
