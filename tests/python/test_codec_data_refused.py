"""pickle=False: what both ends refuse, and that refusing it runs nothing."""

from __future__ import annotations

import abc
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import http
import http.client
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import uuid
import weakref
import zoneinfo
from collections.abc import Callable
from typing import Any

import pytest
from hostile_bytes import TAG, Raw, data, made, member, named, of, part, ref, refusal, text, what_runs
from sendable import (
    NOON,
    Bits,
    Box,
    Colour,
    Money,
    Old,
    OldWithMethods,
    Pair,
    Point,
    Rights,
    Slots,
    WithHooks,
    decode,
    encode,
)

import smarm

ran: list[str] = []


class Plain:
    pass


class WithDel(Point):
    def __del__(self) -> None:
        ran.append("__del__")


class OwnState(Point):
    def __setstate__(self, state: Any) -> None:
        ran.append("__setstate__")


class OwnGetState(Point):
    def __getstate__(self) -> Any:
        return {"x": 1}


class OwnReduce(Point):
    def __reduce__(self) -> Any:
        return Point, (1,)


class OwnNew(Point):
    def __new__(cls, *args: Any) -> Any:
        ran.append("__new__")
        return super().__new__(cls)


class OwnArguments(Point):
    def __getnewargs__(self) -> Any:
        return ()


class Abstract(Box[int]):
    @abc.abstractmethod
    def method(self) -> None: ...


class TupleWithNew(Old):
    def __new__(cls, *args: Any) -> Any:
        ran.append("__new__")
        return super().__new__(cls, *args)


class TupleWithDel(Old):
    def __del__(self) -> None:
        ran.append("__del__")


class Rows(list[Any]):
    def append(self, item: Any) -> None:
        ran.append("append")

    extend = append


class Table(dict[Any, Any]):
    def __setitem__(self, key: Any, item: Any) -> None:
        ran.append("__setitem__")


class Text(str):
    pass


class Number(int):
    pass


class Day(datetime.date):
    pass


class Zone(datetime.tzinfo):
    def utcoffset(self, when: Any) -> Any:
        ran.append("utcoffset")
        return datetime.timedelta(0)


class FailsWithDel(Exception):
    def __del__(self) -> None:
        ran.append("__del__")


class FailsWithState(Exception):
    def __setstate__(self, state: Any) -> None:
        ran.append("__setstate__")


class FailsWithReduce(Exception):
    def __reduce__(self) -> Any:
        return FailsWithReduce, ()


class Meta(type):
    def __call__(cls, *args: Any) -> Any:
        ran.append("metaclass")

    def __new__(mcs, *args: Any) -> Any:
        ran.append("metaclass")
        return super().__new__(mcs, *args)

    def __hash__(cls) -> int:
        ran.append("__hash__")
        return 1

    def __eq__(cls, other: object) -> bool:
        ran.append("__eq__")
        return cls is other

    def __getattr__(cls, name: str) -> Any:
        ran.append("__getattr__")
        return os.system


class HasMeta(metaclass=Meta):
    pass


@dataclasses.dataclass(frozen=True)
class Key:
    x: Any

    def __hash__(self) -> int:
        ran.append("__hash__")
        return 1


@dataclasses.dataclass(eq=False)
class Spy:
    """Looks at everything that is done with it."""

    x: Any = None

    def __iter__(self) -> Any:
        ran.append("__iter__")
        return iter(())

    def __getitem__(self, index: Any) -> Any:
        ran.append("__getitem__")
        raise IndexError

    def __len__(self) -> int:
        ran.append("__len__")
        return 0

    def __index__(self) -> int:
        ran.append("__index__")
        return 1

    def __str__(self) -> str:
        ran.append("__str__")
        return ""

    __repr__ = __str__

    def __bytes__(self) -> bytes:
        ran.append("__bytes__")
        return b""

    def __buffer__(self, flags: int) -> memoryview:
        ran.append("__buffer__")
        return memoryview(b"")

    def __eq__(self, other: object) -> bool:
        ran.append("__eq__")
        return True

    def __hash__(self) -> int:
        ran.append("__hash__")
        return 1

    @property
    def trap(self) -> None: ...

    @trap.setter
    def trap(self, value: Any) -> None:
        ran.append("property")

    def __getattribute__(self, name: str) -> Any:
        ran.append("__getattribute__")
        return object.__getattribute__(self, name)


@dataclasses.dataclass(eq=False)
class Sly:
    """As a key it is harmless, until somebody asks what it is."""

    @property
    def __class__(self) -> Any:
        ran.append("__class__")
        return int


class SlyExit(BaseException):
    @property
    def __class__(self) -> Any:
        ran.append("__class__")
        return ValueError


class Trapped(Exception):
    @property
    def args(self) -> Any:
        return ()

    @args.setter
    def args(self, value: Any) -> None:
        ran.append("property")

    @property
    def __suppress_context__(self) -> Any:
        return False

    @__suppress_context__.setter
    def __suppress_context__(self, value: Any) -> None:
        ran.append("property")

    @property
    def trap(self) -> None: ...

    @trap.setter
    def trap(self, value: Any) -> None:
        ran.append("property")


class Lookup(enum.Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        ran.append("_missing_")
        return cls.ONE

    def __setstate__(self, state: Any) -> None:
        ran.append("__setstate__")

    def __hash__(self) -> int:
        ran.append("__hash__")
        return 1


class Flags(enum.Flag):
    A = 1
    B = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        ran.append("_missing_")
        return cls.A


def function() -> None:
    ran.append("function")


def hides_a_method() -> Any:
    value = OldWithMethods(1, 2)
    value.__dict__["sum"] = int
    return value


system = os.system  # a function of another module, under a name of this one
COMMAND = "echo hostile"


SENT = {
    "plain class": Plain, "__del__": lambda: WithDel(1), "__setstate__": lambda: OwnState(1), "__getstate__": lambda: OwnGetState(1),
    "__reduce__": lambda: OwnReduce(1), "__new__": lambda: object.__new__(OwnNew), "__getnewargs__": lambda: OwnArguments(1),
    "named tuple's __new__": lambda: TupleWithNew(1, 2), "named tuple's __del__": lambda: TupleWithDel(1, 2),
    "list": Rows, "dict": Table, "str": Text, "int": lambda: Number(1), "date": lambda: Day(2001, 2, 3),
    "zone": Zone, "deque": collections.deque, "ordered": collections.OrderedDict, "default": lambda: collections.defaultdict(list),
    "counter": collections.Counter, "partial": lambda: functools.partial(print), "pattern": lambda: re.compile("a"),
    "path": lambda: pathlib.Path("a"), "namespace": types.SimpleNamespace, "alias": lambda: list[int], "union": lambda: int | str,
    "method": lambda: NOON.isoformat, "exception's __del__": FailsWithDel, "exception's __setstate__": FailsWithState,
    "exception's __reduce__": FailsWithReduce, "metaclass": lambda: type.__call__(HasMeta), "struct": lambda: os.stat("."),
    "key": lambda: {Key(1): 1}, "key in a tuple": lambda: {(1, Key(1)): 1}, "member of a set": lambda: {Key(1)},
    "key in a named tuple": lambda: {Pair(Key(1)): 1}, "decimal as a key": lambda: {decimal.Decimal(1): 1},
    "registered type as a key": lambda: {Money(1)},
    "fraction as a key": lambda: {fractions.Fraction(1, 2)}, "class with a metaclass as a key": lambda: {HasMeta: 1},
    "time with a zone as a key": lambda: {datetime.time(1, tzinfo=Zone())}, "enum with a hash": lambda: {Lookup.ONE},
    "function": lambda: function, "builtin": lambda: len, "function of a class": lambda: Zone.utcoffset, "object by name": lambda: os.environ,
    "args": lambda: OSError(Spy()), "hidden method": hides_a_method, "odd flags": lambda: Rights(68),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


@pytest.mark.parametrize("make", SENT.values(), ids=SENT)
def test_the_sender_refuses(make: Callable[[], Any]) -> None:
    value = [make()]
    with pytest.raises(smarm.NotSendable, match=r"^value\[0\].*\(pickle=False, --no-pickle\)"):
        encode(value, pickle=False)


@pytest.mark.parametrize("make", SENT.values(), ids=SENT)
def test_the_receiver_refuses_what_another_sender_would_send(make: Callable[[], Any]) -> None:
    try:
        encoded = encode([make()])
    except (smarm.NotSendable, TypeError):
        pytest.skip("not even with pickle")
    ran.clear()
    with what_runs() as seen:
        refused = refusal(encoded)
    assert refused
    assert seen == []
    assert ran == []


def state(value: Any) -> bytes:
    return part("State", value)


SYSTEM = named(os.system.__module__, "system")
HOSTILE: dict[str, Raw] = {
    "map": made("New", named("builtins", "tuple"), made("New", named("builtins", "map"), SYSTEM, [COMMAND])),
    **{
        f"{outer} of {inner}": made("New", named("builtins", outer), made("New", named("builtins", inner), SYSTEM, [COMMAND]))
        for outer in ("frozenset", "set", "list", "bytes", "bytearray", "enumerate", "zip", "reversed", "dict", "str", "int", "float")
        for inner in ("map", "filter", "zip")
    },
    "Call": made("Call", SYSTEM, COMMAND),
    "Call in a key": Raw(data({made("Call", SYSTEM, COMMAND): 1})),
    "eval": made("Call", named("builtins", "eval"), "1"),
    "NewKeywords": Raw(TAG["NewKeywords"] + of(Point) + data(()) + data({}) + TAG["Memo"] + TAG["End"]),
    "Setter": made("Plain", Point, parts=part("Setter", SYSTEM, COMMAND)),
    "Items": made("Plain", Point, parts=part("Items", 1, end=True)),
    "Pairs": made("Plain", Point, parts=part("Pairs", 1, 2, end=True)),
    "Items of a list": made("New", Rows, parts=part("Items", 1, end=True)),
    "Pairs of a dict": made("New", Table, parts=part("Pairs", 1, 2, end=True)),
    "Pairs of os.environ": made("Plain", named("os", "environ"), parts=part("Pairs", "A", "B", end=True)),
    "type": made("New", named("builtins", "type"), "X", (of(Point),), {}),
    "metaclass": made("New", Meta, "X", (), {}),
    "metaclass by type": made("New", named("builtins", "type"), "X", (of(HasMeta),), {}),
    "class with __init_subclass__": made("New", named("builtins", "type"), "X", (of(WithHooks),), {}),
    "type with __set_name__": made("New", named("builtins", "type"), "X", (), {"a": made("Plain", Spy)}),
    "an object with a metaclass": made("Plain", HasMeta),
    "the closer of a temporary file": made(
        "Plain", tempfile._TemporaryFileCloser, parts=state({"file": 1, "name": "/tmp/hostile", "cleanup_called": False})  # type: ignore[attr-defined]
    ),
    "a process": made("Plain", subprocess.Popen, parts=state({"_child_created": True, "pid": 1})),
    "a finalizer": made("New", weakref.finalize, made("Plain", Point), SYSTEM, COMMAND),
    "a response": made("Plain", http.client.HTTPResponse),
    "partial": made("New", functools.partial, SYSTEM, COMMAND),
    "partial with state": made("New", functools.partial, of(int), parts=state((SYSTEM, (COMMAND,), {}, {}))),
    "property": made("New", named("builtins", "property"), SYSTEM),
    "classmethod": made("New", named("builtins", "classmethod"), SYSTEM),
    "super": made("New", named("builtins", "super"), of(Point)),
    "function type": made("New", types.FunctionType, 1, {}),
    "namespace": made("New", types.SimpleNamespace),
    "code": made("New", types.CodeType),
    "method": made("New", types.MethodType, SYSTEM, COMMAND),
    "alias": made("New", types.GenericAlias, of(list), (of(int),)),
    "module": made("New", types.ModuleType, "os"),
    "memoryview": made("New", named("builtins", "memoryview"), b"x"),
    "default dict": made("New", collections.defaultdict, SYSTEM),
    "deque": made("New", collections.deque, made("New", named("builtins", "map"), SYSTEM, [COMMAND])),
    "ordered dict": made("New", collections.OrderedDict, parts=part("Pairs", 1, 2, end=True)),
    "str subclass": made("New", Text, made("Plain", Spy)),
    "int subclass": made("New", Number, made("Plain", Spy)),
    "named tuple of an iterator": made("New", Pair, made("New", named("builtins", "map"), SYSTEM, [COMMAND]), 2),
    "named tuple with too few items": made("New", Pair, 1),
    "named tuple with __new__": made("New", TupleWithNew, 1, 2),
    "tuple itself": made("New", named("builtins", "tuple"), made("Plain", Spy)),
    "data class with arguments": made("New", Point, 1),
    "data class with __new__": made("Plain", OwnNew),
    "data class with __setstate__": made("Plain", OwnState, parts=state({"x": 1})),
    "data class with __del__": made("Plain", WithDel, parts=state({"x": 1})),
    "abstract class": made("Plain", Abstract),
    "plain class": made("Plain", Plain, parts=state({"x": 1})),
    "exception as a data class": made("Plain", named("builtins", "ValueError")),
    "data class as an exception": made("Exception", Point),
    "state that is no dict": made("Plain", Point, parts=state([1])),
    "state that is a mapping": made("Plain", Point, parts=state(made("Plain", Spy))),
    "state with other keys": made("Plain", Point, parts=state({1: 2})),
    "state with a __class__": made("Plain", Point, parts=state({"__class__": of(Spy)})),
    "state with a __dict__": made("Plain", Point, parts=state({"__dict__": {}})),
    "state that hides a method": made("Plain", Spy, parts=state({"__iter__": of(int)})),
    "state for a property": made("Plain", Spy, parts=state({"trap": 1})),
    "slot that is none": made("Plain", Point, parts=state((None, {"x": 1}))),
    "slot that is a property": made("Plain", Spy, parts=state((None, {"trap": 1}))),
    "slot that is __class__": made("Plain", Slots, parts=state((None, {"__class__": of(Spy)}))),
    "slot of another class": made("Plain", Slots, parts=state((None, {"y": 1}))),
    "attribute without a __dict__": made("Plain", Slots, parts=state({"free": 1})),
    "state of a member": Raw(member(Lookup, "ONE") + TAG["State"] + data({"x": 1}) + TAG["End"]),
    "state of a member as an object": made("Plain", member(Lookup, "ONE"), parts=state({"x": 1})),
    "state of a class": made("Plain", Raw(data([of(Point), ref(0)])), parts=state({"x": 1})),
    "member by New": made("New", Lookup, 2),
    "member that is not there": member(Lookup, "TWO"),
    "member by value": member(Lookup, 1),
    "member that is missing": member(Lookup, 2),
    "member named by an object": member(Lookup, made("Plain", Spy)),
    "member of no enum": member(Point, "x"),
    "member by attribute": member(Lookup, "__class__"),
    "member of an instance": member(member(Lookup, "ONE"), "ONE"),
    "combination that is missing": member(Flags, 3),
    "combination with other bits": member(Bits, 64),
    "combination below zero": member(Bits, -1),
    "combination beyond a long": member(Bits, 2**80),
    "combination of an enum": member(Colour, 3),
    "OSError's errno": made("Exception", named("builtins", "OSError"), made("Plain", Spy), "x"),
    "OSError's filename": made("Exception", named("builtins", "BlockingIOError"), 11, "x", made("Plain", Spy)),
    "UnicodeDecodeError's object": made("Exception", named("builtins", "UnicodeDecodeError"), "utf8", made("Plain", Spy), 0, 1, "r"),
    "UnicodeDecodeError's start": made("Exception", named("builtins", "UnicodeDecodeError"), "utf8", b"x", made("Plain", Spy), 1, "r"),
    **{
        f"UnicodeDecodeError from {start} to {end}": made("Exception", named("builtins", "UnicodeDecodeError"), "utf8", b"x", start, end, "r")
        for start, end in ((-5, -4), (0, 2), (1, 0), (-(2**62), 0), (2**80, 2**80))
    },
    "UnicodeDecodeError of a text": made("Exception", named("builtins", "UnicodeDecodeError"), "utf8", "x", 0, 1, "r"),
    "UnicodeEncodeError of bytes": made("Exception", named("builtins", "UnicodeEncodeError"), "utf8", b"x", 0, 1, "r"),
    "UnicodeDecodeError without args": made("Exception", named("builtins", "UnicodeDecodeError")),
    "UnicodeDecodeError's fields": made(
        "Exception", named("builtins", "UnicodeDecodeError"), "utf8", b"x", 0, 1, "r", parts=part("State", {"object": 5})
    ),
    "OSError's fields": made("Exception", named("builtins", "OSError"), parts=part("State", {"errno": made("Plain", Spy)})),
    "ImportError's fields": made("Exception", named("builtins", "ImportError"), parts=part("State", {"path": made("Plain", Spy)})),
    "SyntaxError's fields": made("Exception", named("builtins", "SyntaxError"), parts=part("State", {"text": made("Plain", Spy)})),
    "SyntaxError's details": made("Exception", named("builtins", "SyntaxError"), "m", made("Plain", Spy)),
    "group of an iterable": made("Exception", named("builtins", "ExceptionGroup"), "m", made("Plain", Spy)),
    "group of an exception with a __class__": made(
        "Exception", named("builtins", "BaseExceptionGroup"), "m", [made("Exception", SlyExit)]
    ),
    "group of others": made("Exception", named("builtins", "ExceptionGroup"), "m", [1]),
    "group named by an object": made("Exception", named("builtins", "ExceptionGroup"), made("Plain", Spy), []),
    "exception's args": made("Exception", named("builtins", "ValueError"), parts=state({"args": made("Plain", Spy)})),
    "exception's trapped args": made("Exception", Trapped, parts=state({"args": (1,)})),
    "exception's property": made("Exception", Trapped, parts=state({"trap": 1})),
    "exception's traceback": made("Exception", named("builtins", "ValueError"), parts=state({"__traceback__": None})),
    "exception's cause as state": made("Exception", named("builtins", "ValueError"), parts=state({"__cause__": None})),
    "exception's method": made("Exception", named("builtins", "ValueError"), parts=state({"with_traceback": of(int)})),
    "exception's cause": made("Exception", named("builtins", "ValueError"), parts=part("Cause", made("Plain", Spy))),
    "exception with __setstate__": made("Exception", FailsWithState, parts=state({"x": 1})),
    "exception with __del__": made("Exception", FailsWithDel),
    "cause of a data class": made("Plain", Point, parts=part("Cause", made("Exception", named("builtins", "ValueError")))) ,
    "key": Raw(data({made("Plain", Key): 1})),
    "key in a set": Raw(data({made("Plain", Key)})),
    "key in a tuple": Raw(data({(1, made("Plain", Key)): 1})),
    "key in a frozen set": Raw(data({frozenset({made("Plain", Key)}): 1})),
    "key in a slice": Raw(TAG["Set"] + b"\1" + TAG["Slice"] + data(None) + made("Plain", Key) + data(None)),
    "key with __getattribute__": Raw(data({made("Plain", Spy)})),
    "key with a __class__": Raw(data({made("Plain", Sly)})),
    "key of a class with __hash__": Raw(data({of(HasMeta): 1})),
    "key of an enum with __hash__": Raw(data({member(Lookup, "ONE"): 1})),
    "key that is a time in a zone": Raw(data({made("New", datetime.time, b"\1\0\0\0\0\0", made("Plain", Zone)): 1})),
    "function": SYSTEM,
    "function under another name": named(__name__, "system"),
    "function of this program": of(function),
    "function of a class": named(__name__, "Zone.utcoffset"),
    "builtin function": named("builtins", "exec"),
    "import": named("builtins", "__import__"),
    "getattr": named("builtins", "getattr"),
    "object": named("os", "environ"),
    "module in a module": named("os", "path"),
    "class of a module in a module": named("os", "sys.flags"),
    "through a member": named(Colour.__module__, "Colour.RED"),
    "through a metaclass": named(__name__, "HasMeta.anything"),
    "through an instance": named(Colour.__module__, "BERLIN.utcoffset"),
    "module that is not loaded": named("antigravity", "webbrowser"),
    "module that is not loaded, with a class": named("xml.dom.pulldom", "PullDOM"),
    "module with a dot at the end": named("os.", "system"),
    "module without a name": named("", "x"),
    "name without a name": named("os", ""),
    "name with dots": named("os", "..."),
    "module that is no string": Raw(TAG["Global"] + data(1) + data(1)),
    "codec that is not registered": Raw(TAG["Custom"] + text("posix:system") + data(COMMAND) + TAG["Memo"]),
    "codec of this program that is not registered": Raw(TAG["Custom"] + text(f"{__name__}:function") + data(1) + TAG["Memo"]),
    "date with a wrong day": made("New", datetime.date, b"\x07\xd0\x02\x1f"),
    "date in text": made("New", datetime.date, "\x07\xd0\x02\x01"),
    "date of numbers": made("New", datetime.date, 2000, 1, 1),
    "datetime with an hour too many": made("New", datetime.datetime, b"\x07\xd0\x02\x01\x18\0\0\0\0\0"),
    "datetime with microseconds too many": made("New", datetime.datetime, b"\x07\xd0\x02\x01\0\0\0\xff\xff\xff"),
    "datetime in no zone": made("New", datetime.datetime, b"\x07\xd0\x02\x01\0\0\0\0\0\0", 5),
    "timedelta of an object": made("New", datetime.timedelta, made("Plain", Spy), 0, 0),
    "timedelta too long": made("New", datetime.timedelta, 10**12, 0, 0),
    "timezone of an object": made("New", datetime.timezone, made("Plain", Spy)),
    "tzinfo": made("New", datetime.tzinfo),
    "zone in a file": made("New", zoneinfo.ZoneInfo, "/etc/passwd"),
    "zone outside": made("New", zoneinfo.ZoneInfo, "../../../../etc/passwd"),
    "zone with a NUL": made("New", zoneinfo.ZoneInfo, "UTC\0"),
    "zone with empty parts": made("New", zoneinfo.ZoneInfo, "a//b"),
    "zone with too long a name": made("New", zoneinfo.ZoneInfo, "a" * 100),
    "zone without a name": made("New", zoneinfo.ZoneInfo, ""),
    "zone of an object": made("New", zoneinfo.ZoneInfo, made("Plain", Spy)),
    "timezone with state": made("New", datetime.timezone, datetime.timedelta(1), parts=state({"key": "x"})),
    "decimal of an object": made("New", decimal.Decimal, made("Plain", Spy)),
    "decimal of a tuple": made("New", decimal.Decimal, (0, (1,), made("Plain", Spy))),
    "decimal that is none": made("New", decimal.Decimal, "one"),
    "fraction with 0": made("New", fractions.Fraction, 1, 0),
    "fraction that can be shortened": made("New", fractions.Fraction, 2, 4),
    "fraction below": made("New", fractions.Fraction, 1, -2),
    "fraction of an object": made("New", fractions.Fraction, made("Plain", Spy), 1),
    "uuid that is too long": made("New", uuid.UUID, 2**128, "safe"),
    "uuid below zero": made("New", uuid.UUID, -1, "safe"),
    "uuid of an object": made("New", uuid.UUID, made("Plain", Spy), "safe"),
    "uuid with state": made("New", uuid.UUID, 1, "safe", parts=state({"int": made("Plain", Spy)})),
    "ref of an object": made("New", smarm.Ref, made("Plain", Spy)),
    "pid": Raw(TAG["Plain"] + of(smarm.Pid) + TAG["Memo"] + TAG["End"]),
    "lock": made("Plain", smarm.Mutex),
}  # fmt: skip


def of_existing() -> list[Any]:
    """Returns what a message must not change."""
    classes = (Point, Slots, Spy, Lookup, Flags, Colour, HasMeta, Trapped, Zone)
    return [
        *({name: id(value) for name, value in vars(cls).items()} for cls in classes),
        *({name: id(value) for name, value in vars(sys.modules[m]).items()} for m in (__name__, Colour.__module__)),
        [dict(vars(item)) for item in (*Lookup, *Colour)],
        dict(os.environ),
        sorted(sys.modules),
    ]


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_the_receiver_refuses(hostile: Raw) -> None:
    before = of_existing()
    with what_runs() as seen:
        refused = refusal(hostile)
    assert str(refused or "")
    assert seen == []
    assert ran == []
    assert of_existing() == before


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_the_receiver_refuses_it_inside_of_another_value(hostile: Raw) -> None:
    before = of_existing()
    around = [data([1, hostile]), data({"key": hostile}), made("Plain", Point, parts=state({"x": hostile}))]
    with what_runs() as seen:
        refused = [refusal(message) for message in around]
    assert all(refused)
    assert seen == []
    assert ran == []
    assert of_existing() == before


def test_an_exceptions_own_suppress_context_is_not_asked() -> None:
    hostile = made(
        "Exception", Trapped, parts=TAG["Suppress"] + part("Cause", made("Exception", named("builtins", "ValueError")))
    )
    came = decode(bytes(hostile), pickle=False)
    assert type(came) is Trapped
    assert ran == []


def test_a_module_that_answers_for_its_attributes_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("answers")
    module.__getattr__ = lambda name: ran.append(name) or Point  # type: ignore[method-assign, func-returns-value]
    monkeypatch.setitem(sys.modules, "answers", module)
    lazy = type("Lazy", (types.ModuleType,), {"__getattribute__": lambda self, name: ran.append(name) or Point})("lazy")
    monkeypatch.setitem(sys.modules, "lazy", lazy)
    monkeypatch.setitem(sys.modules, "odd", Spy())  # type: ignore[misc]
    ran.clear()
    for name in ("answers", "lazy", "odd"):
        with pytest.raises(smarm.DecodeError):
            decode(bytes(named(name, "Point")), pickle=False)
    assert ran == []


def test_a_class_in_the_place_of_a_known_one_is_one_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    class Uuid(uuid.UUID):
        def __init__(self) -> None: ...

        def __setattr__(self, name: str, value: Any) -> None:
            ran.append(name)

        def __del__(self) -> None:
            ran.append("__del__")

    class Date(datetime.date):
        def __new__(cls, *arguments: Any) -> Any:
            ran.append("__new__")
            return super().__new__(cls, *arguments)

    for module, name, cls in ((uuid, "UUID", Uuid), (datetime, "date", Date)):
        cls.__module__, cls.__qualname__, cls.__name__ = module.__name__, name, name
        monkeypatch.setattr(module, name, cls)
    assert refusal(made("New", Date, b"\x07\xd0\x02\x01"))
    assert refusal(made("New", Uuid, 1, "safe"))
    assert ran == []


def test_keys_of_a_type_that_runs_code_are_not_compared_with_others() -> None:
    # The same hash as 1: were it asked whether it is equal, it would run something.
    for key in (
        made("Plain", Spy),
        made("Plain", Key),
        made("New", decimal.Decimal, "1"),
        made("New", fractions.Fraction, 1, 1),
    ):
        with what_runs() as seen:
            refused = refusal(data({1: 2, key: 3}))
        assert refused
        assert seen == []


def test_a_class_that_changes_is_looked_at_again() -> None:
    changing = dataclasses.make_dataclass("Changing", ["x"], namespace={"__module__": __name__})
    globals()["Changing"] = changing
    encoded = encode(changing(1), pickle=False)
    assert decode(encoded, pickle=False) == changing(1)
    changing.__setstate__ = lambda self, state: ran.append("__setstate__")  # type: ignore[attr-defined]
    with pytest.raises(smarm.DecodeError, match="a call, which is not allowed"):
        decode(encoded, pickle=False)
    del changing.__setstate__  # type: ignore[attr-defined]
    assert decode(encoded, pickle=False) == changing(1)
    Meddled = dataclasses.make_dataclass("Meddled", ["x"], bases=(changing,), namespace={"__module__": __name__})
    globals()["Meddled"] = Meddled
    encoded = encode(Meddled(1), pickle=False)
    changing.__del__ = lambda self: None  # type: ignore[attr-defined]
    with pytest.raises(smarm.DecodeError, match="__del__"):
        decode(encoded, pickle=False)
    with pytest.raises(smarm.NotSendable, match="__del__"):
        encode(Meddled(1), pickle=False)


# ---- modules that the program lists ----------------------------------------------------------------------------------


def test_a_function_travels_when_its_module_is_listed() -> None:
    encoded = encode([function, Zone.utcoffset], pickle=False, trusted_module=__name__)
    assert decode(encoded, pickle=False, trusted_module=__name__) == [function, Zone.utcoffset]
    with pytest.raises(smarm.DecodeError, match="trusted_modules"):
        decode(encoded, pickle=False)
    with pytest.raises(smarm.NotSendable, match=f"module '{__name__}'.*trusted_modules"):
        encode(function, pickle=False)


def test_a_listed_module_lends_its_name_to_no_function_of_another() -> None:
    with pytest.raises(smarm.DecodeError, match="trusted_modules"):
        decode(bytes(named(__name__, "system")), pickle=False, trusted_module=__name__)
    with pytest.raises(smarm.DecodeError, match="neither"):
        decode(bytes(named("os", "environ")), pickle=False, trusted_module="os")
    with pytest.raises(smarm.DecodeError, match="not found"):
        decode(bytes(named("os", "path.join")), pickle=False, trusted_module="os")
