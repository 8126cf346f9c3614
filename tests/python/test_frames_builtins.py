"""What smarm imports does not come through the builtins of the frame that runs: namedtuple's __new__ has none."""

from __future__ import annotations

import array
import collections
import enum
import sys
from typing import Any

import pytest

import smarm
from smarm import _core

OUTSIDE = {"smarm": smarm, "core": _core, "array": array.array}
Point = collections.namedtuple("Point", "x y")


class Colour(enum.Enum):
    red = 1


def evaluate(expression: str, **names: Any) -> Any:
    """Evaluate an expression in a frame without builtins: what it calls in C finds no ``__import__`` there."""
    return eval(expression, {"__builtins__": {}, **OUTSIDE, **names})


def make_points() -> None:
    while True:
        Point(1, 2)


def fail() -> None:
    raise ValueError("as it must")


def timed_out(expression: str) -> Any:
    def main() -> None:
        sender, receiver = smarm.channel()
        with pytest.raises(smarm.Timeout):
            evaluate(expression, sender=sender, receiver=receiver)

    return main


def closed() -> None:
    sender, receiver = smarm.channel()
    sender.close()
    with pytest.raises(smarm.Closed):
        evaluate("receiver.recv()", receiver=receiver)


def not_sendable() -> None:
    sender, _receiver = smarm.channel()
    with pytest.raises(smarm.NotSendable):
        evaluate("sender.send(file)", sender=sender, file=sys.stdout)


def failed() -> None:
    handle = smarm.spawn(fail)
    with pytest.raises(smarm.ActorFailed):
        evaluate("handle.join()", handle=handle)


def down() -> None:
    handle = smarm.spawn(fail, monitor=True)
    handle.observe()
    assert type(evaluate("core.receive()")) is smarm.Down


def exit_message() -> None:
    smarm.trap_exit(True)
    smarm.spawn(fail, link=True).observe()
    assert type(evaluate("core.receive()")) is smarm.Exit


def call() -> None:
    with pytest.raises(smarm.Timeout):
        evaluate("core.call(pid, 1, timeout=0.001)", pid=smarm.spawn(smarm.sleep, 60).pid)


def monitor() -> None:
    assert type(evaluate("core.monitor(pid)", pid=smarm.self())) is smarm.Ref


def enumeration() -> None:
    assert isinstance(evaluate("core._encode(colour, pickle=False)", colour=Colour.red), bytes)


def by_value() -> None:
    pytest.importorskip("cloudpickle")
    assert isinstance(evaluate("core._encode(function, main_by_value=True)", function=lambda: 1), bytes)


def lent_memory() -> None:
    buffer = evaluate("smarm.Buffer.from_array(array('d', (1.0, 2.0)))")
    assert len(buffer) == 16


def group() -> None:
    made = smarm.TaskGroup()
    made.__enter__()
    made.spawn(fail)
    with pytest.raises(ExceptionGroup):
        evaluate("made.__exit__(None, None, None)", made=made)


@pytest.mark.parametrize(
    "main",
    [
        timed_out("receiver.recv(timeout=0)"),
        timed_out("core.receive(timeout=0)"),
        timed_out("core.select(receiver, timeout=0)"),
        closed,
        not_sendable,
        failed,
        down,
        exit_message,
        call,
        monitor,
        enumeration,
        by_value,
        lent_memory,
        group,
    ],
)
def test_a_frame_without_import_is_no_obstacle(main: Any) -> None:
    smarm.run(main, workers=1)


def test_a_timeout_that_arrives_inside_a_namedtuple_is_a_timeout() -> None:
    def main() -> None:
        for _ in range(30):
            with pytest.raises(smarm.Timeout), smarm.timeout(0.002):
                make_points()

    smarm.run(main, workers=1)
