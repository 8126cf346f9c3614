"""``smarm.map``: one function, any number of items, every worker; results as they come, with back-pressure."""

from __future__ import annotations

import operator
from _queue import SimpleQueue  # queue's; the rest of that module takes a millisecond
from collections import deque
from collections.abc import Sized
from itertools import islice

from smarm import _config, _core
from smarm._deadline import check_timeout
from smarm._errors import ConfigError, EndOfLoad, NoRuntime
from smarm.work.chunks import Chunks
from smarm.work.manager import make_pool
from smarm.work.outcomes import to_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any, Literal

    from smarm._core import Sender
    from smarm.work.pool import Place, Pool
    from smarm.work.progress import Report
    from smarm.work.slots import Failure

    type OnError = Literal["raise", "return", "skip"]

    type Arrival = tuple[int, list[Any], list[Failure] | None, list[Any] | None, float, bool] | BaseException

CHUNKS_AHEAD = 2
"""For each task actor: the one that it runs, and the next."""

RESULTS_AHEAD = 64
"""Chunks for each task actor that may be done before an earlier one is: then new ones wait for it."""


def map[Item, Result](
    function: Callable[[Item], Result],
    items: Iterable[Item],
    /,
    *,
    concurrency: int | None = None,
    ordered: bool = True,
    timeout: float | None = None,
    on_error: OnError = "raise",
    chunk: int | None = None,
    progress: bool | Callable[[int, int | None], object] = False,
    placement: Place = None,
) -> Generator[Result]:
    """Return a generator of ``function(item)`` for each item, computed on all workers.

    Items are taken as results are: a bounded number is under way.  concurrency is how many run at a time (None: one per
    worker); timeout is in seconds and for each item.  ordered=False: as they are done.  on_error: "raise" the first failure and end
    what runs, "return" exceptions in the place of results, or "skip" them.  chunk: items per message (None: as many as turn out
    to take half a millisecond).  progress: True for a bar, or called with how many are done and how many there are (None: unknown).
    placement: as of Executor.  Closing the generator ends what runs.  Works in actors, in plain threads, and outside of any runtime.
    Raises TypeError, ValueError, ConfigError for arguments at once; NotSendable, Timeout, and what function raises, where iterated.
    """
    if not callable(function):
        raise TypeError(f"map() needs the function that is to run for each item, not {type(function).__name__}")
    for name, number in (("concurrency", concurrency), ("chunk", chunk)):
        if number is not None and operator.index(number) < 1:
            raise ConfigError(f"{name} must be 1 or more, not {number}")
    if on_error not in ("raise", "return", "skip"):
        raise ConfigError(f'on_error is "raise", "return" or "skip", not {on_error!r}')
    check_timeout(timeout)
    if not isinstance(progress, bool) and not callable(progress):
        raise TypeError(f"progress is True, False or a function, not {progress!r}")
    iterator = iter(items)
    if _core._loading():
        raise EndOfLoad
    total = len(items) if isinstance(items, Sized) else None
    name = getattr(function, "__name__", "map")
    work = {"function": function, "timeout": timeout, "stops": on_error == "raise"}
    pool = make_pool("smarm.map", concurrency, placement, work)
    size = 1 if chunk is None and timeout is not None else chunk
    stream = _Stream(pool, iterator, function, Chunks(size), on_error)
    return stream.results(ordered, lambda: None if progress is False else _open_bar(progress, total, name))


def _open_bar(wish: bool | Callable[[int, int | None], object], total: int | None, name: str) -> Report:
    from smarm.work import progress

    return progress.open(wish, total, name)


class _Stream:
    """The submitter's side of one map."""

    def __init__(
        self, pool: Pool, items: Iterator[Any], function: Callable[[Any], Any], chunks: Chunks, on_error: OnError
    ) -> None:
        self._pool = pool
        self._items = items
        self._function = function
        self._chunks = chunks
        self._on_error = on_error
        self._arrivals: SimpleQueue[Arrival] = SimpleQueue()
        self._taken = 0  # items
        self._open = 0  # chunks that have been given away and are not done
        self._more = True
        self._again: deque[tuple[int, list[Any]]] = deque()  # what has come back

    def results(self, ordered: bool, open_report: Callable[[], Report | None]) -> Generator[Any]:
        """Yield the results."""
        report = open_report()
        try:
            yield from self._in_order(report) if ordered else self._as_they_come(report)
        except GeneratorExit:  # also when it is collected, where nobody may wait
            self._pool.close(cancels=True, kills=True)
            raise
        except BaseException:
            self._pool.close(cancels=True, kills=True)
            self._pool.ended.wait()
            raise
        else:
            self._pool.close()
            self._pool.ended.wait()
        finally:
            if report is not None:
                report.close()

    def _as_they_come(self, report: Report | None) -> Iterator[Any]:
        while self._feed(self._taken):
            _, values, failures = self._take(report)
            self._feed(self._taken)
            yield from self._with_failures(values, failures)

    def _in_order(self, report: Report | None) -> Iterator[Any]:
        waiting: dict[int, tuple[list[Any], list[Failure] | None]] = {}
        position = 0
        while self._feed(position):
            first, values, failures = self._take(report)
            waiting[first] = values, failures
            while position in waiting:
                values, failures = waiting.pop(position)
                position += len(values)
                self._feed(position)
                yield from self._with_failures(values, failures)

    def _with_failures(self, values: list[Any], failures: list[Failure] | None) -> Iterable[Any]:
        if not failures:
            return values
        if self._on_error == "raise":
            return self._until(values, failures[0])
        errors = {failure[0]: to_exception(failure) for failure in failures}
        if self._on_error == "skip":
            return [value for index, value in enumerate(values) if index not in errors]
        return [errors.get(index, value) for index, value in enumerate(values)]

    def _until(self, values: list[Any], failure: Failure) -> Iterator[Any]:
        yield from values[: failure[0]]
        raise to_exception(failure)

    # ---- items ---------------------------------------------------------------------------------------------------------

    def _feed(self, position: int) -> bool:
        """Give away what there is room for; return whether anything is under way."""
        actors = self._pool.actors or _config._available_cpus()
        while self._open < CHUNKS_AHEAD * actors:
            size = self._chunks.size
            if self._again:
                first, items = self._again.popleft()
                if len(items) > size:
                    self._again.appendleft((first + size, items[size:]))
                    items = items[:size]
            elif self._more and self._taken - position < RESULTS_AHEAD * actors * size:
                first, items = self._taken, list(islice(self._items, size))
                self._taken += len(items)
                self._more = len(items) == size
                if not items:
                    break
            else:
                break
            self._open += 1
            self._pool.put(_Chunk(self, first, items))
        return self._open > 0

    def _take(self, report: Report | None) -> tuple[int, list[Any], list[Failure] | None]:
        """Wait for the next results."""
        arrival = self._arrivals.get()
        if isinstance(arrival, BaseException):
            raise arrival
        first, values, failures, left, seconds, done = arrival
        if done:
            self._open -= 1
            self._chunks.measured(len(values), seconds)
        if left:
            self._again.append((first + len(values), left))
        if failures and self._on_error == "raise":
            self._more = False
        if report is not None and values:
            report.advance(len(values))
        return first, values, failures


class _NotTogether(Exception):
    """Several items that cannot be sent in one message."""


class _Chunk:
    """Some items on their way through the pool."""

    __slots__ = ("_first", "_items", "_stream")

    def __init__(self, stream: _Stream, first: int, items: list[Any]) -> None:
        self._stream = stream
        self._first = first
        self._items = items

    def begin(self) -> bool:
        return True

    def send(self, batches: Sender[Any], number: int) -> None:
        try:
            batches.send((number, self._first, self._items))
        except Exception as error:
            if len(self._items) == 1:
                raise
            # Which of them cannot be sent shows when they go one by one.
            raise _NotTogether from error

    def deliver(
        self,
        first: int,
        values: list[Any],
        failures: list[Failure] | None,
        left: list[Any] | None,
        seconds: float,
        done: bool,
    ) -> None:
        self._stream._arrivals.put((first, values, failures, left, seconds, done))

    def fail(self, error: BaseException) -> None:
        arrivals = self._stream._arrivals
        if isinstance(error, _NotTogether):
            self._stream._chunks.one_by_one()
            arrivals.put((self._first, [], None, self._items, 0.0, True))
        elif self._stream._pool.broken is None and isinstance(error, Exception) and not isinstance(error, NoRuntime):
            count = len(self._items)
            failures: list[Failure] = [(index, error, str(error), "") for index in range(count)]
            arrivals.put((self._first, [None] * count, failures, None, 0.0, True))
        else:
            arrivals.put(error)

    def returned(self, value: Any, seconds: float) -> None:
        self._stream._arrivals.put((self._first, [value], None, None, seconds, True))

    def drop(self) -> None:
        """The stream has ended."""

    def describe(self) -> str:
        import reprlib

        function = self._stream._function
        name = getattr(function, "__qualname__", None) or repr(function)
        count = len(self._items)
        which = f"item {self._first}" if count == 1 else f"items {self._first} to {self._first + count - 1}"
        return f"{name}({reprlib.repr(self._items[0])}), {which}"
