"""How an actor's exception travels: described where it happened, raised where it is seen.

Every interpreter imports this before its first actor runs: a failure may be that no file can be opened any more.  Where
``traceback`` cannot be imported for that reason, ``_plain_traceback`` takes its place.
"""

from __future__ import annotations

import os
import sys

from smarm import _plain_traceback
from smarm._errors import ActorFailed, ActorKilled
from smarm._plain_traceback import MOST_FRAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import NamedTuple, NoReturn

    from smarm._core import Pid
else:
    from smarm._record import NamedTuple


_OWN = os.path.join(os.path.dirname(__file__), "")
_shows_own = os.environ.get("SMARM_INTERNAL_FRAMES", "0") not in ("", "0")


class Failure(NamedTuple):
    """One failure; the last field is the exception itself, or None where it cannot travel."""

    pid: Pid
    name: str | None
    file: str | None
    line: int
    summary: str
    traceback_text: str
    exception: BaseException | None


def _format(exception: BaseException) -> str:
    """Return the exception's whole text, with the innermost frames of its traceback and of those before it.

    ``limit=`` does not do: the traceback module takes up to a millisecond for each frame that it leaves out.
    """
    whole: list[tuple[BaseException, TracebackType | None]] = []
    link: BaseException | None = exception
    while link is not None and len(whole) < 100:
        whole.append((link, link.__traceback__))
        link = link.__cause__ or link.__context__
    try:
        for each, trace in whole:
            length, frame = 0, trace
            while frame is not None:
                length, frame = length + 1, frame.tb_next
            for _ in range(length - MOST_FRAMES):
                assert trace is not None  # it is as long as counted
                trace = trace.tb_next
            each.__traceback__ = trace
        return _render(exception)
    finally:
        for each, trace in whole:
            each.__traceback__ = trace


def _render(exception: BaseException) -> str:
    """Return the traceback without smarm's own frames, which say nothing about the program: the last, if it has no others."""
    import traceback

    described = traceback.TracebackException.from_exception(exception)
    waiting: list[traceback.TracebackException] = [] if _shows_own else [described]
    while waiting:
        one = waiting.pop()
        frames = [frame for frame in one.stack if not frame.filename.startswith(_OWN)]
        one.stack = traceback.StackSummary.from_list(frames or one.stack[-1:])
        waiting.extend(
            other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other is not None
        )
    return "".join(described.format())


def describe(exception: BaseException, pid: Pid, name: str | None, file: str | None, line: int) -> tuple[object, ...]:
    """Return the fields of a Failure, as a plain tuple."""
    try:
        summary, text = _describe(exception)
    except Exception:  # formatting runs user code (__str__, __repr__), which may fail in any way
        summary = type(exception).__qualname__
        text = f"{summary}: <its description could not be made>\n"
    return (pid, name, file, line, summary, text, exception)


def _describe(exception: BaseException) -> tuple[str, str]:
    """Return the exception's last line and its whole text."""
    try:
        import traceback
    except Exception:  # also of what it imports
        summary = _plain_traceback.describe_type_and_message(exception)
        return summary, _plain_traceback.format_exception(exception, _OWN)
    return traceback.format_exception_only(exception)[0].strip(), _format(exception)


def _title(failure: Failure) -> str:
    label = f"actor {failure.pid}" + (f" {failure.name!r}" if failure.name else "")
    return label + (f", spawned at {failure.file}:{failure.line}," if failure.file else "")


def to_exception(fields: tuple[object, ...] | str | None) -> ActorFailed:
    """Return the failure as an ActorFailed, with the original exception as its cause where that could travel.

    ``fields`` is None when it could not be described, or says why it could not be decoded.
    """
    if fields is None:
        return ActorFailed(
            "the actor failed without a description: no memory was left, or its worker has no interpreter"
        )
    if isinstance(fields, str):
        return ActorFailed(f"the actor failed: {fields}")
    failure = Failure(*fields)  # type: ignore[arg-type]
    error = ActorFailed(
        f"{_title(failure)} failed: {failure.summary}", failure.pid, failure.name, failure.traceback_text
    )
    error.add_note("Traceback in the failed actor:\n" + failure.traceback_text.rstrip())
    error.__cause__ = failure.exception
    return error


def raise_outcome(pid: Pid, reason: object, reported: bool) -> NoReturn:
    """Raise, in the joining actor, how the joined one ended; ``reported``: on stderr, as nobody had joined it."""
    __tracebackhide__ = True  # in pytest's reports, which are about the program
    if isinstance(reason, ActorFailed) and reason.pid in (pid, None):
        if reported:
            reason.add_note("(This failure was reported on stderr before, as nobody had joined the actor.)")
        raise reason
    raise ActorKilled(f"actor {pid} was stopped: {reason!r}", pid, reason)


def end_child(error: BaseException | None) -> NoReturn:
    """End a forked child, whose actor has returned or raised, as a program ends."""
    import atexit
    import os
    import threading
    from contextlib import suppress

    code = 0
    if isinstance(error, SystemExit):
        code = _exit_code(error.code)
    elif error is not None:
        code = 1
        sys.excepthook(type(error), error, error.__traceback__)
    with suppress(Exception):
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(code & 0xFF)


def _exit_code(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)
    return 1
