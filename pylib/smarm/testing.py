"""Deterministic simulation: one seed is one interleaving.

``simulate`` runs a whole program on one OS thread under virtual time; which actor runs next, where it is preempted and
how long messages are under way is decided by the seed.  ``explore`` does it for many seeds, up to the first failure.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import sysconfig
from contextlib import contextmanager

import smarm
from smarm import _config, _core, _main
from smarm._errors import ActorExit, AlreadyRunning, EndOfLoad
from smarm._errors import Deadlock as Deadlock
from smarm._errors import NotSimulated as NotSimulated
from smarm._errors import SeedFailed as SeedFailed
from smarm._errors import TooManySteps as TooManySteps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

# What smarm loads late it would load in the first run that asks for it, which would then differ from the others.
for _name in dir(smarm):
    getattr(smarm, _name)

_MOST_SEED = _MOST_STEPS = 2**64 - 1
_STEPS = 10_000_000  # some seconds
_LAST_POINT = 10_000  # for every_interrupt: of an actor that would compute for ever
_SEEDED = 2**64 - 1  # no interrupt_point: the seed decides
_TEST_RUNNER = ("_pytest", "pluggy")  # what explains a failed assert is not the program
_TOOL_IDS = (3, 4)  # of sys.monitoring: those without a meaning of their own


def simulate[Result](
    main: Callable[..., Result],
    /,
    *args: Any,
    seed: int | None = None,
    trace: list[str] | None = None,
    max_steps: int | None = _STEPS,
    interrupt_point: int | None = None,
) -> Result:
    """Run ``main(*args)`` as the main actor of a simulated runtime and return its value.

    seed, from 0 to 2**64 - 1, decides every choice; None takes one at random.  A list given as trace gets a line per
    turn of an actor; the same seed gives the same lines.  Raises what main raises, with a note that says how to run it
    again; Deadlock when nothing can run any more; TooManySteps after max_steps instructions of the program, turns and looks
    at a clock, for a program that does not come to its end (None: any number); AlreadyRunning inside a runtime; NotSimulated when sys.monitoring has
    no free tool id.  interrupt_point is how many instructions an actor that computes has left when it is asked to end, or a
    block of it; None: as many as the seed decides.
    """
    __tracebackhide__ = True  # in pytest's reports, which are about the program
    _check(main)
    chosen = int.from_bytes(os.urandom(4)) if seed is None else seed
    with _preemption():
        return _run(main, args, chosen, trace, max_steps, interrupt_point)[0]


def explore(
    main: Callable[..., object],
    /,
    *args: Any,
    seeds: Iterable[int] = range(1000),
    max_steps: int | None = _STEPS,
    every_interrupt: bool = False,
) -> None:
    """Simulate ``main(*args)`` with each of the seeds; raise SeedFailed at the first one that fails.

    every_interrupt: run each seed with an interrupt_point of 0, 1, 2 ... until nobody is interrupted any more (10,000 at most):
    what is requested of an actor reaches it at every instruction at which it can.

    A run of more than max_steps steps fails, too, with TooManySteps.  The runs follow each other in this process: main must
    begin from the same state each time.
    """
    __tracebackhide__ = True
    _check(main)
    with _preemption():
        for seed in seeds:
            point = 0 if every_interrupt else None
            while _passes(main, args, seed, max_steps, point) and point is not None and point < _LAST_POINT:
                point += 1


def _passes(
    main: Callable[..., object], args: tuple[Any, ...], seed: int, max_steps: int | None, point: int | None
) -> bool:
    """Run once; return whether an actor was interrupted while it computed.  Raises SeedFailed."""
    __tracebackhide__ = True
    try:
        return _run(main, args, seed, None, max_steps, point)[1] > 0
    except (KeyboardInterrupt, SystemExit, AlreadyRunning):
        raise
    except BaseException as error:
        again = _line(main, args, seed, max_steps, point)
        text = f"seed {seed} fails with {type(error).__name__}: {str(error) or 'no message'}\nrerun: {again}"
        raise SeedFailed(text, seed) from error


def _check(main: object) -> None:
    if not callable(main):
        raise TypeError(f"a simulation needs the function that the main actor is to run, not {type(main).__name__}")
    if _core._loading():
        raise EndOfLoad
    if _core.worker_index() is not None:
        raise AlreadyRunning(
            "a simulation is a runtime of its own, which cannot run in an actor; under smarm-host all code is in one: "
            "start the program that simulates with python"
        )
    _config.end_background()


def _run[Result](
    main: Callable[..., Result],
    args: tuple[Any, ...],
    seed: int,
    trace: list[str] | None,
    max_steps: int | None,
    interrupt_point: int | None,
) -> tuple[Result, int]:
    __tracebackhide__ = True
    if not isinstance(seed, int) or not 0 <= seed <= _MOST_SEED:
        raise ValueError(f"a seed is a whole number from 0 to 2**64 - 1, not {seed!r}")
    if max_steps is not None and (not isinstance(max_steps, int) or not 0 < max_steps <= _MOST_STEPS):
        raise ValueError(f"max_steps is a whole number from 1 to 2**64 - 1, or None, not {max_steps!r}")
    if trace is not None and not hasattr(trace, "append"):
        raise TypeError(f"trace is the list that gets the lines, or None, not {type(trace).__name__}")
    if interrupt_point is not None and (not isinstance(interrupt_point, int) or not 0 <= interrupt_point < _SEEDED):
        raise ValueError(f"interrupt_point is a whole number from 0 to 2**64 - 2, or None, not {interrupt_point!r}")
    again = f"rerun: {_line(main, args, seed, max_steps, interrupt_point)}"
    point = _SEEDED if interrupt_point is None else interrupt_point
    real = {"workers": 1, "spin": 0.0, "time_slice": 0.0, "stall_threshold": 0.0}  # nothing that depends on real time
    options = _config.resolve(real)
    with _state_of_its_own(seed):
        value, error, deadlock, turns, endless, interrupts = _core._simulate(
            main, args, options, _main.is_shipped_by_value(), seed, trace is not None, max_steps or _MOST_STEPS, point
        )
    if trace is not None:
        trace.extend(_describe(*turn) for turn in turns)
    cause = error if not isinstance(error, ActorExit) else None
    if endless:
        error = TooManySteps(f"seed {seed}: no end after max_steps={max_steps} steps\n{again}", seed)
        error.__cause__ = cause
    elif deadlock is not None:
        error = Deadlock(f"every actor waits, and nothing is left that could wake one\n{deadlock.rstrip()}")
        error.__cause__ = cause
    if error is not None:
        if not isinstance(error, AlreadyRunning | TooManySteps):
            error.add_note(again)
        raise error
    return value, interrupts


def _describe(seconds: float, pid: smarm.Pid, name: str, state: str, place: str) -> str:
    who = f"{pid} {name!r}" if name else f"{pid}"
    return f"{seconds:.6f} {who} {state}" + (f" at {place}" if place else "")


def _line(main: Any, args: tuple[Any, ...], seed: int, max_steps: int | None, interrupt_point: int | None) -> str:
    """Return the expression that repeats the run."""
    name = getattr(main, "__qualname__", None)
    text = f"{main.__module__}.{name}" if name else repr(main)
    limit = f", max_steps={max_steps}" if max_steps != _STEPS else ""
    if interrupt_point is not None:
        limit += f", interrupt_point={interrupt_point}"
    return f"smarm.testing.simulate({', '.join([text, *map(repr, args)])}, seed={seed}{limit})"


@contextmanager
def _preemption() -> Iterator[None]:
    """Make every instruction of the program's own code a preemption point."""
    monitoring = sys.monitoring
    tool = next((number for number in _TOOL_IDS if monitoring.get_tool(number) is None), None)
    if tool is None:
        taken = ", ".join(str(monitoring.get_tool(number)) for number in _TOOL_IDS)
        raise NotSimulated(f"a simulation needs tool id 3 or 4 of sys.monitoring; they are taken by {taken}")
    ours = os.path.dirname(__file__)
    caller = [os.path.dirname(sys.modules[name].__file__ or "") for name in _TEST_RUNNER if name in sys.modules]
    library = _folders(sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), ours, *caller)
    program = _folders(sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    monitoring.use_tool_id(tool, "smarm.testing")
    try:
        _core._set_preemption(monitoring.DISABLE, library, program)
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, _core._preemption_point)
        monitoring.set_events(tool, monitoring.events.INSTRUCTION)
        yield
    finally:
        monitoring.set_events(tool, 0)
        monitoring.register_callback(tool, monitoring.events.INSTRUCTION, None)
        monitoring.free_tool_id(tool)
        _core._set_preemption(None, (), ())


def _folders(*paths: str) -> tuple[str, ...]:
    return tuple(path + os.sep for path in paths)


@contextmanager
def _state_of_its_own(seed: int) -> Iterator[None]:
    """Seed the random module; collect garbage between runs only, as what was before would decide when."""
    before = random.getstate()
    collects = gc.isenabled()
    random.seed(seed)
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        random.setstate(before)
