"""pickle=False: a class that changes, or is replaced, after it has been looked at is looked at again."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import gc
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hostile_bytes import data, hook, ran, refusal, what_runs

import smarm
from smarm import _core

encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    ran.clear()


class Pair(NamedTuple):
    left: Any = 1
    right: Any = 2


class Colour(enum.Enum):
    RED = 1


def changing(name: str = "Changing", **options: Any) -> Any:
    made = dataclasses.make_dataclass(name, ["x"], namespace={"__module__": __name__}, **options)
    globals()[name] = made
    return made


CHANGES: dict[str, Any] = {
    "__del__": hook("__del__"), "__setstate__": hook("__setstate__"), "__getstate__": hook("__getstate__"), "__new__": hook("__new__"),
    "__reduce__": hook("__reduce__"), "__reduce_ex__": hook("__reduce_ex__"), "__getnewargs__": hook("__getnewargs__"),
    "__getnewargs_ex__": hook("__getnewargs_ex__"), "__abstractmethods__": frozenset({"x"}), "__dataclass_fields__": 1, "note": hook("note"),
}  # fmt: skip


@pytest.mark.parametrize("where", ["the class", "its base"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_class_that_changes_is_looked_at_again(name: str, where: str) -> None:
    base = changing("Base")
    cls = changing(bases=(base,))
    value = cls(1)
    value.note = 2
    encoded = encode(value, pickle=False)
    for _ in range(3):
        assert vars(decode(encoded, pickle=False)) == {"x": 1, "note": 2}
    changed = cls if where == "the class" or name in ("__dataclass_fields__", "__abstractmethods__") else base
    setattr(changed, name, CHANGES[name])
    with what_runs() as seen:
        refused = refusal(encoded)
    assert refused
    assert (seen, ran) == ([], [])
    with pytest.raises(smarm.NotSendable):
        encode(value, pickle=False)
    with contextlib.suppress(AttributeError):
        del base.__del__  # the old objects need not tell
    with contextlib.suppress(AttributeError):
        del cls.__del__
    ran.clear()


def test_a_class_with_new_hooks_that_do_not_matter_still_travels() -> None:
    cls = changing()
    encoded = encode(cls(1), pickle=False)
    decode(encoded, pickle=False)
    for name in ("__setattr__", "__getattribute__", "__getattr__", "__init__", "__post_init__"):
        setattr(cls, name, hook(name))
        with what_runs() as seen:
            decode(encoded, pickle=False)
        assert (seen, ran) == ([], [])


def test_a_class_with_other_bases_is_looked_at_again() -> None:
    class Harmless: ...

    class Finalizer:
        __del__ = hook("__del__")

    cls = changing(bases=(Harmless,))
    encoded = encode(cls(1), pickle=False)
    decode(encoded, pickle=False)
    cls.__bases__ = (Finalizer,)
    assert refusal(encoded)
    assert ran == []


def test_a_key_whose_class_changes_is_looked_at_again() -> None:
    for cls in (
        changing(eq=False),
        type("Tuple", (Pair,), {"__module__": __name__}),
        enum.Enum("Late", {"A": 1}, module=__name__),
    ):
        globals()[cls.__name__] = cls
        key = cls.A if issubclass(cls, enum.Enum) else cls(1)
        message = bytes(data({1: 2})[:1] + b"\1" + encode(key, pickle=False) + data(3))
        assert len(decode(message, pickle=False)) == 1
        cls.__hash__ = hook("__hash__", 1)
        with what_runs() as seen:
            refused = refusal(message)
        assert refused
        assert (seen, ran) == ([], [])


def test_a_class_in_the_place_of_another_is_another() -> None:
    encoded = encode(changing()(1), pickle=False)
    decode(encoded, pickle=False)
    for number in range(50):  # some get the address of one before them
        changing()
        decode(encoded, pickle=False)
        cls = changing()
        cls.__del__ = hook("__del__")
        assert refusal(encoded), number
        del globals()["Changing"], cls
        gc.collect()
        assert refusal(encoded)
        changing()
    for other in (hook("function"), 1, types.SimpleNamespace(), Colour.RED, list[int], property()):
        globals()["Changing"] = other
        with what_runs() as seen:
            refused = refusal(encoded)
        assert refused
        assert (seen, ran) == ([], [])


def test_an_exception_class_that_changes_is_looked_at_again() -> None:
    globals()["Late"] = cls = type("Late", (OSError,), {"__module__": __name__})
    encoded = encode(cls(1, "x"), pickle=False)
    assert decode(encoded, pickle=False).args == (1, "x")
    for name in ("__setstate__", "__reduce__", "__del__"):
        setattr(cls, name, hook(name))
        with what_runs() as seen:
            refused = refusal(encoded)
        assert refused
        assert (seen, ran) == ([], [])
        delattr(cls, name)
