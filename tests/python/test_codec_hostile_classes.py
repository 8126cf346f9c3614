"""pickle=False against classes, modules and bytes that try to have a say by every hook that the language has."""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import datetime
import enum
import gc
import importlib.util
import random
import subprocess
import sys
import tracemalloc
import types
import uuid
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import pytest
from hostile_bytes import TAG, Raw, data, hook, made, member, named, of, part, ran, ref, refusal, text, what_runs

import smarm
from smarm import _core

encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


HOOKS = [
    "__init__",
    "__getattribute__",
    "__getattr__",
    "__setattr__",
    "__delattr__",
    "__dir__",
    "__repr__",
    "__str__",
    "__format__",
    "__bytes__",
    "__bool__",
    "__len__",
    "__iter__",
    "__next__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__missing__",
    "__reversed__",
    "__call__",
    "__index__",
    "__int__",
    "__float__",
    "__complex__",
    "__enter__",
    "__exit__",
    "__get__",
    "__set_name__",
    "__eq__",
    "__ne__",
    "__lt__",
    "__hash__",
    "__copy__",
    "__deepcopy__",
    "__length_hint__",
    "__add__",
    "__radd__",
    "__or__",
    "__ror__",
    "__buffer__",
    "__instancecheck__",
    "__subclasscheck__",
    "__mro_entries__",
    "__fspath__",
    "__await__",
    "__aiter__",
    "__post_init__",
    "__sizeof__",
    "__replace__",
    "__init_subclass__",
    "__class_getitem__",
    "__subclasshook__",
]
META_HOOKS = [
    name for name in HOOKS if name not in ("__init__", "__getattribute__", "__setattr__", "__dir__", "__set_name__")
]
hooks = {name: hook(name) for name in HOOKS}


class Meta(type):
    """Watches its classes from the moment when they are made."""


@dataclasses.dataclass(eq=False)
class Watched(metaclass=Meta):
    x: Any = None


@dataclasses.dataclass
class Armed:
    x: Any = None


class ArmedError(Exception):
    pass


class ArmedGroup(ExceptionGroup[Exception]):
    pass


class ArmedPair(NamedTuple):
    left: Any = 1
    right: Any = 2


class ArmedMore(ArmedPair):
    pass


class Colour(enum.Enum):
    RED = 1


class Bits(enum.IntFlag):
    A = 1
    B = 2


for armed in (Armed, ArmedError, ArmedGroup, ArmedMore):
    for hook_name, function in hooks.items():
        setattr(armed, hook_name, function)
for hook_name in META_HOOKS:
    setattr(Meta, hook_name, hooks[hook_name])
Meta.__getattribute__ = hook("__getattribute__")  # type: ignore[method-assign]
Meta.__setattr__ = hook("__setattr__")  # type: ignore[method-assign]
ran.clear()

ARMED = {name: named(__name__, name) for name in ("Armed", "ArmedError", "ArmedGroup", "ArmedMore", "Watched")}
ERROR = made("Exception", named("builtins", "ValueError"))


def state(value: Any) -> bytes:
    return part("State", value)


# What travels, of classes all of whose methods would tell.
TRAVELS: dict[str, Raw] = {
    "data class": made("Plain", ARMED["Armed"], parts=state({"x": 1, "free": 2})),
    "data class with a metaclass": made("Plain", ARMED["Watched"], parts=state({"x": made("Plain", ARMED["Armed"])})),
    "without its fields": made("Plain", ARMED["Armed"]),
    "state twice": made("Plain", ARMED["Armed"], parts=state({"x": 1}) + state({"x": 2})),
    "exception": made("Exception", ARMED["ArmedError"], 1, 2, parts=state({"free": made("Plain", ARMED["Armed"])})),
    "exception with a cause": made("Exception", ARMED["ArmedError"], parts=part("Cause", made("Exception", ARMED["ArmedError"]))),
    "exception with an armed argument": made("Exception", ARMED["ArmedError"], made("Plain", ARMED["Armed"])),
    "group": made("Exception", named("builtins", "ExceptionGroup"), "m", [made("Exception", ARMED["ArmedError"])]),
    "group of a tuple": made("Exception", ARMED["ArmedGroup"], "m", (made("Exception", ARMED["ArmedError"]),)),
    "notes": made("Exception", ARMED["ArmedError"], parts=state({"__notes__": made("Plain", ARMED["Armed"])})),
    "named tuple": made("New", ARMED["ArmedMore"], made("Plain", ARMED["Armed"]), 2, parts=state({"free": 1})),
    "class": ARMED["Watched"],
    "value of a dict": Raw(data({1: made("Plain", ARMED["Armed"]), (1, "x"): ARMED["Watched"]})),
    "cycle of objects": made("Plain", ARMED["Armed"], parts=state({"x": [ref(1), ref(1)]})),
    "cycle of causes": made("Exception", ARMED["ArmedError"], parts=part("Cause", ref(1)) + part("Context", ref(1))),
}  # fmt: skip


@pytest.mark.parametrize("message", TRAVELS.values(), ids=TRAVELS)
def test_what_travels_calls_no_hook(message: Raw) -> None:
    decode(bytes(message), pickle=False)  # what is imported once
    with what_runs() as seen:
        came = decode(bytes(message), pickle=False)
    assert (seen, ran) == ([], [])
    del came
    gc.collect()
    assert ran == []


@pytest.mark.parametrize("message", TRAVELS.values(), ids=TRAVELS)
def test_what_travels_calls_no_hook_when_it_is_cut(message: Raw) -> None:
    with what_runs() as seen:
        refused = [refusal(message[:end]) for end in range(len(message))]
    assert all(refused)
    assert (seen, ran) == ([], [])


# ---- classes ---------------------------------------------------------------------------------------------------------


class Descriptor:
    def __init__(self, name: str = "descriptor") -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is not None:
            ran.append("__get__")
        return self

    def __set__(self, instance: Any, value: Any) -> None:
        if type(value) is not Descriptor:  # the default that __init__ stores
            ran.append("__set__")


class HasSlot:
    __slots__ = ("x",)


@dataclasses.dataclass
class Fields:
    """Each kind of entry that the decorator knows."""

    x: Any
    described: Any = Descriptor()
    made: list[Any] = dataclasses.field(default_factory=hook("default_factory", []))
    callback: Any = print
    given: dataclasses.InitVar[Any] = print
    number: ClassVar[int] = 1
    run: ClassVar[Any] = staticmethod(print)
    _: dataclasses.KW_ONLY = dataclasses.field(default=None)  # type: ignore[assignment]
    last: Any = 1

    foreign = HasSlot.x  # type: ignore[misc]
    other = Descriptor()

    def __post_init__(self, given: Any) -> None:
        ran.append("__post_init__")


@dataclasses.dataclass(slots=True)
class SlotsBase:
    x: Any = 1


@dataclasses.dataclass
class SlotsHidden(SlotsBase):
    @property
    def x(self) -> Any: ...

    @x.setter
    def x(self, value: Any) -> None:
        ran.append("property")


class HasNew(int):
    def __new__(cls, *arguments: Any) -> Any:
        ran.append("__new__")
        return super().__new__(cls, *arguments)

    __eq__ = __hash__ = hook("__eq__", 1)  # type: ignore[assignment]


def with_hooks(base: type) -> type:
    cls = type(
        f"Has{base.__name__}",
        (base,),
        {"__new__": hook("__new__"), "__eq__": hook("__eq__"), "__hash__": hook("__hash__", 1)},
    )
    cls.__module__ = __name__
    globals()[cls.__name__] = cls
    return cls


SUBCLASSES = [
    with_hooks(base)
    for base in (str, bytes, float, complex, tuple, list, dict, set, frozenset, bytearray, range.__base__)
]


class FieldsProperty(tuple):  # type: ignore[type-arg]
    _fields = property(hook("_fields", ("a",)))


class FieldsOwn(tuple):  # type: ignore[type-arg]
    class _Fields(tuple):  # type: ignore[type-arg]
        __len__ = hook("__len__", 1)

    _fields = _Fields(("a",))


class Names(dict):  # type: ignore[type-arg]
    __getitem__ = __missing__ = get = hook("names")


class OddMap(enum.Enum):
    A = 1


OddMap._member_map_ = Names(A=OddMap.A)


class OddFlag(enum.Flag):
    A = 1
    B = 2


type.__setattr__(OddFlag, "_value2member_map_", Names({1: OddFlag.A, 2: OddFlag.B}))


class OddMeta(enum.EnumMeta):
    __call__ = __getitem__ = __contains__ = __iter__ = __len__ = hook("OddMeta")
    __hash__ = hook("__hash__", 1)


class Custom(enum.Enum):
    """An enum with a hand in everything that makes members."""

    A = 1

    def __new__(cls, value: Any) -> Any:
        ran.append("__new__")
        self = object.__new__(cls)
        self._value_ = value
        return self

    def __init__(self, value: Any) -> None:
        ran.append("__init__")

    def _generate_next_value_(self, *arguments: Any) -> Any:
        ran.append("_generate_next_value_")

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        ran.append("_missing_")

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    __eq__ = hook("__eq__")
    __hash__ = hook("__hash__", 1)


class CauseProperty(Exception):
    @property
    def __cause__(self) -> Any: ...

    @__cause__.setter
    def __cause__(self, value: Any) -> None:
        ran.append("__cause__")

    @property
    def __notes__(self) -> Any: ...

    @__notes__.setter
    def __notes__(self, value: Any) -> None:
        ran.append("__notes__")

    __context__ = Descriptor()  # type: ignore[assignment]


class ImportProperty(ImportError):
    name = Descriptor()  # type: ignore[assignment]
    args = Descriptor()  # type: ignore[assignment]


class SlotError(Exception):
    __slots__ = ("code",)


class NewError(OSError):
    def __new__(cls, *arguments: Any) -> Any:
        ran.append("__new__")
        return super().__new__(cls, *arguments)

    def __init__(self, *arguments: Any) -> None:
        ran.append("__init__")


class ReduceError(Exception):
    def __reduce__(self) -> Any:
        return ReduceError, ()


class ReduceExError(Exception):
    def __reduce_ex__(self, protocol: Any) -> Any:
        return ReduceExError, ()


class ClassProperty(type):
    @property
    def __class__(cls) -> Any:
        ran.append("__class__")
        return uuid.UUID


class HasClassProperty(metaclass=ClassProperty):
    pass


class Registered:
    pass


@dataclasses.dataclass
class Copyreg:
    x: Any = 1


copyreg.pickle(Copyreg, lambda value: (Copyreg, (1,)))

REFUSED: dict[str, Raw] = {
    "callable ClassVar": made("Plain", Fields, parts=state({"run": of(subprocess.Popen)})),
    "callable InitVar": made("Plain", Fields, parts=state({"given": of(subprocess.Popen)})),
    "descriptor that is no field": made("Plain", Fields, parts=state({"other": 1})),
    "slot of another class by its name here": made("Plain", Fields, parts=state((None, {"foreign": 1}))),
    "descriptor as a slot": made("Plain", Fields, parts=state((None, {"described": 1}))),
    "__dict__ as a slot": made("Plain", Fields, parts=state((None, {"__dict__": {}}))),
    "__weakref__ as a slot": made("Plain", Fields, parts=state((None, {"__weakref__": None}))),
    "slot hidden by a property": made("Plain", SlotsHidden, parts=state((None, {"x": 1}))),
    "three parts of a state": made("Plain", Fields, parts=state((None, None, None))),
    "slots that are a list": made("Plain", SlotsBase, parts=state((None, [["x", 1]]))),
    "int with __new__": made("New", HasNew, 1),
    **{f"{cls.__name__} with __new__": made("New", cls, 1) for cls in SUBCLASSES},
    **{f"{cls.__name__} as a data class": made("Plain", cls) for cls in SUBCLASSES},
    "_fields by a property": made("New", FieldsProperty, 1),
    "_fields with a length": made("New", FieldsOwn, 1),
    "member by a map with __getitem__": member(OddMap, "A"),
    "combination by a map with __getitem__": member(OddFlag, 3),
    "member made by __new__": made("New", Custom, 1),
    "member with arguments": made("Call", Custom, 1),
    "member by value": member(Custom, 1),
    "member as a key": Raw(data({member(Custom, "A"): 1})),
    "member of members": Raw(TAG["Member"] * 1_000_000),
    "member of marked members": Raw((TAG["Mark"] + TAG["Member"]) * 1_000_000),
    "member named by a member": member(Colour, member(Colour, "RED")),
    "member named by a list": member(Colour, []),
    "combination of 5000 digits": member(Bits, 10**5000),
    "slots of an exception": made("Exception", SlotError, parts=state((None, {"code": 1}))),
    "C fields as slots": made("Exception", named("builtins", "OSError"), parts=state((None, {"errno": [1]}))),
    "C fields of a UnicodeDecodeError as slots": made(
        "Exception", named("builtins", "UnicodeDecodeError"), "utf8", b"x", 0, 1, "r", parts=state((None, {"object": 5}))
    ),
    "notes by a property": made("Exception", CauseProperty, parts=state({"__notes__": []})),
    "cause in a state": made("Exception", CauseProperty, parts=state({"__cause__": None})),
    "field of an ImportError by a descriptor": made("Exception", ImportProperty, parts=state({"name": "x"})),
    "args by a descriptor": made("Exception", ImportProperty, parts=state({"args": (1,)})),
    "exception with __reduce__": made("Exception", ReduceError),
    "exception with __reduce_ex__": made("Exception", ReduceExError),
    "cause that is none": made("Exception", named("builtins", "ValueError"), parts=part("Cause", None)),
    "cause that is a class": made("Exception", named("builtins", "ValueError"), parts=part("Cause", named("builtins", "KeyError"))),
    "group within itself": made("Exception", named("builtins", "ExceptionGroup"), "m", [ref(1)]),
    "class whose metaclass has a __class__ as a key": Raw(data({of(HasClassProperty): 1})),
    "list as a key": Raw(TAG["Dict"] + b"\1" + data([]) + data(1)),
    "set within itself": Raw(TAG["Mark"] + TAG["Set"] + b"\1" + ref(0)),
    "registered type by its name": made("Plain", Registered),
    "generic by its text": named(__name__, "Fields[int]"),
    "__class_getitem__": named("builtins", "list.__class_getitem__"),
    "mro": named(__name__, "Fields.mro"),
    "a descriptor's function": named(__name__, "Fields.run"),
    "a field's default": named(__name__, "Fields.callback"),
    "fields of a class": made("Plain", dataclasses.Field),
    "object": made("Plain", named("builtins", "object")),
    "enum made as a data class": made("Plain", Colour),
    "type of types": made("New", Meta, "X", (), {}),
    "reference to what is being made": Raw(TAG["New"] + ref(0) + data(()) + TAG["End"]),
    "state after the end": Raw(made("Plain", Fields) + state({"x": 1})),
    "state of another's": Raw(TAG["Plain"] + of(Fields) + TAG["Use"] + b"\0" + state({"x": 1})),
    "ordered dict": made("New", collections.OrderedDict, (), parts=part("Pairs", 1, 2, end=True)),
    **{
        f"module {name!r}": named(name, "Popen")
        for name in ("subprocess\0", " subprocess", "./subprocess", "..", ".", "SUBPROCESS", "subprocess.Popen", "subprocess.", "a" * 120)
    },
    "module with a surrogate": Raw(TAG["Global"] + TAG["String2"] + b"\1\0\xd8" + text("x")),
    "name with a surrogate": Raw(TAG["Global"] + text("os") + TAG["String2"] + b"\1\0\xd8"),
    "name with dots at the end": named("subprocess", "Popen."),
    "name with a NUL": named("subprocess", "Popen\0"),
    "codec with a surrogate": Raw(TAG["Custom"] + TAG["String2"] + b"\1\0\xd8" + data(1) + TAG["Memo"]),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED)
def test_the_receiver_refuses(message: Raw) -> None:
    ran.clear()
    with what_runs() as seen:
        refused = [refusal(message), refusal(data([1, message])), refusal(data({"key": message}))]
    assert all(refused)
    assert all(len(str(error)) < 1000 for error in refused)
    assert (seen, ran) == ([], [])


def test_fields_are_stored_past_their_descriptors() -> None:
    message = made("Plain", Fields, parts=state({"x": 1, "described": 2, "callback": 3, "last": 4, "number": 5}))
    with what_runs() as seen:
        came = decode(bytes(message), pickle=False)
    assert (seen, ran) == ([], [])
    assert object.__getattribute__(came, "__dict__") == {"x": 1, "described": 2, "callback": 3, "last": 4, "number": 5}


def test_what_would_hide_a_callable_is_refused_by_the_sender() -> None:
    value = Fields(1, callback=None)
    value.__dict__["run"] = int
    with pytest.raises(smarm.NotSendable, match="'run' hides"):
        encode(value, pickle=False)


def test_exceptions_are_made_by_their_built_in_class_alone() -> None:
    message = made("Exception", NewError, 2, "text", "file", parts=part("Context", made("Exception", CauseProperty)))
    with what_runs() as seen:
        came = decode(bytes(message), pickle=False)
    assert (seen, ran) == ([], [])
    assert (type(came), came.errno, came.filename) == (NewError, 2, "file")
    with what_runs() as seen:
        decode(
            bytes(made("Exception", CauseProperty, parts=part("Cause", ERROR) + part("Context", ERROR))), pickle=False
        )
    assert (seen, ran) == ([], [])


# ---- modules ---------------------------------------------------------------------------------------------------------


def test_modules_are_looked_into_and_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, Any] = {"__getattr__": hook("__getattr__"), "__spec__": property(hook("__spec__"))}
    by_class = types.ModuleType("by_class")
    by_class.__class__ = type(
        "Module", (types.ModuleType,), {"__spec__": answers["__spec__"], "Missing": answers["__spec__"]}
    )
    without_spec = types.ModuleType("without_spec")
    del without_spec.__spec__
    without_spec.__getattr__ = answers["__getattr__"]  # type: ignore[method-assign]
    odd_spec = types.ModuleType("odd_spec")
    odd_spec.__spec__ = type("Spec", (), answers)()
    spec = importlib.util.find_spec("colorsys")
    assert spec
    assert spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    lazy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lazy)
    for module in (by_class, without_spec, odd_spec, lazy):
        monkeypatch.setitem(sys.modules, "odd_module", module)
        ran.clear()
        with what_runs() as seen:
            refused = [
                refusal(named("odd_module", name))
                for name in ("Missing", "rgb_to_hsv", "__spec__", "__class__", "__dict__")
            ]
        assert all(refused)
        assert (seen, ran) == ([], [])
    monkeypatch.setitem(sys.modules, "odd_module", None)  # type: ignore[misc]
    assert refusal(named("odd_module", "Missing"))


# ---- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag", ["List", "Tuple", "Set", "FrozenSet", "Dict", "String1", "String4", "Bytes", "ByteArray", "BigInt"]
)
def test_announced_sizes_take_no_memory(tag: str) -> None:
    if tag not in TAG:
        pytest.skip("no such tag")
    for count in (
        b"\xff\x7f",
        b"\xff\xff\xff\x7f",
        b"\x80\x80\x80\x80\x10",
        b"\xff" * 8 + b"\x7f",
        b"\xff" * 9 + b"\x01",
        b"\xff" * 30,
    ):
        for before in (b"", TAG["Plain"] + of(Armed) + TAG["Memo"] + TAG["State"]):
            tracemalloc.start()
            refused = refusal(before + TAG[tag] + count + b"\0" * 20)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert refused
            assert peak < 200_000


def test_dates_and_times_are_those_that_their_constructors_take() -> None:
    generator = random.Random(1)
    cls = datetime.datetime
    message = bytearray(bytes(made("New", cls, b"\x07\xd0\x02\x1d\x17\x3b\x3b\x0f\x42\x3f")))
    start = message.index(b"\x07\xd0\x02\x1d")
    interesting = [
        0,
        1,
        2,
        4,
        11,
        12,
        13,
        23,
        24,
        28,
        29,
        30,
        31,
        32,
        59,
        60,
        99,
        100,
        127,
        128,
        129,
        130,
        140,
        141,
        255,
    ]
    accepted = 0
    for _ in range(20_000):
        fields = bytearray(message[start : start + 10])
        for _ in range(generator.randrange(1, 4)):
            fields[generator.randrange(10)] = generator.choice(interesting)
        year, month, fold = fields[0] << 8 | fields[1], fields[2] & 127, fields[2] >> 7
        try:
            expected = cls(year, month, *fields[3:7], int.from_bytes(fields[7:]), fold=fold)
        except ValueError:
            expected = None
        hostile = bytes(message[:start]) + bytes(fields) + bytes(message[start + 10 :])
        try:
            came = decode(hostile, pickle=False)
        except smarm.DecodeError:
            came = None
        assert came == expected
        assert came is None or (expected is not None and came.fold == expected.fold)
        accepted += came is not None
    assert 1000 < accepted < 19_000
