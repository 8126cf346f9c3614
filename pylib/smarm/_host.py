"""The Python half of smarm-host: its options, the program's ``__main__``, and ``smarm.run`` inside it."""

from __future__ import annotations

import sys

from smarm import _config, _core
from smarm._errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any, NoReturn

    Values = dict[str, Any]
    MainArguments = tuple[Callable[..., Any], tuple[Any, ...], Values, bool]

_HELP = """\
usage: smarm-host [option] ... [-c code | -m module | file | directory | zip | -] [arg] ...

Runs the program as python does; its top level is the main actor of a smarm runtime.

{options}
  --version, -V, --help, -h

and python's own options, such as -u -O -W -X -I -E -s -B: see python --help.
An option can also be set by a variable: SMARM_WORKERS for --workers.
"""


_options: dict[str, Any] = {}  # in force
_flags: frozenset[str] = frozenset()  # the names of those that were given on the command line
_running = False  # inside smarm.run in the top level


# ---- the command line ------------------------------------------------------------------------------------------------


def configure(flags: tuple[str, ...]) -> Values:
    """Return the runtime's configuration, from ``--name=value`` flags, variables and defaults.

    Ends the process after ``--help``, and with exit code 2 when a value is wrong.
    """
    global _flags
    if "--help" in flags:
        print(_HELP.format(options="\n".join(map(_describe, _config.OPTIONS))), end="")
        sys.exit(0)
    try:
        given = dict(_read_flag(flag) for flag in flags)
        _options.update(_config.resolve(given))
    except ConfigError as error:
        _refuse(str(error))
    _flags = frozenset(given)
    return dict(_options)


def _describe(option: _config.Option) -> str:
    return f"  {_flag(option.name) + ' N':22} {option.help}"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read_flag(flag: str) -> tuple[str, int | float]:
    name, _, text = flag.partition("=")
    for option in _config.OPTIONS:
        if name == _flag(option.name):
            return option.name, _config.read(option, text, name)
    raise ConfigError(f"there is no option {name}")


def _refuse(sentence: str) -> NoReturn:
    print(f"smarm-host: {sentence}; try smarm-host --help", file=sys.stderr)
    sys.exit(2)


# ---- the program -----------------------------------------------------------------------------------------------------


def prepare(kind: str, text: str, run_source: Callable[[], object], values: Values, inspect: bool) -> MainArguments:
    """Set up ``sys.path`` and ``__main__`` for the program, and return the arguments of ``_core._run``.

    kind and text: a command and its code, a module and its name, a package (directory or zip archive) or a file and its
    path, standard_input or interactive.  run_source runs the file or standard input.
    """
    _add_path(kind, text)
    if inspect or kind == "interactive":
        from smarm import _console

        if kind == "interactive":
            return _console.start, (_main_names(),), values, True
        return _console.inspect, (_main_names(), *_find_top_level(kind, text, run_source)), values, True
    by_value = kind in ("command", "standard_input")  # no worker can load such a __main__
    return *_find_top_level(kind, text, run_source), values, by_value


def _find_top_level(
    kind: str, text: str, run_source: Callable[[], object]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the function that runs the program's top level, and its arguments."""
    match kind:
        case "command":
            return exec, (_compile(text), _main_names())
        case "module":
            return _run_module(), (text, True)
        case "package":
            return _run_module(), ("__main__", False)
        case "file":
            from importlib import machinery

            compiled = text.endswith(".pyc")
            loader = (machinery.SourcelessFileLoader if compiled else machinery.SourceFileLoader)("__main__", text)
            _set_file(text)
            _main_names()["__loader__"] = loader
            if compiled:
                return exec, (loader.get_code("__main__"), _main_names())
        case _:
            _set_file("<stdin>")
    return run_source, ()


def _main_names() -> dict[str, Any]:
    return sys.modules["__main__"].__dict__


def _set_file(name: str) -> None:
    _main_names()["__file__"] = name
    if sys.version_info < (3, 15):
        _main_names()["__cached__"] = None


def _run_module() -> Callable[..., object]:
    import runpy

    return runpy._run_module_as_main  # type: ignore[attr-defined,no-any-return]


def _add_path(kind: str, text: str) -> None:
    """Put the program's directory in front of ``sys.path``, as python does (``-P`` and ``-I``: it does not)."""
    import os

    if kind == "package":
        sys.path.insert(0, text)
    elif sys.flags.safe_path:
        return
    elif kind == "module":
        try:  # noqa: SIM105 - contextlib takes longer to import than all of this
            sys.path.insert(0, os.getcwd())
        except OSError:  # it was removed
            pass
    else:
        sys.path.insert(0, os.path.dirname(os.path.realpath(sys.argv[0])) if kind == "file" else "")


def _compile(command: str) -> CodeType:
    if sys.version_info >= (3, 14) and command[:1].isspace():
        import textwrap

        command = textwrap.dedent(command)
    code = compile(command, "<string>", "exec", dont_inherit=True)
    import linecache

    # What python does for -c, so that tracebacks show the lines. Early releases of 3.13 find them by the file's name.
    key = code if hasattr(linecache, "_interactive_cache") else code.co_filename
    linecache._register_code(key, command, code.co_filename)  # type: ignore[attr-defined]
    return code


def finish() -> None:
    """Do what python does before it takes itself apart; called when actors were given up, so that it cannot."""
    import atexit

    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


# ---- smarm.run in the program's top level ----------------------------------------------------------------------------


def top_level_is_free() -> bool:
    """Whether smarm.run can run its main function here: in the main actor, and not inside smarm.run."""
    return not _running and _core._is_main_actor()


def run_in_top_level[Result](runtime: _config.Runtime, main: Callable[..., Result], args: tuple[Any, ...]) -> Result:
    """Do what ``smarm.run`` does, in the main actor that runs already: run main, then stop all other actors."""
    global _running
    _reconfigure({name: runtime.options[name] for name in runtime.given - _flags})
    _running = True
    try:
        return main(*args)
    finally:
        _running = False
        _stop_others()


def _reconfigure(wanted: dict[str, Any]) -> None:
    """Change what the program asks for in smarm.run; warn of what cannot change any more.

    Flags of the command line are not asked for here: they go before what the program says.
    """
    late = {name for name, value in wanted.items() if value != _options[name]}
    names = ("workers", "shutdown_timeout", "spin")
    if late.intersection(names):
        values = [wanted.get(name, _options[name]) for name in names]
        workers, shutdown_timeout, spin = values
        if _core._reconfigure(int(workers), shutdown_timeout, spin):
            _options.update(zip(names, values, strict=True))
            late.difference_update(names)
    if late:
        import warnings

        for name in sorted(late):
            value = f"{wanted[name]:g}" if isinstance(wanted[name], float) else wanted[name]
            text = f"smarm.run({name}={value}) comes too late inside smarm-host: start it with {_flag(name)} {value}"
            warnings.warn(text, RuntimeWarning, stacklevel=5)


def _stop_others() -> None:
    """Ask every other actor to exit and wait for it, up to three times, as the end of a runtime does."""
    import time

    me = _core.self()
    for _ in range(3):
        others = [pid for pid in _core.processes() if pid != me]
        for pid in others:
            _core._request_exit(pid)
        deadline = time.monotonic() + _options["shutdown_timeout"] / 3
        while len(_core.processes()) > 1 and time.monotonic() < deadline:
            _core.sleep(0.001)
    left = len(_core.processes()) - 1
    if left:
        seconds = _options["shutdown_timeout"]
        print(
            f"smarm: after run(), {left} actor(s) did not end within {seconds:g} s of being asked to", file=sys.stderr
        )
