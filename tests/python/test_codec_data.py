"""pickle=False: what travels, and that a message runs nothing."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import http
import http.client
import re
import signal
import socket
import subprocess
import uuid
from typing import Any

import pytest
from hostile_bytes import what_runs
from sendable import (
    BERLIN,
    NOON,
    PLUS_TWO,
    AppError,
    Bits,
    Box,
    Colour,
    Frozen,
    HalfSlots,
    Level,
    MoreSlots,
    Old,
    OldWithMethods,
    Pair,
    Planet,
    Point,
    Rights,
    Slots,
    WithHooks,
    Word,
    decode,
    encode,
    send,
)

import smarm

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
