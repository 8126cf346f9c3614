"""The actors that run tasks: each takes the next batch from a channel that all of them share.

A batch is ``(number, first, items)``: its number, the index of its first item, and the items.  What becomes of it goes to the
manager's mailbox as an Outcome.  Workers load this module and nothing else of the package: it needs no concurrent.futures.
"""

from __future__ import annotations

import time
from types import GeneratorType

from smarm import _core, _failure
from smarm._errors import ActorExit, Closed, NotSendable
from smarm.work import functions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple

    from smarm._core import Pid, Receiver

    type Failure = tuple[int, BaseException | None, str, str]
    """Index in the batch's values, the exception or None where it cannot travel, its last line, its traceback's text."""

    type Outcome = tuple[int, int, list[Any], list[Failure] | None, list[Any] | None, float, bool]
    """Number, index of the first value, values, failures, items that are left, seconds, whether the batch is done.

    For a batch of one item that returned: number, value, seconds.
    """
else:
    from smarm._record import NamedTuple

LONGEST = 0.002
"""Seconds after which the rest of a batch goes back, so that it does not wait behind items that take longer than was thought."""


class Order(NamedTuple):
    """What the task actors of one pool are to do."""

    function: Any
    """Packed; None: each item is a call, ``(packed function, arguments, keyword arguments)``."""
    initializer: Any
    """Packed, or None."""
    initargs: tuple[Any, ...]
    timeout: float | None
    """Seconds for each item."""
    stops: bool
    """Whether a failure ends its batch."""
    board: int | None
    """Descriptor of the pool's board."""


class Broken(NamedTuple):
    """The initializer has raised: tells the manager."""

    failure: Failure


class Lost(NamedTuple):
    """A batch could not be decoded; which one it was is known when all others are done."""

    failure: Failure


def serve(index: int, manager: Pid, batches: Receiver[Any], fields: tuple[Any, ...]) -> None:
    """Run batches until the channel is closed."""
    order = Order(*fields)
    board = None if order.board is None else _open_board(order.board, index)
    try:
        if order.initializer is not None:
            functions.unpack(order.initializer)(*order.initargs)
    except Exception as error:
        _core.send(manager, Broken(_describe(0, error)))
        return
    call = _make_call(order)
    while True:
        try:
            number, first, items = batches.recv()
        except Closed:
            return
        except Exception as error:
            _core.send(manager, Lost(_describe(0, error)))
            continue
        if board is not None:
            board[0], board[1] = number, time.monotonic_ns()
        if len(items) == 1:
            _run_one(manager, number, first, items[0], call)
        else:
            _run(manager, number, first, items, call, order.stops)
        items = None  # nothing of it lives on while this waits
        if board is not None:
            board[0] = 0


def answer() -> None:
    """Show that the worker comes back to its other actors."""


def _open_board(descriptor: int, index: int) -> Any:
    """Return this actor's two numbers on the board: the batch that it runs, and since when in nanoseconds."""
    return memoryview(_core.Buffer.mmap(descriptor, access="write")).cast("Q")[2 * index : 2 * index + 2]


# ---- one item --------------------------------------------------------------------------------------------------------


def _make_call(order: Order) -> Callable[[Any], Any]:
    run = _call if order.function is None else _Function(order.function)
    return run if order.timeout is None else _limited(run, order.timeout)


def _call(item: Any) -> Any:
    if type(item) is list:  # pickled as a whole
        item = functions.unpack(item)
    function, args, kwargs = item
    return functions.unpack(function)(*args, **kwargs)


class _Function:
    """The pool's function, found when an item needs it: its module may be one that cannot be loaded here."""

    def __init__(self, packed: Any) -> None:
        self._packed = packed
        self._function: Callable[[Any], Any] | None = None

    def __call__(self, item: Any) -> Any:
        if self._function is None:
            self._function = functions.unpack(self._packed)
        return self._function(item)


def _limited(run: Callable[[Any], Any], seconds: float) -> Callable[[Any], Any]:
    def limited(item: Any) -> Any:
        with _core.timeout(seconds):
            return run(item)

    return limited


def run_chunk(packed: Any, chunk: tuple[tuple[Any, ...], ...]) -> list[Any]:
    """Run one chunk of ``Executor.map``."""
    function = functions.unpack(packed)
    return [function(*args) for args in chunk]


def run_calls(calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
    """Run one batch of joblib's, which workers cannot import (it needs faulthandler)."""
    return [functions.unpack(function)(*args, **kwargs) for function, args, kwargs in calls]


# ---- one batch -------------------------------------------------------------------------------------------------------


def _run_one(manager: Pid, number: int, first: int, item: Any, call: Callable[[Any], Any]) -> None:
    """Run a batch of one item: the usual one of an Executor."""
    began = time.monotonic()
    try:
        value = call(item)
        if type(value) is GeneratorType:
            value = list(value)
    except BaseException as error:  # whatever it is, it is the task's
        _report(manager, (number, first, [None], [_describe(0, error)], None, time.monotonic() - began, True))
        if isinstance(error, ActorExit):
            raise
        return
    try:
        _core.send(manager, (number, value, time.monotonic() - began))
    except Exception as error:
        if isinstance(error, NotSendable):
            error = NotSendable(str(error).replace("message[1]", "result", 1))
        _report(manager, (number, first, [None], [_describe(0, error)], None, time.monotonic() - began, True))


def _run(manager: Pid, number: int, first: int, items: list[Any], call: Callable[[Any], Any], stops: bool) -> None:
    values: list[Any] = []
    failures: list[Failure] = []
    began = now = time.monotonic()
    ends = began + LONGEST
    try:
        for item in items:
            try:
                value = call(item)
                values.append(list(value) if type(value) is GeneratorType else value)
            except ActorExit:
                raise
            except BaseException as error:  # whatever it is, it is the task's
                failures.append(_describe(len(values), error))
                values.append(None)
            now = time.monotonic()
            if now > ends or (stops and failures):
                break
    except ActorExit as error:
        if len(values) < len(items):
            failures.append(_describe(len(values), error))
            values.append(None)
        _report(manager, (number, first, values, failures, None, 0.0, True))
        raise
    left = items[len(values) :] or None
    if stops and failures:
        left = None
    _report(manager, (number, first, values, failures or None, left, now - began, True))


def _report(manager: Pid, outcome: Outcome) -> None:
    try:
        _core.send(manager, outcome)
    except Exception as error:
        _report_one_by_one(manager, outcome, error)


def _report_one_by_one(manager: Pid, outcome: Outcome, error: Exception) -> None:
    """Report a batch one of whose values cannot be sent."""
    number, first, values, failures, left, seconds, done = outcome
    failed = {failure[0]: failure for failure in failures or ()}
    for index, value in enumerate(values):
        failure = failed.get(index)
        part = [(0, *failure[1:])] if failure else None
        try:
            _core.send(manager, (number, first + index, [value], part, None, 0.0, False))
        except Exception as error:
            _core.send(manager, (number, first + index, [None], [_describe(0, error)], None, 0.0, False))
    try:
        _core.send(manager, (number, first + len(values), [], None, left, seconds, done))
    except Exception as error:  # what has come cannot go back
        for index in range(len(left or ())):
            place = first + len(values) + index
            _core.send(manager, (number, place, [None], [_describe(0, error)], None, 0.0, False))
        _core.send(manager, (number, first, [], None, None, seconds, done))


def _describe(index: int, exception: BaseException) -> Failure:
    _, _, _, _, summary, text, _ = _failure.describe(exception, _core.self(), None, None, 0)
    travels: BaseException | None = exception
    try:
        _core._roundtrip(exception)
    except Exception:
        travels = None
    return index, travels, str(summary), str(text)
