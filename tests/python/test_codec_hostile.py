"""Bytes that no encoder wrote: decoding them raises, and never reads, allocates or recurses beyond its bounds."""

from __future__ import annotations

import contextlib
import struct
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hostile_bytes import TAG
from hypothesis import given, settings
from hypothesis import strategies as st

from smarm import _core
from smarm._errors import DecodeError

encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode


class Node:
    def __init__(self, value: Any, other: Any = None) -> None:
        self.value = value
        self.other = other


class Rows(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


def samples() -> list[object]:
    shared: list[Any] = [1]
    shared.append(shared)
    pair = (shared, "a" * 70)
    node = Node(pair)
    node.other = [node, {"value": node}]
    error = ValueError("a", shared)
    error.__cause__ = KeyError("k")
    error.add_note("note")
    plain: list[object] = [
        [None, True, 1, -5, 1000, 10**6, 2**40, 2**70, -(10**300), 1.5, 1j, "a", "é", "€" * 3, "😀", ...],
        [NotImplemented, "\ud800"],
        {"a": b"bytes", "b": bytearray(b"array"), 3: {1, 2}, (1, 2): frozenset({3, (4,)}), None: range(2, 9, 3)},
        [shared, pair, pair, {"s": shared}, slice(1, None, shared)],
        [{"id": number, "name": "n", "tags": ("x", number)} for number in range(5)],
    ]
    group = ExceptionGroup("g", [error])
    objects: list[object] = [node, Rows([1, [2]]), Table(a=1), error, [len, Node, int, type(None)], group]
    return [*plain, *objects]


ENCODED = [encode(value) for value in samples()]
ENCODED_PLAIN = [encode(value, allow_reduce=False) for value in samples()[:5]]


def survives(data: bytes, **options: Any) -> None:
    """Decodes; any exception will do, but one of the codec's own where no Python code is involved."""
    try:
        value = decode(data, **options)
        with contextlib.suppress(ValueError, RecursionError):  # an int beyond the limit for text
            repr(value)
    except DecodeError:
        pass
    except Exception:
        if options.get("allow_reduce") is False:
            raise


@pytest.mark.parametrize("data", ENCODED, ids=range(len(ENCODED)))
def test_every_truncation_is_refused(data: bytes) -> None:
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            decode(data[:end])
    with pytest.raises(DecodeError, match="left over"):
        decode(data + b"\0")


@pytest.mark.parametrize("data", ENCODED_PLAIN, ids=range(len(ENCODED_PLAIN)))
def test_every_single_changed_byte(data: bytes) -> None:
    for index in range(len(data)):
        for byte in range(256):
            survives(data[:index] + bytes([byte]) + data[index + 1 :], allow_reduce=False)


@settings(deadline=None, max_examples=2000)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    survives(data, allow_reduce=False)


edits = st.lists(
    st.tuples(st.sampled_from(["flip", "delete", "insert", "copy"]), st.integers(0), st.integers(0), st.integers(1, 8)),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=2000)
@given(st.sampled_from(ENCODED), edits)
def test_mutated_encodings(data: bytes, edits: list[tuple[str, int, int, int]]) -> None:
    changed = bytearray(data)
    for kind, where, what, length in edits:
        index = where % (len(changed) + 1)
        if kind == "flip" and index < len(changed):
            changed[index] ^= 1 << what % 8
        elif kind == "delete":
            del changed[index : index + length]
        elif kind == "insert":
            changed[index:index] = bytes([what % 64] * length)
        elif kind == "copy":
            source = what % (len(changed) + 1)
            changed[index:index] = changed[source : source + length]
    survives(bytes(changed))


HUGE = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"


def varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14])


@pytest.mark.parametrize(
    "data",
    [
        b"", *(TAG[name] + HUGE for name in ("List", "Dict", "Tuple", "MarkedTuple", "Set", "FrozenSet", "Bytes",
                                             "ByteArray", "Buffer", "String1", "String2", "String4", "BigInt")),
        TAG["List"] + b"\xff" * 20, TAG["List"] + b"\x05\0\0", TAG["Dict"] + b"\x02\0\0\0",
    ],
    ids=lambda data: data.hex()[:8] or "empty",
)  # fmt: skip
def test_announced_sizes_must_be_there(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


@pytest.mark.parametrize("name", ["List", "Dict", "Tuple", "MarkedTuple"])
def test_memory_stays_in_proportion(name: str) -> None:
    # Each level announces nearly as many children as there are bytes.
    data = (TAG[name] + varint(100_000)) * 400 + b"\0" * 120_000
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            decode(data)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["List", "Dict", "Tuple", "Set", "Slice", "MarkedFrozenSet"])
def test_nesting_is_limited(name: str) -> None:
    level = TAG[name] if name == "Slice" else TAG[name] + b"\x01"
    with pytest.raises(DecodeError, match="nested too deep"):
        decode(level * 5000 + b"\0" * 15000)


def deep_key(levels: int) -> bytes:
    """Builds tuples out of references to tuples, so that no part of the bytes is nested deeper than a few levels."""
    parts = [TAG["MarkedTuple"] + b"\0" + TAG["Memo"]]
    for number in range(levels):
        parts.append(TAG["MarkedTuple"] + b"\x02" + 2 * (TAG["Ref"] + varint(number)) + TAG["Memo"])
    last = TAG["Dict"] + b"\x01" + TAG["Ref"] + varint(levels) + TAG["None"]
    return TAG["List"] + varint(len(parts) + 1) + b"".join(parts) + last


def test_a_key_that_is_deeper_than_its_bytes_is_refused() -> None:
    with pytest.raises(DecodeError, match="a key is nested too deep"):
        decode(deep_key(10_000))


def test_a_key_that_is_exponentially_large_is_refused() -> None:
    with pytest.raises(DecodeError, match="a key is nested too deep"):
        decode(deep_key(60))


class Pair(NamedTuple):
    left: Any


def test_a_key_of_named_tuples_that_is_deeper_than_its_bytes_is_refused() -> None:
    name = TAG["Global"] + b"".join(TAG["String1"] + bytes([len(text)]) + text.encode() for text in (__name__, "Pair"))
    pair = TAG["New"] + TAG["Ref"] + b"\0" + TAG["Tuple"] + b"\1%b" + TAG["Memo"] + TAG["End"]
    parts = [name, pair % TAG["None"]]
    parts += [pair % (TAG["Ref"] + varint(number + 1)) for number in range(100_000)]
    last = TAG["Dict"] + b"\x01" + TAG["Ref"] + varint(len(parts) - 1) + TAG["None"]
    with pytest.raises(DecodeError, match="a key is nested too deep"):
        decode(TAG["List"] + varint(len(parts) + 1) + b"".join(parts) + last)


def test_a_small_shared_key_is_accepted() -> None:
    assert isinstance(decode(deep_key(5))[-1], dict)


@pytest.mark.parametrize("key", [[], {}, set(), bytearray(), ([],), slice([], None)], ids=repr)
def test_unhashable_keys_are_refused(key: object) -> None:
    with pytest.raises(DecodeError, match="unhashable type"):
        decode(TAG["Dict"] + b"\x01" + encode(key) + b"\0")
    with pytest.raises(DecodeError, match="unhashable type"):
        decode(TAG["Set"] + b"\x01" + encode(key))


def test_characters_beyond_unicode_are_refused() -> None:
    data = encode("😀")
    assert data[-4:] == "😀".encode("utf-32-le" if sys.byteorder == "little" else "utf-32-be")
    with pytest.raises(DecodeError, match="character"):
        decode(data[:-4] + struct.pack("=I", 0x110000))


def test_strings_must_be_as_narrow_as_their_characters() -> None:
    data = encode("😀")
    with pytest.raises(DecodeError, match="wider"):
        decode(data[:-4] + struct.pack("=I", 65))


def test_a_range_must_have_a_step() -> None:
    data = encode(range(0, 5, 2))
    with pytest.raises(DecodeError, match="zero"):
        decode(data[:-1] + encode(0))


class Meddler:
    """Changes the list, dict and set that it is in as soon as it is made there."""

    def __init__(self, *targets: Any) -> None:
        self.targets = targets

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.targets = state["targets"]
        self.meddle()

    def meddle(self) -> None:
        for target in getattr(self, "targets", ()):  # in a cycle it is hashed before it has its state
            target.clear()
            if isinstance(target, list):
                target.extend(["x"] * 5)

    def __hash__(self) -> int:
        self.meddle()
        return 1


@pytest.mark.parametrize("before", [0, 1, 5, 100])
def test_containers_may_change_while_they_are_made(before: int) -> None:
    items: list[Any] = []
    table: dict[Any, Any] = {}
    members: set[Any] = set()
    meddler = Meddler()
    for container in (items, table, members, [1], {2: 3}):
        meddler.targets = (*meddler.targets, container)
    Meddler.meddle, meddle = lambda self: None, Meddler.meddle  # type: ignore[method-assign]
    try:
        items.extend([*range(before), meddler, *range(10), meddler])
        table.update({number: number for number in range(before)} | {meddler: items, "after": meddler})
        members.update({*range(before), meddler, "after"})
        encoded = [encode(value) for value in (items, table, members, [members, table, items], meddler)]
    finally:
        Meddler.meddle = meddle  # type: ignore[method-assign]
    for data in encoded:
        with contextlib.suppress(RuntimeError):
            repr(decode(data))


def test_missing_names_are_what_importing_raises() -> None:
    data = encode(Node)
    with pytest.raises(AttributeError) as caught:
        decode(data.replace(b"Node", b"Nope"))
    assert caught.value.__notes__ == [f"while decoding a value that refers to {__name__}.Nope"]
    data = encode(len)
    with pytest.raises(ModuleNotFoundError):
        decode(data.replace(b"builtins", b"builtouts"[:8]))
