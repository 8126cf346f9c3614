"""Functions and classes of the program's script: by name where a worker can load it, by value where it cannot."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from smarm import _core

roundtrip: Callable[..., Any] = _core._roundtrip
encode: Callable[..., bytes] = _core._encode
decode: Callable[..., Any] = _core._decode


def test_the_script_is_called_main_wherever_it_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    script = types.ModuleType("__smarm_main__")
    exec("def work(): return 'worked'\nclass Job: pass", vars(script))
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert script.work.__module__ == "__smarm_main__"
    data = encode(script.work)
    assert b"__main__" in data
    assert b"__smarm_main__" not in data
    assert decode(data) is script.work
    assert decode(data.replace(b"\x08__main__", b"\x0e__smarm_main__")) is script.work
    assert type(roundtrip(script.Job())) is script.Job


SENDER = """
import sys, enum, dataclasses, typing
from smarm import _core

@dataclasses.dataclass
class Point:
    x: int
    def moved(self): return Point(self.x + OFFSET)

class Colour(enum.Enum):
    RED = 1

OFFSET = 10

def fact(n): return 1 if n < 2 else n * fact(n - 1)

def outer():
    captured = []
    def inner(value):
        captured.append(value)
        return captured, Point(1), Colour.RED
    return inner

inner = outer()
value = [fact, lambda x: x + OFFSET, inner, inner, Point(5), Colour.RED, Point]
sys.stdout.buffer.write(_core._encode(value, main_by_value=True))
"""

RECEIVER = """
import sys
from smarm import _core
assert "Point" not in globals()
fact, add, inner, again, point, red, Point = _core._decode(sys.stdin.buffer.read())
assert fact(5) == 120
assert add(1) == 11
assert inner is again
assert inner("a") == (["a"], Point(1), red)
assert type(point) is Point and point.moved() == Point(15)
assert red.name == "RED" and type(red)(1) is red
"""


def test_code_of_an_interactive_main_goes_by_value() -> None:
    pytest.importorskip("cloudpickle")
    sent = subprocess.run([sys.executable, "-c", SENDER], capture_output=True, check=False)
    assert sent.returncode == 0, sent.stderr.decode()
    received = subprocess.run([sys.executable, "-c", RECEIVER], input=sent.stdout, capture_output=True, check=False)
    assert received.returncode == 0, received.stderr.decode()
