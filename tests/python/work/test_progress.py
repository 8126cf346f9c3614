"""How far a map is: which bar is taken, and what it is told."""

from __future__ import annotations

import io
import sys
import types

import pytest
import work_tasks as tasks

import smarm
from smarm.work import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def without_bars(monkeypatch):
    """Neither rich nor tqdm is installed."""
    for name in ("rich", "rich.console", "rich.progress", "tqdm"):
        monkeypatch.setitem(sys.modules, name, None)


def test_without_a_bar_there_is_a_line_on_a_terminal(without_bars, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(progress, "EVERY", 0.0)
    smarm.run(lambda: list(smarm.map(tasks.square, range(50), progress=True)), workers=2)
    text = sys.stderr.getvalue()
    assert text.startswith("\rsquare: ")
    assert "50/50 (100 %)" in text
    assert text.endswith("\n")


def test_of_a_generator_the_line_says_how_many_only(without_bars, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    smarm.run(lambda: list(smarm.map(tasks.square, iter(range(50)), progress=True)), workers=2)
    assert "\rsquare: 50, " in sys.stderr.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_where_nobody_looks_there_is_nothing(without_bars, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(smarm.run(lambda: list(smarm.map(tasks.square, range(50), progress=True)), workers=2)) == 50
    assert stream is None or stream.getvalue() == ""


def test_tqdm_is_taken_where_rich_is_missing(without_bars, monkeypatch):
    told = []

    class Bar:
        def __init__(self, total, desc, mininterval):
            told.append((total, desc))

        def update(self, count):
            told.append(count)

        def close(self):
            told.append("closed")

    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    smarm.run(lambda: list(smarm.map(tasks.square, range(50), progress=True)), workers=2)
    assert told[0] == (50, "square")
    assert sum(told[1:-1]) == 50
    assert told[-1] == "closed"


def test_a_failure_closes_the_bar(without_bars, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())

    def main():
        with pytest.raises(KeyError):
            list(smarm.map(tasks.fail_at, range(50), progress=True))

    smarm.run(main, workers=2)
    assert sys.stderr.getvalue().endswith("\n")


def test_what_a_progress_function_raises_ends_the_map():
    def refuse(done, total):
        raise LookupError(done)

    def main():
        with pytest.raises(LookupError):
            list(smarm.map(tasks.square, range(50), progress=refuse))

    smarm.run(main, workers=2)
