"""Write the first inputs of the decode fuzzer: encodings of many kinds of values, into the directory given."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import http
import pathlib
import sys
import uuid
import zoneinfo

from smarm import _core


class Node:
    pass


class Rows(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


class Slots:
    __slots__ = ("a", "b")


class Failure(Exception):
    def __init__(self, first: object, second: object) -> None:
        super().__init__(first, second)


class Colour(enum.Enum):
    RED = 1


class Bits(enum.Flag):
    A = 1
    B = 2


for kind in (Colour, Bits, Node, Rows, Table, Slots, Failure):
    kind.__module__ = "m"  # as the fuzzer has them
sys.modules["m"] = sys.modules[__name__]


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
        node, slots, Table(a=Rows([1])), error, [Node, len], Rows([Rows()]),
    ]  # fmt: skip


def main(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(values()):
        data = {_core._encode(value), _core._encode(value, pickle=False)}
        for variant, encoded in enumerate(sorted(data)):
            for allow in (b"\0", b"\1", b"\2"):
                (directory / f"value-{number}-{variant}-{allow[0]}").write_bytes(allow + encoded)


main(pathlib.Path(sys.argv[1]))
