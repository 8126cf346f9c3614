"""What a program reads when a value cannot be sent, and that nothing worse than an exception can happen."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import gc
import io
import itertools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from smarm import _core
from smarm._errors import DecodeError, NotSendable

roundtrip: Callable[..., Any] = _core._roundtrip
encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode

LOCK = threading.Lock()
REASON = "_thread.lock cannot be sent: a lock belongs to one actor; use smarm.Mutex, or make the lock where it is used"


@dataclasses.dataclass
class Row:
    name: Any
    lock: Any = None


@dataclasses.dataclass(slots=True)
class SlotRow:
    name: Any
    lock: Any = None


class Pair(NamedTuple):
    left: Any
    right: Any


class Items(list):  # type: ignore[type-arg]
    pass


class Table(dict):  # type: ignore[type-arg]
    pass


class Built:
    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[object, ...]:
        return Built, self.arguments


class Stated:
    def __init__(self, state: Any) -> None:
        self.state = state

    def __getstate__(self) -> object:
        return [self.state]


class BadRepr:
    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        raise ValueError("no repr")


def with_attribute(value: Any, **attributes: Any) -> Any:
    vars(value).update(attributes)
    return value


def caused(error: Exception, **parts: Any) -> Exception:
    for name, value in parts.items():
        setattr(error, name, value)
    return error


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, ""),
        ([1, LOCK], "[1]"),
        ((1, 2, LOCK), "[2]"),
        ({"a": LOCK}, "['a']"),
        ({1: {(2, "b"): LOCK}}, "[1][(2, 'b')]"),
        ({LOCK: 1}, ".keys()"),
        ({(1, LOCK): 1}, ".keys()[1]"),
        ({"x" * 100: LOCK}, "['" + "x" * 36 + "...]"),
        ({BadRepr(): [LOCK]}, "[<" + BadRepr.__module__ + ".BadRepr>][0]"),
        ({1, LOCK}, "{...}"),
        ({(LOCK, 1)}, "{...}[0]"),
        (frozenset([LOCK]), "{...}"),
        (slice(1, LOCK), ".stop"),
        ([{"rows": [1, 2, 3, Row("r", LOCK)]}], "[0]['rows'][3].lock"),
        (Row(Row([LOCK])), ".name.name[0]"),
        (SlotRow("s", {"k": LOCK}), ".lock['k']"),
        (with_attribute(Row(1), **{"not a name": LOCK}), "['not a name']"),
        (Pair(1, [LOCK]), ".right[0]"),
        (Items([1, LOCK]), "[1]"),
        (with_attribute(Items(), a=LOCK), ".a"),
        (Table(k=[LOCK]), "['k'][0]"),
        (Table({LOCK: 1}), ".keys()"),
        (collections.deque([1, 2, LOCK]), "[2]"),
        (collections.OrderedDict(a=LOCK), "['a']"),
        (ValueError("a", LOCK), ".args[1]"),
        (with_attribute(ValueError("a"), extra=LOCK), ".extra"),
        (caused(ValueError(), __cause__=KeyError(LOCK)), ".__cause__.args[0]"),
        (caused(ValueError(), __context__=KeyError(LOCK)), ".__context__.args[0]"),
        (Built(1, [LOCK]), ".__reduce_ex__()[1][1][0]"),
        (Stated(LOCK), ".__getstate__()[0]"),
        (types.SimpleNamespace(deep=[LOCK]), ".deep[0]"),
        (threading.Event(), "._cond._lock"),
    ],
)
def test_the_error_names_the_path(value: object, path: str) -> None:
    with pytest.raises(NotSendable) as caught:
        encode(value)
    assert str(caught.value) == f"value{path}: {REASON}"


def nest(depth: int, value: object) -> object:
    for _ in range(depth):
        value = [value]
    return value


def test_a_long_path_is_cut_in_the_middle() -> None:
    with pytest.raises(NotSendable) as caught:
        encode(nest(100, LOCK))
    assert str(caught.value) == f"value{'[0]' * 12}...{'[0]' * 12}: {REASON}"


def generator() -> Iterator[int]:
    yield 1


def nested_function() -> Callable[[], None]:
    def inner() -> None:
        pass

    return inner


def nested_class() -> type:
    class Inner:
        pass

    return Inner


def renamed() -> None:
    pass


original = renamed


def renamed() -> None:  # type: ignore[no-redef]
    pass


NAME = __name__


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 0, "value: a lambda cannot be sent: define a function at module level"),
        (
            nested_function(),
            "value: function 'nested_function.<locals>.inner' cannot be sent: define it at module level, "
            "not inside a function",
        ),
        (
            [nested_class()()],
            "value[0].__class__: class 'nested_class.<locals>.Inner' cannot be sent: define it at module level, "
            "not inside a function",
        ),
        (
            original,
            f"value: function 'renamed' cannot be sent: {NAME}.renamed is another object now "
            "(was the name defined twice, or decorated?)",
        ),
        (
            types.FunctionType,
            "value: class 'function' cannot be sent: it is not found as builtins.function; "
            "define it at module level, under its own name",
        ),
        (generator(), "value: generator cannot be sent: it is running code; send the values that it yields"),
        (sys, "value: module cannot be sent: import it in the actor that uses it"),
        (memoryview(b""), "value: memoryview cannot be sent: send bytes(view), or a smarm.Buffer"),
        (object.__dict__, "value: mappingproxy cannot be sent: send dict(...) of it"),
        (io.FileIO(0, closefd=False), "value: _io.FileIO cannot be sent: send the path or the "
         "data, and open the file in the actor that uses it"),
    ],
)  # fmt: skip
def test_the_error_says_what_to_do_instead(value: object, message: str) -> None:
    with pytest.raises(NotSendable) as caught:
        encode(value)
    assert str(caught.value) == message


class Reduces:
    """Its __reduce__ returns what it is told, or calls it."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __reduce__(self) -> Any:
        return self.result() if callable(self.result) else self.result


@pytest.mark.parametrize(
    "result",
    [None, 1, (), (int,), (1, ()), (int, []), (int, (), None, [1]), (int, (), None, None, {}), (int,) * 7,
     "no_such_name", (int, (), None, None, iter([(1,)])), (int, (), None, None, iter([[1, 2]]))],
    ids=repr,
)  # fmt: skip
def test_a_wrong_reduce_is_refused(result: object) -> None:
    with pytest.raises(NotSendable, match=r"^value\[0\]"):
        encode([Reduces(result)])


def raises(error: BaseException) -> Any:
    raise error


def test_errors_of_the_object_itself_get_the_path_as_a_note() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        encode({"k": [Reduces(lambda: 1 // 0)]})
    assert caught.value.__notes__ == ["while encoding value['k'][0]"]


def test_refusals_of_the_object_itself_become_not_sendable() -> None:
    with pytest.raises(NotSendable) as caught:
        encode({"k": [Reduces(lambda: raises(TypeError("not this one")))]})
    assert str(caught.value) == f"value['k'][0]: {NAME}.Reduces cannot be sent: not this one"
    assert repr(caught.value.__cause__) == "TypeError('not this one')"


def test_base_exceptions_pass_unchanged() -> None:
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught:
        encode([Reduces(lambda: raises(error))])
    assert caught.value is error
    assert not hasattr(error, "__notes__")


def test_iterators_of_reduce_may_fail() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broke")

    with pytest.raises(ValueError, match="broke"):
        encode([Reduces((list, (), None, broken()))])


def test_an_iterator_without_an_end_meets_the_limit_early() -> None:
    def count() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    for with_items in (lambda: (list, (), None, count()), lambda: (dict, (), None, None, ((n, n) for n in count()))):
        taken: list[int] = []
        with pytest.raises(NotSendable, match="needs more than 1048576 bytes"):
            encode(Reduces(with_items()), size=1 << 20)
        assert len(taken) <= 1024 + 1  # although each is a few bytes


@pytest.mark.parametrize("base", [set, frozenset])
def test_a_set_whose_iterator_has_no_end_meets_the_limit_early(base: type) -> None:
    class Endless(base):
        def __iter__(self) -> Iterator[int]:
            return itertools.count()

    with pytest.raises(NotSendable, match="needs more than 1048576 bytes"):
        encode([Endless([1, 2])], size=1 << 20)


class Sorted(set):
    """Goes through its items in order."""

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(super().__iter__()))


def test_a_set_with_an_iterator_of_its_own_travels() -> None:
    value = Sorted([3, 1, 2])
    value.note = "kept"
    copy = roundtrip(value)
    assert (type(copy), list(copy), copy.note) == (Sorted, [1, 2, 3], "kept")


# ---- limits --------------------------------------------------------------------------------------------------------


def test_depth_is_limited() -> None:
    assert roundtrip(nest(499, [])) == nest(499, [])
    roundtrip(nest(499, [1]))
    with pytest.raises(NotSendable, match=r"value(\[0\]){12}\.\.\.(\[0\]){12}: nested deeper than 500 levels"):
        encode(nest(500, [1]))


@pytest.mark.parametrize("depth", [1, 2, 10, 5000])
def test_depth_is_the_same_for_both_directions(depth: int) -> None:
    for wrap in (
        lambda value: [value],
        lambda value: (value,),
        lambda value: {"k": value},
        lambda value: Row(value),
        lambda value: SlotRow(value),
        lambda value: Built(value),
        lambda value: Pair(value, 1),
        lambda value: slice(value),
    ):
        value: object = 1
        for _ in range(depth):
            value = wrap(value)
        copy = roundtrip(value, depth=depth)
        del copy
        with pytest.raises(NotSendable, match=f"nested deeper than {depth} levels"):
            encode(wrap(value), depth=depth)


def test_an_object_inside_its_own_arguments_is_named() -> None:
    built = Built()
    built.arguments = (built,)
    with pytest.raises(NotSendable, match="Built cannot be sent: it contains itself among the arguments that make it"):
        encode(built)


def test_size_is_limited() -> None:
    assert roundtrip(b"x" * 90, size=100) == b"x" * 90
    with pytest.raises(NotSendable, match=r"^value\['a'\]: the value needs more than 100 bytes$"):
        encode({"a": b"x" * 100}, size=100)
    with pytest.raises(NotSendable, match=r"^value\[\d+\]: the value needs more than 100 bytes$"):
        encode(list(range(1000)), size=100)


def test_reduce_can_be_forbidden() -> None:
    for value in (1, "s", [None, {"k": (1.5, b"b")}], {1, 2}, slice(1)):
        assert roundtrip(value, allow_reduce=False) == value
    others: list[Any] = [Row(1), ValueError(), len, int, collections.OrderedDict()]
    for other in others:
        with pytest.raises(NotSendable, match=r"^value\[0\]: .* cannot be sent: only built-in types are allowed here"):
            encode([other], allow_reduce=False)
        with pytest.raises(DecodeError, match="not allowed"):
            decode(encode([other]), allow_reduce=False)


# ---- values that change under the encoder --------------------------------------------------------------------------


class Acts:
    """Runs a function while it is being encoded."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __reduce__(self) -> tuple[object, ...]:
        self.act()
        gc.collect()
        return int, ()


def test_a_list_that_shrinks() -> None:
    items: list[Any] = [Acts(lambda: items.clear()), *(["new"] for _ in range(100))]
    with pytest.raises(NotSendable, match="this list changed while it was being encoded"):
        encode(items)


def test_a_list_that_grows() -> None:
    items: list[Any] = [Acts(lambda: items.append(1)), 2]
    with pytest.raises(NotSendable, match="this list changed while it was being encoded"):
        encode(items)


@pytest.mark.parametrize("where", ["key", "value"])
def test_a_dict_that_changes(where: str) -> None:
    table: dict[Any, Any] = {}
    for change in (lambda: table.clear(), lambda: table.update({number: [] for number in range(100)})):
        acts = Acts(change)
        table.clear()
        table.update({acts: ["a"], 1: ["b"]} if where == "key" else {0: acts, 1: ["b"]})
        with pytest.raises(NotSendable, match="this dict changed while it was being encoded"):
            encode(table)


def test_a_dict_whose_value_goes_while_its_key_is_written() -> None:
    acts = Acts(lambda: table.__setitem__(acts, None))
    table: dict[Any, Any] = {acts: [["the old value"]]}
    assert decode(encode(table)) == {0: [["the old value"]]}


def test_a_set_that_changes() -> None:
    acts = Acts(lambda: members.add("new"))
    members: set[Any] = {acts}
    with pytest.raises(NotSendable, match="this set changed while it was being encoded"):
        encode(members)
    acts = Acts(lambda: others.clear())
    others: set[Any] = {acts, *range(100)}
    with pytest.raises(NotSendable, match="this set changed while it was being encoded"):
        encode(others)


def test_an_object_that_loses_its_attributes() -> None:
    row = Row(None, [1])
    row.name = Acts(lambda: vars(row).clear())
    with pytest.raises(NotSendable, match="this dict changed while it was being encoded"):
        encode([row])


def test_a_bytearray_that_grows_between_its_neighbours() -> None:
    data = bytearray(b"abc")
    assert roundtrip([data, Acts(lambda: data.extend(b"d" * 1000)), data]) == [b"abc", 0, b"abc"]


def test_nested_encoding() -> None:
    inner: list[bytes] = []
    value = [Acts(lambda: inner.append(encode([value[1], {"a": value[1]}]))), [1]]
    assert decode(encode(value)) == [0, [1]]
    assert decode(inner[0]) == [[1], {"a": [1]}]


# ---- leaks ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs reference counts")
def test_nothing_keeps_a_reference() -> None:
    marker = [1]
    row = Row(marker, {"k": marker})
    values: list[Any] = [
        [marker, (marker,), {"k": marker}, {1: marker}, frozenset([Row]) and row, slice(marker), ValueError(marker)],
        [marker, row, LOCK],
        [marker, {Acts(lambda: 1): marker, 2: LOCK}],
        nest(600, marker),
        [marker, Reduces((int, (), None, iter([marker, LOCK])))],
        [marker, Reduces((int, (), None, None, iter([(1, marker), (marker, LOCK)])))],
    ]
    data = encode(values[0])

    def once() -> None:
        for value in values:
            with contextlib.suppress(NotSendable):
                encode(value)
        for end in range(0, len(data), 3):
            with contextlib.suppress(DecodeError):
                decode(data[:end])

    once()
    once()  # the iterators of the last two are used up now
    gc.collect()
    counts = [sys.getrefcount(thing) for thing in (marker, row, Row, ValueError, LOCK)]
    blocks = sys.getallocatedblocks()
    for _ in range(20):
        once()
    gc.collect()
    assert [sys.getrefcount(thing) for thing in (marker, row, Row, ValueError, LOCK)] == counts
    assert sys.getallocatedblocks() - blocks < 200
