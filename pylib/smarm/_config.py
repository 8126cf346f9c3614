"""The runtime's configuration: one table for keyword arguments, ``smarm-host`` flags and SMARM_* variables."""

from __future__ import annotations

import os
import sys

from smarm import _core, _main
from smarm._errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, NoReturn, TypedDict, Unpack

    class RunOptions(TypedDict, total=False):
        """The keyword arguments of ``run``; None: as if it were not given; of interrupt_after: only at points."""

        workers: int | None
        stack_size: int | None
        main_stack_size: int | None
        warm_stacks: int | None
        shutdown_timeout: float | None
        spin: float | None
        interrupt_after: float | None
        kill_patience: float | None
        time_slice: float | None
        stall_threshold: float | None
        mailbox_limit: int | None
        mailbox_byte_limit: int | None
        report_dead_letters: int | None
        message_depth: int | None
        message_size: int | None
        buffer_pool: int | None
        max_actors: int | None
        max_stack_bytes: int | None
        max_buffer_bytes: int | None
        pickle: bool | None
        trusted_modules: str | Iterable[str] | None
        extensions: Literal["main", "private"] | None
        extensions_share: str | Iterable[str] | None
        extensions_private_libraries: str | Iterable[str] | None
        extensions_main_only: str | Iterable[str] | None


MAX_WORKERS = 256
_MIB = 1024 * 1024
_ASYNC = 0x80 | 0x200  # inspect.CO_COROUTINE and CO_ASYNC_GENERATOR


def _available_cpus() -> int:
    return min(len(os.sched_getaffinity(0)), MAX_WORKERS)


class Option:
    """One row: keyword ``name``, flag ``--name``, variable ``SMARM_NAME``.  default None: the usable CPUs.

    kind str: names of ``what``, as text with commas between them or as strings in any iterable; kept as text.  Or, with
    ``choices``, one of these words.
    """

    __slots__ = ("choices", "default", "help", "kind", "least", "most", "name", "what")

    def __init__(
        self,
        name: str,
        kind: type[int] | type[float] | type[str],
        default: int | float | str | None,
        least: float,
        most: float,
        help: str,
        *,
        what: str = "modules",
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.least = least
        self.most = most
        self.help = help
        self.what = what
        self.choices = choices

    def range(self) -> str:
        """Return the bounds, for people."""
        if self.choices:
            return " or ".join(self.choices)
        if self.kind is str:
            return "names, with commas between them"
        form = "g" if self.kind is float else "d"
        return f"{self.least:{form}} to {self.most:{form}}"


OPTIONS = (
    Option("workers", int, None, 1, MAX_WORKERS, "OS threads with an interpreter each, the main one included (default: usable CPUs)"),
    Option("stack_size", int, 8 * _MIB, 128 * 1024, 1024 * _MIB, "bytes of address space of an actor's stack; less: no native code in actors"),
    Option("main_stack_size", int, 16 * _MIB, 256 * 1024, 1024 * _MIB, "bytes of address space of the main actor's stack"),
    Option("warm_stacks", int, 1024, 0, 10_000_000, "free stacks per worker that keep their memory for the next actor"),
    Option("shutdown_timeout", float, 5.0, 0.0, 86400.0, "seconds without an actor that ends until those that are left are given up"),
    Option("spin", float, 50e-6, 0.0, 0.1, "seconds that a worker without work looks for messages before it sleeps"),
    Option("time_slice", float, 1e-3, 0.0, 10.0, "seconds that an actor runs before others get their turn; 0: no preemption"),
    Option("stall_threshold", float, 0.05, 0.0, 3600.0, "seconds after which an actor that cannot be preempted is reported; 0: never"),
    Option("interrupt_after", float, 0.1, 0.0, 86400.0, "seconds that an actor which is asked to end computes on; none: until it waits"),
    Option("kill_patience", float, 5.0, 0.0, 86400.0, "seconds that a killed actor may compute, and wait for a lock, while it is unwound"),
    Option("mailbox_limit", int, 0, 0, 2**30, "messages that may wait for an actor whose spawn does not say it; 0: any number"),
    Option("mailbox_byte_limit", int, 0, 0, 2**62, "bytes of messages that may wait for such an actor, Buffers in them included; 0: any number"),
    Option("report_dead_letters", int, 10, 0, 2**30, "how many reports of dead letters a run writes to stderr before it only counts them; 0: none"),
    Option("message_depth", int, 500, 1, 1_000_000, "levels of containers and objects that a message may have"),
    Option("message_size", int, 4096 * _MIB, 1024, 2**62, "bytes that a message may have, Buffers in it not counted"),
    Option("buffer_pool", int, 128 * _MIB, 0, 2**62, "bytes of freed memory that are kept for the next large Buffers"),
    Option("max_actors", int, _core._MOST_ACTORS, 1, _core._MOST_ACTORS, "actors alive at a time, with the main one; beyond spawn raises ActorLimit"),
    Option("max_stack_bytes", int, 0, 0, 2**47, "bytes of address space of all actors' stacks, likewise (default: any number)"),
    Option("max_buffer_bytes", int, 0, 0, 2**62, "bytes of all Buffers; beyond it making one raises BufferLimit (default: any number)"),
    Option("pickle", bool, True, 0, 1, "whether values that only pickle's protocol takes apart may be sent (off: --no-pickle)"),
    Option("trusted_modules", str, "", 0, 0, "modules whose functions messages may name, and which they may import, with pickle off"),
    Option("extensions", str, "main", 0, 0, "modules that refuse subinterpreters: main worker only, or private copies", choices=("main", "private")),
    Option("extensions_share", str, "", 0, 0, "more libraries that private copies share, by the beginnings of their names", what="libraries"),
    Option("extensions_private_libraries", str, "", 0, 0, "more libraries that ctypes opens a copy of in each worker, likewise", what="libraries"),
    Option("extensions_main_only", str, "", 0, 0, "more modules that stay with the main worker"),
)  # fmt: skip


def read(option: Option, value: Any, source: str) -> Any:
    """Convert and check one value, which came from ``source``."""
    if option.kind is bool:
        return read_bool(value, source)
    if option.choices:
        return read_choice(value, source, option.choices)
    if option.kind is str:
        return read_names(value, source, option.what)
    number: Any
    try:
        if isinstance(value, str):
            number = option.kind(value)
        elif isinstance(value, bool) or not isinstance(value, (int, option.kind)):
            raise TypeError
        else:
            number = option.kind(value)
    except (TypeError, ValueError):
        kind = "a whole number" if option.kind is int else "a number"
        raise ConfigError(f"{source} must be {kind}, not {value!r}") from None
    if not option.least <= number <= option.most:
        raise ConfigError(f"{source} must be from {option.range()}, not {value!r}")
    return number


def read_bool(value: Any, source: str) -> bool:
    """Convert and check the value of an option that is on or off."""
    if isinstance(value, bool):
        return value
    words = {"0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ConfigError(f"{source} must be True or False (in text: 1 or 0), not {value!r}")


_NO_OPTIONS = {
    *("SMARM_INTERNAL_FRAMES", "SMARM_PYTHON", "SMARM_PYTHONS_TREE", "SMARM_SIM_SEED", "SMARM_VENV"),
    *("SMARM_EXTENSION_CACHE", "SMARM_EXTENSION_CACHE_BYTES"),
}
"""Variables that are no options: of reports, of the cache of copies, and of the project's own tools, which may be set when programs run."""

_named: set[str] = set()


def _name_unknown_variables() -> None:
    """Say once of each SMARM_* variable that it is not one of ours: a misspelt option has no effect, and nobody would know."""
    known = {"SMARM_" + option.name.upper() for option in OPTIONS}
    unknown = sorted({name for name in os.environ if name.startswith("SMARM_")} - known - _NO_OPTIONS - _named)
    _named.update(unknown)
    if not unknown or sys.stderr is None:
        return
    import difflib

    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/configuration.md has those that there are"
        print(f"smarm: the environment sets {name}, which is no option of smarm; {hint}", file=sys.stderr)


def read_choice(value: Any, source: str, choices: tuple[str, ...]) -> str:
    """Check the value of an option that is one of several words."""
    if value in choices:
        return str(value)
    raise ConfigError(f"{source} must be {' or '.join(map(repr, choices))}, not {value!r}")


def read_names(value: Any, source: str, what: str = "modules") -> str:
    """Convert and check the value of an option that is names: strings, or text with commas between them."""
    try:
        names = [name.strip() for name in (value.split(",") if isinstance(value, str) else value)]
    except (AttributeError, TypeError):
        raise ConfigError(f"{source} must be names of {what}, not {value!r}") from None
    names = [name for name in names if name]
    for name in names:
        if "/" in name if what == "libraries" else not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"{source} must be names of {what}, and {name!r} is none")
    return ",".join(dict.fromkeys(names))


def resolve(given: dict[str, Any]) -> dict[str, Any]:
    """Return the value of every option: given, else from the environment, else the default.  Raises ConfigError."""
    unknown = given.keys() - {option.name for option in OPTIONS}
    if unknown:
        names = ", ".join(option.name for option in OPTIONS)
        raise ConfigError(f"unknown option {min(unknown)!r}; there are: {names}")
    _name_unknown_variables()
    values: dict[str, Any] = {}
    for option in OPTIONS:
        variable = "SMARM_" + option.name.upper()
        value = given.get(option.name, os.environ.get(variable))
        if option.name == "interrupt_after" and (value == "none" or (value is None and option.name in given)):
            values[option.name] = float("inf")
        elif given.get(option.name) is not None:
            values[option.name] = read(option, given[option.name], option.name)
        elif os.environ.get(variable):
            values[option.name] = read(option, os.environ[variable], variable)
        else:
            values[option.name] = _available_cpus() if option.default is None else option.default
    limit, main = values["max_stack_bytes"], values["main_stack_size"]
    if 0 < limit < main:
        raise ConfigError(
            f"max_stack_bytes ({limit}) has no room for the main actor's stack: "
            f"give it more, or less than main_stack_size={main} to that"
        )
    return values


def _refuse_inner_run(frame: types.FrameType | None) -> NoReturn:
    """Raise AlreadyRunning for a call of ``run`` by an actor; say which module calls it when it is imported."""
    from smarm._errors import AlreadyRunning

    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    if frame is not None and frame.f_code.co_name == "<module>":
        raise AlreadyRunning(
            f"the module {frame.f_globals.get('__name__')!r} calls smarm.run() (line {frame.f_lineno}) when it is imported, "
            'by an actor: put the call under `if __name__ == "__main__":`'
        )
    raise AlreadyRunning("a smarm runtime is already running in this process; inside an actor use spawn")


def end_background() -> None:
    """End the runtime of calls outside of any, so that there can be another.  Raises AlreadyRunning when it is in use."""
    background = sys.modules.get("smarm.work.background")
    if background is not None:
        background.give_way()


class Runtime:
    """A checked configuration that can run programs, one at a time.

    Keyword arguments are the table of ``docs/reference/configuration.md``; what is not given comes from SMARM_*
    variables, then from the defaults.  Raises ConfigError.
    """

    __slots__ = ("given", "options")

    def __init__(self, **options: Unpack[RunOptions]) -> None:
        self.options = resolve(dict(options))
        self.given = frozenset(name for name, value in options.items() if value is not None)

    def __repr__(self) -> str:
        return f"smarm.Runtime({', '.join(f'{name}={value}' for name, value in self.options.items())})"

    def run[*Arguments, Result](self, main: Callable[[*Arguments], Result], /, *args: *Arguments) -> Result:
        """Run ``main(*args)`` as the main actor and return its value; see ``smarm.run``."""
        if not callable(main):
            hint = ": write smarm.run(smarm.aio.run, function)" if hasattr(main, "cr_frame") else ""
            raise TypeError(f"run() needs the function that the main actor is to run, not {type(main).__name__}{hint}")
        if getattr(getattr(main, "__code__", None), "co_flags", 0) & _ASYNC:
            raise TypeError(
                f"run() takes a plain function, whose calls park by themselves; {main.__qualname__} is an `async def`: "
                "leave async and await out, or write smarm.run(smarm.aio.run, ...) with it"
            )
        if _core._loading():
            from smarm._errors import EndOfLoad

            raise EndOfLoad
        host = sys.modules.get("smarm._host")
        if host is not None and host.top_level_is_free():
            result: Result = host.run_in_top_level(self, main, args)
        elif _core.worker_index() is not None:
            _refuse_inner_run(sys._getframe(1))
        else:
            end_background()
            result = _core._run(main, args, self.options, _main.is_shipped_by_value())
        return result


def run[*Arguments, Result](
    main: Callable[[*Arguments], Result], /, *args: *Arguments, **options: Unpack[RunOptions]
) -> Result:
    """Run ``main(*args)`` as the main actor, on this thread, and return its value.

    Other actors that are alive when main ends are stopped: ActorExit is raised in them, their ``finally`` blocks run.
    Raises what main raises, ConfigError for an option that is unknown or out of range, AlreadyRunning inside a runtime.
    """
    return Runtime(**options).run(main, *args)
