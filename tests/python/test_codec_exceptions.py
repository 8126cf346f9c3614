"""Exceptions arrive with their cause, context, notes and attributes, whatever their constructor asks for."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from smarm import _core
from smarm._errors import ActorFailed

roundtrip: Callable[..., Any] = _core._roundtrip


class OddError(Exception):
    """Its constructor does not accept what it hands to Exception."""

    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class OddFileError(FileNotFoundError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "gone", path)


def test_exceptions_keep_their_parts() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer", [1]) from inner
    except ValueError as error:
        error.add_note("a note")
        error.extra = {"a": 1}  # type: ignore[attr-defined]
        copy = roundtrip(error)
    assert type(copy) is ValueError
    assert copy.args == ("outer", [1])
    assert copy.__notes__ == ["a note"]
    assert vars(copy)["extra"] == {"a": 1}
    assert repr(copy.__cause__) == "KeyError('inner')"
    assert copy.__context__ is copy.__cause__
    assert copy.__suppress_context__
    assert copy.__traceback__ is None


def test_context_without_cause() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise ValueError("outer")  # noqa: B904 - that is the point
    except ValueError as error:
        copy = roundtrip(error)
    assert repr(copy.__context__) == "KeyError('inner')"
    assert copy.__cause__ is None
    assert not copy.__suppress_context__


def test_raise_from_none() -> None:
    error = ValueError()
    error.__suppress_context__ = True
    assert roundtrip(error).__suppress_context__
    error.__cause__ = KeyError()
    error.__suppress_context__ = False
    assert not roundtrip(error).__suppress_context__


def test_a_cycle_of_contexts() -> None:
    first, second = ValueError(1), ValueError(2)
    first.__cause__ = second
    second.__cause__ = first
    copy = roundtrip(first)
    assert copy.__cause__.__cause__ is copy


@pytest.mark.parametrize(
    "error",
    [
        OddError(4, detail="x"), FrozenError(3), FrozenError(code=3), OddFileError("/nowhere"), OSError(2, "no", "f"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), StopIteration(3), SystemExit(4), KeyboardInterrupt(),
        ImportError("m", name="n", path="p"), AttributeError("a", name="n"), NameError("a"),
        SyntaxError("bad", ("file", 1, 2, "text")), ActorFailed("m", None, "name", "trace"),
        pickle.PicklingError("p"), subprocess.CalledProcessError(3, ["cmd"], b"out"),
    ],
    ids=repr,
)  # fmt: skip
def test_exceptions_of_every_make(error: Any) -> None:
    copy = roundtrip(error)
    assert type(copy) is type(error)
    assert (copy.args, str(copy), repr(copy)) == (error.args, str(error), repr(error))
    for name in ("code", "detail", "errno", "filename", "reason", "value", "name", "path", "lineno", "text",
                 "remote_traceback", "returncode", "cmd", "output"):  # fmt: skip
        assert getattr(copy, name, None) == getattr(error, name, None)


def test_exception_groups() -> None:
    group = ExceptionGroup("several", [ValueError(1), OddError(2, detail="d")])
    copy = roundtrip(group)
    assert copy.message == "several"
    assert [repr(error) for error in copy.exceptions] == [repr(error) for error in group.exceptions]
