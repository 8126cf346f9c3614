"""Values that travel with pickle=False, and their classes, for the tests of the codec."""

from __future__ import annotations

import abc
import collections
import dataclasses
import datetime
import enum
import functools
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple

import smarm
from smarm import _core

encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode


def send(value: Any) -> Any:
    return decode(encode(value, pickle=False), pickle=False)


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
