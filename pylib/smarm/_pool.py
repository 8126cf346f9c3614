"""A pool of workers: the same function on every core."""

from __future__ import annotations

import operator

from smarm import _core
from smarm._errors import NoRuntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from smarm._core import JoinHandle


def worker_count() -> int:
    """Return how many workers this run has, those included that nobody has needed yet.  Raises NoRuntime."""
    count: int | None = _core._worker_count()
    if count is None:
        raise NoRuntime("worker_count() needs a running actor: start one with smarm.run(main)")
    return count


def spawn_pool[*Arguments, Result](
    function: Callable[[*Arguments], Result],
    /,
    *args: *Arguments,
    count: int | None = None,
    link: bool = False,
) -> list[JoinHandle[Result]]:
    """Start ``count`` actors that run ``function(*args)``, on each worker in turn, and return their handles.

    ``count`` is one for each worker when it is None.  ``link`` links them to the caller, as in ``spawn``.  Usually they
    share a channel: whoever is free takes the next value.  All start or none: when one cannot be started, the others are
    killed.  Raises as ``spawn`` does, ConfigError for a count below 1.
    """
    workers = worker_count()
    number = workers if count is None else operator.index(count)
    if number < 1:
        from smarm._errors import ConfigError

        raise ConfigError(f"a pool has at least one actor: count must not be {number}")
    handles: list[JoinHandle[Result]] = []
    try:
        for each in range(number):
            handles.append(_core.spawn(function, *args, on=each % workers, link=link))
    except BaseException:
        for handle in handles:
            _core.unlink(handle.pid)
            _core.kill(handle.pid)
        raise
    return handles
