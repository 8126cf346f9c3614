"""How an actor's exception travels: described where it happened, raised or reported where it is seen."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from smarm._errors import ActorFailed

if TYPE_CHECKING:
    from smarm._core import Pid


class Failure(NamedTuple):
    """One failure; the last field is the exception itself, or None where it cannot travel."""

    pid: Pid
    name: str | None
    file: str | None
    line: int
    summary: str
    traceback_text: str
    exception: BaseException | None


def describe(exception: BaseException, pid: Pid, name: str | None, file: str | None, line: int) -> tuple[object, ...]:
    """Return the fields of a Failure, as a plain tuple."""
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception:  # formatting runs user code (__str__, __repr__), which may fail in any way
        text = f"{type(exception).__qualname__}: <its description could not be made>\n"
    try:
        summary = traceback.format_exception_only(exception)[0].strip()
    except Exception:
        summary = type(exception).__qualname__
    return (pid, name, file, line, summary, text, exception)


def _title(failure: Failure) -> str:
    label = f"actor {failure.pid}" + (f" {failure.name!r}" if failure.name else "")
    return label + (f", spawned at {failure.file}:{failure.line}," if failure.file else "")


def reraise(fields: tuple[object, ...]) -> NoReturn:
    """Raise the failure as ActorFailed in the joining actor."""
    failure = Failure(*fields)  # type: ignore[arg-type]
    error = ActorFailed(f"{_title(failure)} failed: {failure.summary}", failure.pid, failure.name, failure.traceback_text)
    error.add_note("Traceback in the failed actor:\n" + failure.traceback_text.rstrip())
    raise error from failure.exception


def report(fields: tuple[object, ...] | None) -> None:
    """Write to stderr that an actor failed and nobody joined it."""
    if fields is None:
        text = "smarm: an actor failed, and its exception could not be described\n"
    else:
        failure = Failure(*fields)  # type: ignore[arg-type]
        text = f"smarm: {_title(failure)} failed, and nobody joined it:\n{failure.traceback_text}"
    if sys.stderr is not None:
        sys.stderr.write(text)
        sys.stderr.flush()
