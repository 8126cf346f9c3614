"""pickle=False: what travels, what both ends refuse, and that a message runs nothing."""

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
import signal
import socket
import subprocess
import sys
import tempfile
import types
import uuid
import weakref
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hostile_bytes import TAG, Raw, data, made, member, named, of, part, ref, refusal, text, what_runs

import smarm
from smarm import _core

encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode


def send(value: Any) -> Any:
    return decode(encode(value, pickle=False), pickle=False)


# ---- what travels --------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    y: Any = ()


@dataclasses.dataclass(slots=True)
class Slots:
    x: Any


@dataclasses.dataclass(slots=True)
class MoreSlots(Slots):
    y: Any


@dataclasses.dataclass
class HalfSlots(Slots):
    y: Any


@dataclasses.dataclass
class Box[Item](abc.ABC):
    item: Item

    @functools.cached_property
    def double(self) -> Any:
        return [self.item, self.item]


@dataclasses.dataclass
class WithHooks:
    """Everything that a constructor or a message might call and does not."""

    x: Any

    def __post_init__(self) -> None:
        raise AssertionError

    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError

    def __getattr__(self, name: str) -> Any:
        raise AssertionError

    def __init_subclass__(cls) -> None:
        raise AssertionError

    def __class_getitem__(cls, item: Any) -> Any:
        raise AssertionError


class Pair(NamedTuple):
    left: Any
    right: Any = None


Old = collections.namedtuple("Old", "a b")


class OldWithMethods(Old):
    def sum(self) -> Any:
        return self.a + self.b


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1
    BLUE = [2]  # noqa: RUF012 - a value that has no hash

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise AssertionError


class Bits(enum.Flag):
    A = 1
    B = 2
    C = 4
    BC = 6


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.IntFlag):
    READ = 4
    WRITE = 2
    BOTH = 6


class Word(enum.StrEnum):
    YES = "yes"


class Planet(enum.Enum):
    EARTH = (5.97, 6.37)

    def __init__(self, mass: float, radius: float) -> None:
        self.mass = mass


class AppError(Exception):
    code = 500

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__(f"{first} {second}")
        self.second = second
        self.code = 404


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
PLUS_TWO = datetime.timezone(datetime.timedelta(hours=2), "plus two")
NOON = datetime.datetime(2024, 10, 27, 12, 30, 15, 999, tzinfo=BERLIN)

TRAVELS: list[Any] = [
    *(None, True, 1, 10**100, 1.5, 1j, "text", b"bytes", bytearray(b"x"), ..., NotImplemented, range(2, 9, 3)),
    *([1, [2]], (1, (2,)), {1, "x", None, (1, "y")}, frozenset({1.5}), {"a": {1: 2}, (1, b"k"): 3}, slice(1, None)),
    *(Point(1, [2]), Frozen(1, (2,)), Slots([1]), MoreSlots(1, 2), HalfSlots(1, 2), Box(1), Point(Point(1), Frozen(Slots(2)))),
    *(Pair(1, [2]), Old(1, 2), OldWithMethods(1, 2), [Pair(Pair(1), Old(2, 3))]),
    *(Colour.RED, Colour.CRIMSON, Colour.BLUE, Level.LOW, Word.YES, Planet.EARTH, Bits.A, Bits.BC, Rights.READ),
    *(Bits.A | Bits.C, Bits(0), Bits.A | Bits.BC, Rights.READ | Rights.WRITE, Rights(0), ~Bits.A),
    *(socket.AF_INET, signal.SIGTERM, http.HTTPStatus.OK, re.IGNORECASE | re.MULTILINE, uuid.SafeUUID.safe),
    *(datetime.date(2000, 2, 29), datetime.time(1, 2, 3, 4), datetime.time(1, tzinfo=PLUS_TWO, fold=1)),
    *(datetime.timedelta(-3, 4, 5), datetime.timedelta.max, datetime.datetime.min, datetime.datetime(2024, 1, 2, 3, 4, 5, 6)),
    *(NOON, NOON.replace(hour=2, fold=1), NOON.astimezone(datetime.UTC), datetime.UTC, PLUS_TWO, BERLIN),
    *(decimal.Decimal("1.10"), decimal.Decimal("-Infinity"), decimal.Decimal("-0E+7"), decimal.Decimal("1E+999999")),
    *(fractions.Fraction(-2, 3), uuid.UUID(int=2**100), uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe)),
    *(int, list, type, Point, Colour, Pair, AppError, datetime.datetime, collections.OrderedDict, map, type(None)),
    {Colour.RED: 1, Level.LOW: 2, Word.YES: 3, datetime.date(2000, 1, 1): 4, NOON: 5, uuid.UUID(int=1): 6, Pair(1, 2): 7},
    {frozenset({(1, Colour.BLUE)}), datetime.UTC, Point, b"x", range(3)},
]  # fmt: skip


def shown(value: Any) -> object:
    """The types of what is inside, too; a set's order depends on how it was filled."""
    return sorted(map(repr, value)) if isinstance(value, set | frozenset) else repr(value)


@pytest.mark.parametrize("value", TRAVELS, ids=lambda value: repr(value)[:40])
def test_what_travels(value: Any) -> None:
    came = send(value)
    assert (came, type(came), shown(came)) == (value, type(value), shown(value))
    if isinstance(value, enum.Enum | type):
        assert came is value
    if isinstance(value, datetime.datetime):
        assert (came.fold, came.tzinfo, came.utcoffset()) == (value.fold, value.tzinfo, value.utcoffset())


@pytest.mark.parametrize("value", TRAVELS, ids=lambda value: repr(value)[:40])
def test_what_travels_runs_nothing(value: Any) -> None:
    encoded = encode(value, pickle=False)
    decode(encoded, pickle=False)  # what is imported once
    with what_runs() as seen:
        decode(encoded, pickle=False)
    if value is BERLIN or value is NOON or (isinstance(value, datetime.datetime) and value.tzinfo is BERLIN):
        seen = [what for what in seen if "weakref.py" not in what]  # zoneinfo's own cache
    assert not seen or (isinstance(value, dict) and all("weakref.py" in what for what in seen))


def test_a_data_class_arrives_past_its_own_code() -> None:
    value = object.__new__(WithHooks)
    value.__dict__["x"] = [1]
    encoded = encode(value, pickle=False)
    with what_runs() as seen:
        came = decode(encoded, pickle=False)
    assert (type(came), vars(came), seen) == (WithHooks, {"x": [1]}, [])


def test_attributes_beside_the_fields_arrive() -> None:
    value = Point(1)
    value.note = "more"  # type: ignore[attr-defined]
    assert vars(send(value)) == {"x": 1, "y": None, "note": "more"}
    box = Box(3)
    assert box.double == [3, 3]
    assert vars(send(box)) == {"item": 3, "double": [3, 3]}


def test_references_within_a_value_stay() -> None:
    point = Point(1)
    point.y = [point, Colour.RED, Colour.RED, Frozen(point)]
    came = send(point)
    assert came.y[0] is came.y[3].x is came
    assert came.y[1] is came.y[2] is Colour.RED


EXCEPTIONS = [
    ValueError("why", [1]), KeyError(Colour.RED), AppError(1, 2), StopIteration(3), SystemExit(4), KeyboardInterrupt(),
    OSError(2, "no such file", "name"), OSError(2, "none", "a", None, "b"), BlockingIOError(11, "again", 5), ImportError("m", name="n", path="p"),
    AttributeError("a", name="n", obj=3), NameError("n", name="n"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    UnicodeEncodeError("ascii", "é", 0, 1, "bad"), SyntaxError("s", ("file", 1, 2, "text", 1, 3)), MemoryError("m"),
    ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [OSError(2, "x")])]), subprocess.TimeoutExpired("cmd", 3),
    smarm.Timeout("t"), smarm.Closed("c", "why"), UserWarning("w"), decimal.InvalidOperation("d"), socket.gaierror(-2, "name"),
]  # fmt: skip


@pytest.mark.parametrize("error", EXCEPTIONS, ids=repr)
def test_exceptions_travel(error: BaseException) -> None:
    error.__cause__ = LookupError("cause")
    error.add_note("a note")
    encoded = encode(error, pickle=False)
    with what_runs() as seen:
        came = decode(encoded, pickle=False)
    assert not seen
    assert (type(came), str(came), repr(came)) == (type(error), str(error), repr(error))
    assert (came.__notes__, type(came.__cause__)) == (["a note"], LookupError)
    assert {key: repr(value) for key, value in vars(came).items()} == {
        key: repr(value) for key, value in vars(error).items()
    }
    for name in ("errno", "filename", "path", "code", "start", "object", "lineno", "exceptions"):
        if hasattr(error, name):
            assert repr(getattr(came, name)) == repr(getattr(error, name))


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self) -> int:
        return hash(self.cents)


def money_of(cents: int) -> Money:
    return Money(cents)


smarm.register_codec(Money, lambda money: money.cents, money_of)


# ---- what both ends refuse -----------------------------------------------------------------------------------------

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
    "through a member": named(__name__, "Colour.RED"),
    "through a metaclass": named(__name__, "HasMeta.anything"),
    "through an instance": named(__name__, "BERLIN.utcoffset"),
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
        {name: id(value) for name, value in vars(sys.modules[__name__]).items()},
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


# ---- between actors --------------------------------------------------------------------------------------------------

PROGRAM = """
    import dataclasses, os, smarm

    @dataclasses.dataclass
    class Point:
        x: int

    def change():
        # In this worker's interpreter only: the sender sees nothing of it.
        Point.__setstate__ = lambda self, state: print("called")
"""


def test_a_message_that_is_refused_is_lost_alone_counted_and_named_once(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    def receiver():
        change()
        got = []
        while len(got) < 5:
            try:
                got.append(smarm.receive(timeout=60))
            except smarm.DecodeError as error:
                got.append(type(error).__name__)
        return got

    def main():
        handle = smarm.spawn(receiver, on=1)
        for message in (1, Point(1), [2], {"key": Point(2)}, 3):
            smarm.send(handle.pid, message)
        print(handle.join(), smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.out) == (0, "[1, 'DecodeError', [2], 'DecodeError', 3] 2\n")
    (line,) = result.err.splitlines()
    assert re.match(
        r"smarm: <pid \d+\.\d+> lost a message that cannot be decoded: making a .*Point needs a call, .*statistics",
        line,
    )


def test_a_server_and_a_supervisor_lose_that_message_alone(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    class Counter(smarm.Server):
        def init(self):
            change()
            self.count = 0

        def handle_call(self, request, caller):
            self.count += 1
            return self.count

        def handle_info(self, message):
            print("got", message)

    def main():
        counter = Counter.start(on=1)
        smarm.send(counter.pid, Point(1))
        print(counter.call("how many"))
        with smarm.Supervisor([smarm.Child("counter", Counter, on=1)]).start(on=1) as supervisor:
            supervisor.count_children()
            smarm.send(supervisor.pid, Point(1))
            print(supervisor.count_children().active, smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.out) == (0, "1\n1 2\n")


def test_a_channel_a_call_and_a_join_refuse_alike(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    def receiver(values):
        change()
        try:
            values.recv()
        except smarm.DecodeError:
            return values.recv()

    @dataclasses.dataclass
    class Given:
        x: int

    def give():
        return Given(1)

    def main():
        sender, values = smarm.channel()
        handle = smarm.spawn(receiver, values, on=1)
        sender.send(Point(1))
        sender.send("next")
        print(handle.join())
        handle = smarm.spawn(give, on=1)
        Given.__del__ = lambda self: print("called")
        try:
            handle.join()
        except smarm.DecodeError:
            print("refused", smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.out) == (0, "next\nrefused 2\n")


def test_arguments_are_messages_and_the_function_is_none(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    def function(*args):
        return len(args)

    def main():
        print(smarm.spawn(function, Point(1), int, on=1).join(), smarm.spawn(os.getpid, on=1).join() == os.getpid())
        for bad in (function, len, {1: lambda: 0}, map):
            try:
                print(smarm.spawn(function, bad, on=1).join())
            except smarm.NotSendable as error:
                print(str(error)[:30])

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "2 True", "args[0]: 'function' of the mod", "args[0]: 'len' of the module '", "args[0][1]: a lambda cannot be", "1",
    ]  # fmt: skip


def test_a_registered_type_travels(run_app: Callable[..., Any]) -> None:
    result = run_app("""
    import smarm

    class Money:
        def __init__(self, cents):
            self.cents = cents

    def take():
        return [money.cents for money in smarm.receive(timeout=60)]

    def of(parts):
        return Money(*parts)

    smarm.register_codec(Money, lambda money: [money.cents], of)

    def main():
        handle = smarm.spawn(take, on=1)
        smarm.send(handle.pid, [Money(5), Money(6)])
        print(handle.join())

    smarm.run(main, workers=2, pickle=False)
    """)
    assert (result.code, result.out, result.err) == (0, "[5, 6]\n", "")


def test_a_type_with_a_codec_comes_by_its_codec_only(run_app: Callable[..., Any]) -> None:
    result = run_app(f"""
    import dataclasses, sys
    import smarm
    from smarm import _core
    sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
    from hostile_bytes import made, part

    @dataclasses.dataclass
    class Coin:
        cents: int

    def coin_of(cents):
        if cents < 0:
            raise ValueError("a coin is worth something")
        return Coin(cents)

    hostile = made("Plain", Coin, parts=part("State", dict(cents=-1)))
    print(_core._decode(bytes(hostile)))
    smarm.register_codec(Coin, lambda coin: coin.cents, coin_of)

    def main():
        assert _core._decode(_core._encode(Coin(1))) == Coin(1)
        try:
            _core._decode(bytes(hostile))
        except smarm.DecodeError as error:
            print("registered codec" in str(error))

    smarm.run(main, workers=1, pickle=False)
    """)
    assert (result.code, result.out, result.err) == (0, "Coin(cents=-1)\nTrue\n", "")


def test_listed_modules_reach_every_worker(run_app: Callable[..., Any]) -> None:
    program = """
    import os, smarm

    def double(x):
        return 2 * x

    def apply():
        function, value = smarm.receive(timeout=60)
        return function(value)

    def main():
        handle = smarm.spawn(apply, on=1)
        smarm.send(handle.pid, (double, 4))
        print(handle.join())
        with smarm.Supervisor([smarm.Child("one", apply)]).start(on=1) as supervisor:
            print(supervisor.count_children().active)
        try:
            smarm.send(smarm.self(), os.system)
        except smarm.NotSendable as error:
            print("posix" in str(error))

    if __name__ == "__main__":
        smarm.run(main, workers=2, %s)
    """
    result = run_app(program % "pickle=False, trusted_modules=['__main__', 'json']")
    assert (result.code, result.out, result.err) == (0, "8\n1\nTrue\n", "")
    result = run_app(program % "pickle=False", env={"SMARM_TRUSTED_MODULES": "json,__main__"})
    assert (result.code, result.out, result.err) == (0, "8\n1\nTrue\n", "")
    result = run_app(program % "pickle=False")
    assert result.code == 1
    assert "'double' of the module '__main__' cannot be sent (pickle=False, --no-pickle)" in result.err
    assert "trusted_modules" in result.err


def test_a_module_that_the_receiver_has_not_loaded_stays_so(run_app: Callable[..., Any]) -> None:
    result = run_app("""
    import sys
    import smarm

    def receiver():
        before = set(sys.modules)
        try:
            return smarm.receive(timeout=60)
        except smarm.DecodeError as error:
            return str(error)[:70], set(sys.modules) - before

    def main():
        import colorsys, xml.dom.pulldom as dom
        handle = smarm.spawn(receiver, on=1)
        smarm.send(handle.pid, [dom.PullDOM])
        print(handle.join())

    smarm.run(main, workers=2, pickle=False)
    """)
    assert (result.code, result.out) == (
        0,
        "(\"a message cannot name 'PullDOM' of 'xml.dom.pulldom': its module is no\", set())\n",
    )


def test_what_smarm_itself_sends_travels_to_a_worker_that_has_nothing_of_it(run_app: Callable[..., Any]) -> None:
    result = run_app("""
    import datetime, decimal, fractions, uuid, zoneinfo
    import smarm

    def receiver():
        return smarm.receive(timeout=60)

    def main():
        child = smarm.Child("id", int, restart="temporary")
        values = [smarm.ServerRef("a"), smarm.SupervisorRef("b"), smarm.Down(smarm.Ref(1), smarm.self(), "r"), child,
                  smarm.Exit(smarm.self(), 1), smarm.Signal.Timeout(smarm.self()), smarm.Timeout("t"), decimal.Decimal(1),
                  fractions.Fraction(1), uuid.UUID(int=1), zoneinfo.ZoneInfo("UTC"), datetime.date(2000, 1, 1)]
        for value in values:
            handle = smarm.spawn(receiver, on=1)
            smarm.send(handle.pid, value)
            came = handle.join()
            assert repr(came) == repr(value), (came, value)
        print(len(values), smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """)
    assert (result.code, result.out, result.err) == (0, "12 0\n", "")


@pytest.mark.parametrize("good", ["", "a,b.c", ["a", "b.c"], ("a", "b.c"), " a , b.c ,a"])
def test_trusted_modules_are_names(good: Any) -> None:
    assert smarm.Runtime(trusted_modules=good).options["trusted_modules"] == ("a,b.c" if good else "")


@pytest.mark.parametrize("bad", [1, [1], "a b", "a.", b"a", object(), "os;sys", [None]])
def test_trusted_modules_that_are_no_names_are_refused(bad: Any) -> None:
    with pytest.raises(smarm.ConfigError, match=r"^trusted_modules must be names of modules"):
        smarm.Runtime(trusted_modules=bad)
