"""What the tests of this folder have workers do."""

from __future__ import annotations

import time
from typing import Any

import smarm


def square(number: int) -> int:
    return number * number


def fail_at(number: int, where: int = 5) -> int:
    if number == where:
        raise KeyError(where)
    return number


class NeedsTwo(Exception):
    """An exception whose arguments are not those of its constructor."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__(f"{left} and {right}")
        self.right = right


def raise_needs_two() -> None:
    raise NeedsTwo(1, 2)


class Unsendable(Exception):
    """An exception that holds what cannot travel."""

    def __init__(self) -> None:
        super().__init__("with a generator")
        self.kept = (each for each in ())


def raise_unsendable() -> None:
    raise Unsendable


def raise_exit() -> None:
    raise SystemExit(3)


def return_generator(count: int) -> Any:
    return (number * 2 for number in range(count))


def return_lock() -> Any:
    import threading

    return threading.Lock()


def wait_for(event: smarm.Event) -> str:
    event.wait(timeout=60)
    return "waited"


def meet(barrier: smarm.Barrier) -> int | None:
    barrier.wait(timeout=60)
    return smarm.worker_index()


def where(_: object = None) -> int | None:
    return smarm.worker_index()


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def tell_and_wait(tell: smarm.Sender[int], number: int) -> None:
    """Say that it runs, then wait for its end, which it tells, too."""
    tell.send(number)
    try:
        smarm.receive()
    finally:
        tell.send(-number)


class Adder:
    """An object with a method and a call."""

    def __init__(self, more: int) -> None:
        self.more = more

    def add(self, number: int) -> int:
        return number + self.more

    __call__ = add


class BadState:
    """It can be encoded, and not decoded."""

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def __setstate__(self, state: dict[str, int]) -> None:
        raise ValueError("not here")


def take(value: object) -> str:
    return type(value).__name__


def return_bad_state() -> BadState:
    return BadState()


initialised: list[Any] = []


def initialise(value: Any) -> None:
    initialised.append(value)


def get_initialised() -> list[Any]:
    return initialised


def fail_to_initialise() -> None:
    raise ValueError("error in initializer")


def fill(buffer: smarm.Buffer) -> smarm.Buffer:
    buffer[0] = 7
    return buffer
