"""``smarm.Executor``: the interface of concurrent.futures, run by actors on every worker."""

from __future__ import annotations

import itertools
import operator
import weakref
from concurrent import futures

from smarm import _config, _core
from smarm._errors import ActorExit, Cancelled, NotSendable
from smarm.work import functions, slots
from smarm.work.future import Future
from smarm.work.manager import make_pool
from smarm.work.outcomes import to_exception

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Any

    from smarm._core import Sender
    from smarm.work.pool import Place
    from smarm.work.slots import Failure


class Executor(futures.Executor):
    """Runs calls on all workers, ``workers`` at a time, and gives a ``concurrent.futures.Future`` for each.

    In an actor or a thread beside a runtime it uses that one; elsewhere one that runs in the background.  ``workers`` is by default
    one per worker of the runtime; more are cheap: a call that waits leaves its worker to others.  ``placement`` is where calls run, as
    ``spawn``'s ``on``: None for every worker in turn, "main", "local" or an index.  ``initializer(*initargs)`` runs in each of
    the actors that run the calls; if it raises, the executor is broken.  It stays in the interpreter that made it.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        placement: Place = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_workers: int | None = None,
    ) -> None:
        number = workers if workers is not None else max_workers
        if number is not None and operator.index(number) < 1:
            raise ValueError(f"max_workers must be greater than 0 (workers={number!r})")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        work = {"initializer": initializer, "initargs": tuple(initargs)}
        self._pool = make_pool("smarm.Executor", number, placement, work)
        self._number = number
        # When nobody has it any more: what was submitted is still done.
        weakref.finalize(self, self._pool.close).atexit = False

    def __repr__(self) -> str:
        state = "shut down" if self._pool.closed else "open"
        return f"<smarm.Executor of {self._max_workers}, {state}>"

    def __reduce__(self) -> Any:
        raise NotSendable("an Executor belongs to the interpreter that made it: make one where it is used")

    @property
    def _max_workers(self) -> int:
        """As the standard library's have it, for dask."""
        return self._number or _core._worker_count() or _config._available_cpus()

    @property
    def _broken(self) -> str | bool:
        """As the standard library's have it."""
        return self._pool.broken or False

    def submit[**Parameters, Result](
        self, fn: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> futures.Future[Result]:
        """Schedule ``fn(*args, **kwargs)`` and return its Future.  Never waits.

        What cannot be sent is the Future's exception.  Raises RuntimeError after ``shutdown``, BrokenExecutor.
        """
        call = Call(fn, args, kwargs)
        self._pool.put(call)
        return call

    def map[Result](
        self,
        fn: Callable[..., Result],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **options: Any,
    ) -> Iterator[Result]:
        """Return an iterator of ``fn``'s values, as ``concurrent.futures`` does: everything is submitted at once.

        ``chunksize`` items make one call.  ``smarm.map`` is lazy, and chooses that itself.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout, **options)
        call = _Chunked(fn)
        chunks = itertools.batched(zip(*iterables, strict=False), chunksize, strict=False)
        return _unchunked(super().map(call, chunks, timeout=timeout, **options))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.  wait: return when all have ended; cancel_futures: those that have not begun never will."""
        self._pool.close(cancels=cancel_futures)
        if wait:
            self._pool.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # Whoever is asked to end does not wait for calls that may take long.
        if kind is not None and issubclass(kind, (KeyboardInterrupt, ActorExit, Cancelled)):
            self._pool.close(cancels=True, kills=True)
        self.shutdown(wait=True)
        return None


def _unchunked(chunks: Iterator[list[Any]]) -> Iterator[Any]:
    for values in chunks:
        values.reverse()
        while values:
            yield values.pop()  # and no reference stays


class _Chunked:
    """A function of ``map`` that takes chunks."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, chunk: Iterable[tuple[Any, ...]]) -> list[Any]:
        return [self.function(*args) for args in chunk]


class Call(Future):
    """A call that was submitted: its Future, and the pool's job."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._waiters = []
        self._done_callbacks = []
        self._call: Any = (function, args, kwargs)

    begin = Future.set_running_or_notify_cancel

    def send(self, batches: Sender[Any], number: int) -> None:
        function, args, kwargs = self._call
        if isinstance(function, _Chunked):
            args = functions.pack(function.function), *args
            function = slots.run_chunk
        try:
            batches.send((number, 0, [(functions.pack(function), args, kwargs)]))
        except NotSendable as error:
            refusal = NotSendable(_by_its_names(str(error)))
            if not functions.may_pickle():
                raise refusal from None
            try:
                packed = functions.pickled((function, args, kwargs))
            except NotSendable:
                raise refusal from None
            batches.send((number, 0, [packed]))

    def returned(self, value: Any, seconds: float) -> None:
        self._call = None
        self.set_result(value)

    def deliver(
        self,
        first: int,
        values: list[Any],
        failures: list[Failure] | None,
        left: list[Any] | None,
        seconds: float,
        done: bool,
    ) -> None:
        if failures:
            self.fail(to_exception(failures[0]))
        elif values:
            self.returned(values[0], seconds)

    def fail(self, error: BaseException) -> None:
        self._call = None
        if not self.done():
            self.set_exception(error)

    def drop(self) -> None:
        self._call = None
        if self.cancel():
            self.set_running_or_notify_cancel()

    def describe(self) -> str:
        if self._call is None:
            return "a call"
        function, args, kwargs = self._call
        if isinstance(function, _Chunked):
            function = function.function
        name = getattr(function, "__qualname__", None) or repr(function)
        parts = [_short(value) for value in args] + [f"{key}={_short(value)}" for key, value in kwargs.items()]
        return f"{name}({', '.join(parts)})"


def _by_its_names(text: str) -> str:
    """Say a path in the batch as the submitter knows it."""
    for path, name in (("message[2][0][0]", "function"), ("message[2][0][1]", "args"), ("message[2][0][2]", "kwargs")):
        text = text.replace(path, name, 1)
    return text


def _short(value: Any) -> str:
    import reprlib

    return reprlib.repr(value)
