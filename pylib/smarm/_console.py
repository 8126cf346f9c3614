"""The interactive console of smarm-host: every statement runs in the main actor."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def start(names: dict[str, Any]) -> None:
    """Greet, run PYTHONSTARTUP and read statements, as python does without a program."""
    if not sys.flags.quiet:
        more = 'Type "help", "copyright", "credits" or "license" for more information.'
        print(f"smarm-host with Python {sys.version} on {sys.platform}\n{more}", file=sys.stderr)
    startup = os.environ.get("PYTHONSTARTUP")
    if startup and not sys.flags.ignore_environment:
        _run_startup(startup, names)
    _interact(names)


def inspect(names: dict[str, Any], run: Callable[..., object], args: tuple[Any, ...]) -> None:
    """Run the program, print its exception if there is one (a SystemExit, too), and read statements (``-i``)."""
    try:
        run(*args)
    except BaseException as error:
        trace = error.__traceback__
        error.__traceback__ = trace and trace.tb_next  # without this function
        sys.last_exc = error
        sys.excepthook(type(error), error, error.__traceback__)
    _interact(names)


def _run_startup(path: str, names: dict[str, Any]) -> None:
    import tokenize

    try:
        with tokenize.open(path) as file:
            code = compile(file.read(), path, "exec")
        exec(code, names)
    except Exception:
        sys.excepthook(*sys.exc_info())


def _interact(names: dict[str, Any]) -> None:
    hook = getattr(sys, "__interactivehook__", None)
    if hook is not None:
        hook()
    if os.isatty(0) and (sys.flags.ignore_environment or not os.environ.get("PYTHON_BASIC_REPL")):
        from _pyrepl import main  # type: ignore[import-not-found]

        if main.CAN_USE_PYREPL:
            main.interactive_console(sys.modules["__main__"])
            return
    import code

    code.interact(banner="", local=names, exitmsg="")
