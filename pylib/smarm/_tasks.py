"""Waiting for several actors: ``join_all``, and what a TaskGroup makes of its children's ends."""

from __future__ import annotations

from smarm import _core
from smarm._errors import ActorFailed, ActorKilled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smarm._core import JoinHandle, Pid


def join_all[Result](handles: Iterable[JoinHandle[Result]], timeout: float | None = None) -> list[Result]:
    """Wait until all these actors have ended and return their values, in the order of the handles.

    Parks the actor for at most ``timeout`` seconds (None: any time) and then raises Timeout; the actors can be joined
    again.  When all have ended and some failed or were stopped, raises an ExceptionGroup of what ``join``
    raises for these.
    """
    if isinstance(handles, _core.JoinHandle):
        raise TypeError("join_all() takes several JoinHandles, as a list; one has join()")
    waited = tuple(handles)
    _core._wait_all(waited, timeout)
    values: list[Result] = []
    errors: list[Exception] = []
    for handle in waited:
        try:
            values.append(handle.join())
        except ActorFailed as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(waited)} joined actors did not return", errors)
    return values


def conclude(children: Sequence[JoinHandle[object]], first_failure: Pid | None, error: Exception | None) -> None:
    """Raise what a TaskGroup's block and children left.

    ``error`` is the block's, ``first_failure`` the child that cut it short.  All children have ended; those that the
    group stopped are no failures.
    """
    errors: list[Exception] = [] if error is None else [error]
    seen = {error.pid} if isinstance(error, ActorFailed) else set()  # the block joined it already
    for child in children:
        try:
            child.join()
        except ActorFailed as failure:
            stopped_by_group = isinstance(failure, ActorKilled) and child.pid != first_failure
            if child.pid not in seen and not stopped_by_group:
                errors.append(failure)
    if errors:
        raise ExceptionGroup("errors in a TaskGroup", errors)
