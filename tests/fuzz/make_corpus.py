"""Write the first inputs of the decode fuzzer: encodings of many kinds of values, into the directory given."""

from __future__ import annotations

import datetime
import decimal
import fractions
import http
import os
import pathlib
import sys
import uuid
import zoneinfo

import smarm
from smarm import _core

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "python"))  # hostile_bytes.py

from hostile_bytes import Raw, data, made, member, named, of, part
from world import (
    CLASSES,
    GADGETS,
    Bits,
    Colour,
    Failure,
    Frozen,
    Missing,
    Named,
    Node,
    Point,
    Rights,
    Rows,
    Slots,
    Spy,
    Table,
    m,
)

sys.modules["m"] = m


def values() -> list[object]:
    shared: list[object] = [1, "x" * 70]
    shared.append(shared)
    node = Node()
    node.__dict__.update(name="node", other=node, rows=Rows([shared, {1: 2}]))
    slots = Slots()
    slots.a, slots.b = shared, node
    error = Failure("a", 1)
    error.__cause__ = Failure(b"b", None)
    error.add_note("note")
    return [
        None, True, 0, -1, 200, 70000, 1 << 40, 1 << 90, -(1 << 90), 1.5, 2j, "", "text", "é" * 70, "€", "😀" * 20, ...,
        b"", b"x" * 100, bytearray(b"y" * 10), [], (), {}, set(), frozenset(), [shared, shared], (shared, (1, (2,))),
        {"a": 1, "b": [2, {"a": 3, "b": 4}], 3: (4,)}, {1, (2, "x"), frozenset({3})}, range(1, 20, 3), slice(1, None),
        [{"id": number, "name": "n"} for number in range(3)], NotImplemented, type(None),
        Colour.RED, Bits.A | Bits.B, http.HTTPStatus.OK, datetime.date(2000, 2, 29), datetime.timedelta(1, 2, 3), datetime.UTC,
        datetime.datetime(2024, 10, 27, 2, tzinfo=zoneinfo.ZoneInfo("UTC"), fold=1), datetime.time(1), decimal.Decimal("1.10"),
        fractions.Fraction(1, 3), uuid.UUID(int=5),
        node, slots, Table(a=Rows([1])), error, [Node, len], Rows([Rows()]), Point(1, [2]), Frozen(1), Named(1, Point()), Rights(3),
        {Colour.RED: 1, datetime.date(2000, 1, 1): 2, uuid.UUID(int=1): 3, (1, Bits.C): 4}, [Point, int], ExceptionGroup("g", [error]),
    ]  # fmt: skip


def hostile() -> list[Raw]:
    """Return what no encoder writes: every class in every way."""
    system = named(os.system.__module__, "system")
    state = part("State", {"x": 1, "trap": 2, "__class__": 3, "method": 4})
    slots = part("State", (None, {"x": 1, "trap": 2}))
    ways = [
        *(made(tag, cls, 1, 2, parts=parts) for cls in (*CLASSES, *GADGETS)
          for tag in ("Plain", "New", "Exception", "Call") for parts in (b"", state, slots)),
        *(made("New", cls, system, ["echo"]) for cls in GADGETS),
        *(made("Exception", named("builtins", name), made("Plain", Spy), made("Plain", Spy)) for name in
          ("OSError", "SyntaxError", "UnicodeDecodeError", "ExceptionGroup", "BlockingIOError", "StopIteration", "ImportError")),
        *(member(cls, key) for cls in (Colour, Bits, Missing, Point) for key in ("ONE", "__class__", 1, 3, -1)),
        *(named(module, name) for module, name in (("os", "system"), ("os", "environ"), ("m", "point"), ("m", "Missing.ONE"), ("this", "s"))),
        Raw(data({made("Plain", Spy): 1})), Raw(data({made("Plain", Point)})), Raw(data([made("Plain", Point), {(1, made("Plain", Frozen)): 1}])),
        made("Plain", Point, parts=part("Items", 1, end=True)), made("Plain", Point, parts=part("Setter", system, "echo")),
    ]  # fmt: skip
    return [Raw(data([way, of(Point)])) for way in ways]


def encoded(value: object, **options: bool) -> set[bytes]:
    try:
        return {_core._encode(value, **options)}
    except smarm.NotSendable:
        return set()


def main(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(values()):
        for variant, each in enumerate(sorted(encoded(value) | encoded(value, pickle=False))):
            for allow in (b"\0", b"\1", b"\2"):
                (directory / f"value-{number}-{variant}-{allow[0]}").write_bytes(allow + each)
    for number, each in enumerate(hostile()):
        (directory / f"hostile-{number}").write_bytes(b"\2" + each)


main(pathlib.Path(sys.argv[1]))
