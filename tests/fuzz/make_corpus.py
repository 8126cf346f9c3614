"""Write the first inputs of the decode fuzzer: encodings of many kinds of values, into the directory given."""

from __future__ import annotations

import pathlib
import sys

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


for kind in (Node, Rows, Table, Slots, Failure):
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
        node, slots, Table(a=Rows([1])), error, [Node, len], Rows([Rows()]),
    ]  # fmt: skip


def main(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(values()):
        data = _core._encode(value)
        for allow in (b"\0", b"\1"):
            (directory / f"value-{number}-{allow[0]}").write_bytes(allow + data)


main(pathlib.Path(sys.argv[1]))
