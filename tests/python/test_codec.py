"""What the codec carries: values of built-in types, objects by their parts, and what is shared inside one value."""

from __future__ import annotations

import array
import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import math
import operator
import pathlib
import pickle
import re
import sys
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smarm
from smarm import _core

try:  # here and not in the test: it starts threads that stay
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

roundtrip: Callable[..., Any] = _core._roundtrip
encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any
    y: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    x: Any
    y: Any = None


@dataclasses.dataclass(slots=True)
class Slots:
    x: Any
    y: Any = None


class Pair(typing.NamedTuple):
    left: Any
    right: Any


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class Text(str):
    note: str


class Row(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


class Number(int):
    pass


class HalfSlots:
    __slots__ = ("__dict__", "slot")
    slot: object


class WithState:
    def __init__(self, value: object) -> None:
        self.value = value

    def __getstate__(self) -> object:
        return ("state", self.value)

    def __setstate__(self, state: Any) -> None:
        assert state[0] == "state"
        self.value = state[1]


class WithNewArguments:
    def __new__(cls, *args: object, **keywords: object) -> WithNewArguments:
        self = super().__new__(cls)
        self.made = (args, keywords)  # type: ignore[attr-defined]
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[object, ...], dict[str, object]]:
        return (1, 2), {"key": [3]}

    def __getstate__(self) -> None:
        return None


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    class Inner:
        def method(self) -> str:
            return "inner"


def function(value: object) -> object:
    return value


SINGLETON = types.SimpleNamespace(name="only")


class Singleton:
    def __reduce__(self) -> str:
        return "THE_SINGLETON"


THE_SINGLETON = Singleton()

SCALARS = [
    None, True, False, ..., NotImplemented,
    0, 1, -1, -16, -17, 111, 112, 127, 128, -128, -129, 32767, 32768, -32768, -32769,
    2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**1000, -(10**1000), 1 << 511,
    0.0, -0.0, 1.5, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 1j, complex(-0.0, math.inf),
    "", "a", "é", "ÿ", "Ā", "€", "😀", "a\0b", "\ud800", "\udfff\ud800", "x" * 63, "x" * 64, "é" * 63, "€" * 1000,
    b"", b"a", bytes(range(256)), b"x" * 100_000, bytearray(), bytearray(b"abc"),
]  # fmt: skip

CONTAINERS = [
    (), (1,), ((),), [], [[], [[]]], {}, {"a": 1}, {None: None, 1: [2], (1, 2): {}}, set(), {1, "a", (2,)}, frozenset(),
    frozenset({frozenset({1}), ()}), range(0), range(5), range(10, -10, -3), range(-(10**40), 10**40, 10**20),
    range(2**600, 2**601, 2**599), slice(None), slice(1, "b", [3]), [None] * 1000, tuple(range(1000)),
    {str(number): number for number in range(1000)}, [{"id": number, "name": "n"} for number in range(100)],
]  # fmt: skip

OBJECTS = [
    Point(1, [2]), Frozen(1, {"a": ()}), FrozenSlots(1, 2), Slots(1, 2), Pair(1, [2]), Colour.RED, Colour.GREEN,
    Level.LOW, Flags.A | Flags.B, Number(7), Number(10**30),
    datetime.date(2026, 1, 2), datetime.time(1, 2, 3, 4), datetime.timedelta(-1, 2, 3),
    datetime.datetime(2026, 1, 2, 3, 4, 5, 6, fold=1), datetime.datetime.now(datetime.UTC),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "name")),
    decimal.Decimal("-1.50"), decimal.Decimal("sNaN").copy_abs().is_nan() and decimal.Decimal("Infinity"),
    fractions.Fraction(1, 3), uuid.UUID(int=7), pathlib.PurePosixPath("/a/b"), pathlib.Path("relative"),
    ipaddress.ip_address("::1"), re.compile("a+", re.IGNORECASE), array.array("d", [1.5, -0.0]),
    collections.OrderedDict(b=1, a=2), collections.Counter("abca"), collections.defaultdict(list, {1: [2]}),
    collections.deque([1, [2]], 5), collections.ChainMap({"a": 1}, {}), types.SimpleNamespace(a=1, b=[2]),
    int | str, list[int], dict[str, list[int]], typing.Any,
]  # fmt: skip

BY_NAME = [
    function, Point, Point.__init__, WithMeta, Meta, WithMeta.Inner, WithMeta.Inner.method, int, dict, type, object,
    ValueError, len, math.sin, str.upper, [].append.__class__ and dict.fromkeys, type(None), type(...),
    type(NotImplemented), collections.abc.Mapping, collections.OrderedDict, datetime.datetime.now, THE_SINGLETON,
    typing.Optional, pathlib.Path, functools.partial,
]  # fmt: skip


def same(left: object, right: object) -> bool:
    """Whether two values are equal, including types, NaN, signs of zero and order of keys."""
    if isinstance(left, (set, frozenset)):  # the order of its elements depends on how it was made
        return type(left) is type(right) and left == right and sorted(map(repr, left)) == sorted(map(repr, right))
    return type(left) is type(right) and repr(left) == repr(right) and (left == right or repr(left).find("nan") >= 0)


@pytest.mark.parametrize("value", SCALARS, ids=lambda value: repr(value)[:30])
def test_scalars_arrive_as_they_were(value: object) -> None:
    assert same(roundtrip(value), value)
    assert same(roundtrip([value, (value, {"k": value})]), [value, (value, {"k": value})])


def test_nan_arrives_bit_by_bit() -> None:
    assert math.isnan(roundtrip(math.nan))
    assert math.copysign(1, roundtrip(math.copysign(math.nan, -1))) == -1


@pytest.mark.parametrize("value", CONTAINERS, ids=lambda value: repr(value)[:30])
def test_containers_arrive_equal_and_new(value: Any) -> None:
    copy = roundtrip(value)
    assert same(copy, value)
    if isinstance(value, (list, dict, set)):
        assert copy is not value


@pytest.mark.parametrize("value", OBJECTS, ids=lambda value: repr(value)[:30])
def test_objects_arrive_equal(value: Any) -> None:
    copy = roundtrip(value)
    assert type(copy) is type(value)
    assert copy == value
    assert repr(copy) == repr(value)


@pytest.mark.parametrize("value", BY_NAME, ids=lambda value: repr(value)[:30])
def test_functions_and_classes_arrive_by_name(value: object) -> None:
    assert roundtrip(value) == value
    assert roundtrip([value, value])[1] == value


def test_mutable_values_are_copied() -> None:
    value = {"list": [1], "bytes": bytearray(b"a"), "set": {1}}
    copy = roundtrip(value)
    copy["list"].append(2)
    copy["bytes"] += b"b"
    copy["set"].add(2)
    assert value == {"list": [1], "bytes": bytearray(b"a"), "set": {1}}


def test_order_of_keys_is_kept() -> None:
    value = {str(number): number for number in (3, 1, 2)}
    assert list(roundtrip(value)) == ["3", "1", "2"]


def test_attributes_of_subclasses_arrive() -> None:
    text = Text("abc")
    text.note = "n"
    row = Row([1, [2]])
    row.label = "r"  # type: ignore[attr-defined]
    table = Table(a=[1])
    table.label = "t"  # type: ignore[attr-defined]
    texts = roundtrip([text, row, table])
    assert [type(value) for value in texts] == [Text, Row, Table]
    assert texts == [text, row, table]
    assert (texts[0].note, texts[1].label, texts[2].label) == ("n", "r", "t")


def test_slots_and_dict_of_one_object_arrive() -> None:
    value = HalfSlots()
    value.slot = [1]
    value.attribute = {"a": 1}  # type: ignore[attr-defined]
    copy = roundtrip(value)
    assert (copy.slot, copy.attribute) == ([1], {"a": 1})


def test_state_methods_are_used() -> None:
    assert roundtrip(WithState([1])).value == [1]
    assert roundtrip(WithNewArguments()).made == ((1, 2), {"key": [3]})


def test_attribute_names_are_interned() -> None:
    names = list(vars(roundtrip(Point(1, 2))))
    assert all(name is sys.intern(name) for name in names)


def test_functools_partial_and_bound_methods_arrive() -> None:
    assert roundtrip(functools.partial(function, [1]))() == [1]
    assert roundtrip(operator.itemgetter(1, 0))("ab") == ("b", "a")
    assert roundtrip([1, 2].index)(2) == 1
    assert roundtrip(WithState("v").__getstate__)() == ("state", "v")


def test_copyreg_is_consulted() -> None:
    class_reduced = []

    def reduce_with_state(value: WithState) -> tuple[object, ...]:
        class_reduced.append(value)
        return Pair, ("by copyreg", value.value)

    copyreg.pickle(WithState, reduce_with_state)  # type: ignore[arg-type]
    try:
        assert roundtrip(WithState(1)) == Pair("by copyreg", 1)
        assert len(class_reduced) == 1
    finally:
        del copyreg.dispatch_table[WithState]


def test_a_state_setter_is_called() -> None:
    class_value = roundtrip(SetsState([1, 2]))
    assert class_value.set_by_function == [1, 2]


class SetsState:
    def __init__(self, value: object) -> None:
        self.set_by_function = value

    def __reduce__(self) -> tuple[object, ...]:
        return SetsState, (None,), self.set_by_function, None, None, set_state


def set_state(target: SetsState, state: object) -> None:
    target.set_by_function = state


# ---- what is shared ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [list, dict, set, bytearray, lambda: ([],), lambda: frozenset({WithState(1)}), lambda: Point(1), lambda: "x" * 100,
     lambda: b"x" * 100, lambda: slice([], None), lambda: Text("a"), lambda: 10**300, lambda: decimal.Decimal(1)],
)  # fmt: skip
def test_an_object_that_occurs_twice_arrives_once(make: Callable[[], object]) -> None:
    value = make()
    first, (second,), third = roundtrip([value, (value,), {"k": value}])
    assert first is second
    assert first is third["k"]


def test_equal_but_distinct_objects_stay_distinct() -> None:
    first, second = roundtrip([[], []])
    assert first is not second


def test_temporary_objects_of_reduce_functions_do_not_become_one() -> None:
    values = roundtrip([Temporary(number) for number in range(200)])
    assert [value.payload for value in values] == [[number, [number]] for number in range(200)]


class Temporary:
    def __init__(self, payload: object) -> None:
        self.payload = payload

    def __reduce__(self) -> tuple[object, ...]:
        return Temporary, ([self.payload, [self.payload]],)


def test_cycles_through_every_mutable_container() -> None:
    items: list[Any] = []
    items.append(items)
    copy = roundtrip(items)
    assert copy[0] is copy

    table: dict[str, Any] = {}
    table["self"] = table
    copy = roundtrip(table)
    assert copy["self"] is copy

    point = Point(None)
    point.x = {"back": [point]}
    copy = roundtrip(point)
    assert copy.x["back"][0] is copy

    row = Row()
    row.append(row)
    copy = roundtrip(row)
    assert copy[0] is copy
    assert type(copy) is Row

    table = Table()
    table["self"] = table
    copy = roundtrip(table)
    assert copy["self"] is copy


def test_cycles_through_immutable_containers() -> None:
    items: list[Any] = []
    pair = (items,)
    items.append(pair)
    copy = roundtrip(pair)
    assert copy[0][0] is copy

    point = Point(None)
    members = frozenset({WithState(point)})
    point.x = members
    copy = roundtrip(members)
    (member,) = copy
    assert member.value.x is copy

    holder = WithState(None)
    key = (holder,)
    holder.value = {key: 1}
    copy = roundtrip(key)
    assert copy in copy[0].value, "the key was hashed when it was complete"
    assert next(iter(copy[0].value)) is copy

    cut: Any = slice([], None)
    cut.start.append(cut)
    copy = roundtrip(cut)
    assert copy.start[0] is copy


def test_parents_and_children() -> None:
    root = Point("root", [])
    root.y.extend(Point(root, number) for number in range(50))
    copy = roundtrip(root)
    assert all(child.x is copy for child in copy.y)
    assert [child.y for child in copy.y] == list(range(50))


def test_a_parent_that_only_a_child_refers_to_is_not_written_again() -> None:
    parent = WeakParent()
    (copy,) = roundtrip([parent])
    assert copy.child.parent is copy


class WeakParent:
    def __init__(self) -> None:
        self.child = WeakChild(self)


class WeakChild:
    def __init__(self, parent: WeakParent) -> None:
        import weakref

        self.find = weakref.ref(parent)

    def __getstate__(self) -> object:
        return {"parent": self.find()}


def test_many_repeated_and_many_different_keys() -> None:
    rows = [{"id": number, f"key {number}": number, "€": 1, "k" * 70: 2} for number in range(500)]
    assert roundtrip(rows) == rows
    assert len(encode([{"a_long_name": 1} for _ in range(100)])) < 700


# ---- buffers -------------------------------------------------------------------------------------------------------


class Blob:
    """Hands its memory over out of band, as numpy arrays do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: int) -> tuple[object, ...]:  # type: ignore[override]
        assert protocol == 5
        return Blob, (pickle.PickleBuffer(self.data),)


def test_pickle_buffers_arrive_as_bytes_or_bytearray() -> None:
    assert roundtrip(Blob(b"abc")).data == b"abc"
    assert type(roundtrip(Blob(b"abc")).data) is bytes
    copy = roundtrip(Blob(bytearray(b"abc"))).data
    assert (type(copy), copy) == (bytearray, b"abc")
    assert roundtrip(Blob(b"x" * 1_000_000)).data == b"x" * 1_000_000
    assert len(encode(Blob(b"x" * 1000))) < 1200


@pytest.mark.skipif(numpy is None, reason="needs numpy")
def test_numpy_arrays_arrive_writable() -> None:
    for value in (numpy.arange(10.0), numpy.zeros((3, 4), order="F"), numpy.float32(1.5), numpy.arange(10)[::2]):
        copy = roundtrip(value)
        assert copy.dtype == value.dtype
        assert (copy == value).all()
    copy = roundtrip(numpy.arange(10))
    copy += 1


# ---- registered types ----------------------------------------------------------------------------------------------


class Handle:
    def __init__(self, number: object) -> None:
        self.number = number


def test_registered_types_travel_their_own_way() -> None:
    _core._register_codec(Handle, "handle", lambda handle: ["number", handle.number], lambda parts: Handle(parts[1]))
    shared = Handle([1])
    first, second = roundtrip([shared, shared])
    assert first is second
    assert first.number == [1]
    cyclic = Handle(None)
    cyclic.number = [cyclic]
    copy = roundtrip(cyclic)
    assert copy.number[0] is copy
    cyclic.number = cyclic
    with pytest.raises(TypeError, match="contains itself among the arguments"):
        roundtrip(cyclic)


# ---- any value -----------------------------------------------------------------------------------------------------

scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(1 << 600), 1 << 600) | st.floats() | st.complex_numbers()
    | st.text() | st.text(st.characters(exclude_categories=())) | st.binary() | st.dates() | st.datetimes()
    | st.timedeltas() | st.decimals() | st.fractions() | st.uuids() | st.sampled_from([*Colour, Level.LOW, ...])
)  # fmt: skip
hashables = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3) | st.builds(Frozen, inner, inner),
    max_leaves=5,
)
values = st.recursive(
    scalars | hashables | st.binary().map(bytearray) | st.sets(hashables, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(hashables, inner, max_size=5)
        | st.builds(Point, inner, inner)
        | st.builds(FrozenSlots, inner, inner)
        | st.builds(Pair, inner, inner)
        | st.lists(inner, max_size=3).map(collections.deque)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=25,
)


def shape(value: Any) -> object:
    """A value as nested lists with types: it sees what == does not (NaN, the sign of zero) and no order of sets."""
    if isinstance(value, (Point, Frozen, FrozenSlots)):
        return [type(value), shape(value.x), shape(value.y)]
    if isinstance(value, (list, tuple, collections.deque)):
        return [type(value), *map(shape, value)]
    if isinstance(value, (set, frozenset)):
        return [type(value), sorted(repr(shape(member)) for member in value)]
    if isinstance(value, dict):
        return [type(value), *((shape(key), shape(item)) for key, item in value.items())]
    return [type(value), repr(value)]


@settings(deadline=None, max_examples=500)
@given(values)
def test_any_value_arrives_equal(value: object) -> None:
    assert shape(roundtrip(value)) == shape(value)


@settings(deadline=None, max_examples=200)
@given(values)
def test_pickle_agrees(value: object) -> None:
    assert shape(roundtrip(value)) == shape(pickle.loads(pickle.dumps(value, 5)))


def test_zoneinfo_is_the_cached_one() -> None:
    try:
        zone = zoneinfo.ZoneInfo("Europe/Berlin")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("no time zone data on this machine")
    assert roundtrip(zone) is zone


@pytest.mark.parametrize("value", [None, True, 1, 10**100, 1.5, 1j, "s", b"b", ..., range(3), (), (1, ("a", b"b")),
                                   frozenset({1, (2,)})], ids=repr)  # fmt: skip
def test_immutable_values_may_go_by_reference(value: object) -> None:
    assert _core._is_immutable(value)


@pytest.mark.parametrize("value", [[], {}, set(), bytearray(), ([],), (1, (2, {})), frozenset({Frozen(1)}), Text("s"),
                                   Number(1), Point(1), Colour.RED, function, (((((1,),),),),)], ids=repr)  # fmt: skip
def test_other_values_are_copied(value: object) -> None:
    assert not _core._is_immutable(value)


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.binary(min_size=1, max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    )
)
def test_buffers_arrive_wherever_they_are(model: object) -> None:
    def build(value: Any) -> Any:
        if isinstance(value, bytes):
            return smarm.Buffer(value)
        if isinstance(value, list):
            return [build(item) for item in value]
        return {key: build(item) for key, item in value.items()}

    def count(value: Any) -> int:
        if isinstance(value, smarm.Buffer):
            return 1
        return sum(map(count, value if isinstance(value, list) else value.values()))

    def moved(value: Any) -> bool:
        if isinstance(value, smarm.Buffer):
            return value.moved
        return all(map(moved, value if isinstance(value, list) else value.values()))

    value = build(model)
    copy = roundtrip(value)
    assert copy == model
    assert count(copy) == count(value)
    assert moved(value)
