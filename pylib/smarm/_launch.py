"""``smarm-host`` without libpython: starts the same ``python`` again, with what the native launcher does done in Python.

``launch`` splits the command line as host/command_line.cpp does and replaces the process by ``python [options] -c BOOT``;
``boot`` runs there and does the rest of host/main.cpp, with smarm._host.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_BOOT = "from smarm._launch import boot; boot()"


class _CommandLine:
    """What host/command_line.h describes, and the program: its kind, text and arguments."""

    def __init__(self, arguments: list[str]) -> None:
        self.options: list[str] = []
        self.python: list[str] = []
        self.inspect = False
        self.skip_first_line = False
        self._rest = arguments
        self.kind, self.text = self._read()
        self.arguments = self._rest

    def _read(self) -> tuple[str, str]:
        while self._rest:
            argument = self._rest[0]
            if argument == "-":
                break
            if argument == "--":
                self._rest.pop(0)
                break
            if not argument.startswith("-"):
                return "file", argument
            self._rest.pop(0)
            if argument == "--check-hash-based-pycs":
                self.python += [argument, self._value(argument)]
            elif argument.startswith("--"):
                self._read_long(argument)
            elif program := self._read_short(argument[1:]):
                return program
        if self._rest and self._rest[0] != "-":
            return "file", self._rest[0]
        terminal = not self._rest and (self.inspect or os.isatty(0))
        return ("interactive" if terminal else "standard_input"), ""

    def _value(self, argument: str) -> str:
        if not self._rest:
            _refuse(f"{argument} needs a value")
        return self._rest.pop(0)

    def _read_long(self, argument: str) -> None:
        if argument == "--version":
            _print_version()
        elif argument.startswith("--no-"):
            self.options.append(f"--{argument[5:]}=0")
        elif argument == "--help" or "=" in argument:
            self.options.append(argument)
        else:
            self.options.append(f"{argument}={self._value(argument)}")

    def _read_short(self, cluster: str) -> tuple[str, str] | None:
        for index, letter in enumerate(cluster):
            rest = cluster[index + 1 :]
            match letter:
                case "c" | "m":
                    text = rest or self._value(f"-{letter}")
                    return ("command" if letter == "c" else "module"), text
                case "W" | "X":
                    self.python.append(f"-{letter}{rest or self._value(f'-{letter}')}")
                    return None
                case "h" | "?":
                    self.options.append("--help")
                case "V":
                    _print_version()
                case "i":
                    self.inspect = True
                case "x":
                    self.skip_first_line = True
                case _:
                    self.python.append(f"-{letter}")
        return None


def _refuse(sentence: str) -> NoReturn:
    print(f"smarm-host: {sentence}; try smarm-host --help", file=sys.stderr)
    sys.exit(2)


def _print_version() -> NoReturn:
    from smarm import __version__

    print(f"smarm-host {__version__} (Python {sys.version.split()[0]})")
    sys.exit(0)


def launch(argv: list[str]) -> NoReturn:
    """Replace this process by ``python`` that runs the program; ends it with exit code 2 when an option is wrong."""
    line = _CommandLine(argv[1:])
    ours = [argv[0], line.kind, line.text, "i" * line.inspect + "x" * line.skip_first_line]
    counted = [str(len(line.options)), *line.options]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *line.python, "-c", _BOOT, *ours, *counted, *line.arguments])


def boot() -> None:
    """Run the program that ``launch`` found, in the process that it started."""
    _, launcher, kind, text, flags, count, *rest = sys.argv
    options, arguments = tuple(rest[: int(count)]), rest[int(count) :]
    if not sys.flags.safe_path:
        del sys.path[0]  # what -c has put there
    from smarm import _core, _host

    if kind == "file":
        import pkgutil

        text = os.path.join(os.getcwd(), text)
        if pkgutil.get_importer(text) is not None:
            kind = "package"
    sys.argv = {"command": ["-c"], "module": ["-m"], "interactive": [""]}.get(kind, []) + arguments
    if not sys.argv:
        sys.argv = [""]
    values = _host.configure(options)
    try:
        _core._run(
            *_host.prepare(kind, text, lambda: _run_source(launcher, kind, text, "x" in flags), values, "i" in flags)
        )
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in (__file__, _host.__file__):
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)


def _run_source(launcher: str, kind: str, path: str, skip_first_line: bool) -> None:
    if kind == "standard_input":
        path, source = "<stdin>", sys.stdin.buffer.read()
    else:
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            print(f"{launcher}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
            sys.exit(2)
    if skip_first_line:
        source = b"\n" + source.partition(b"\n")[2]
    exec(compile(source, path, "exec", dont_inherit=True), sys.modules["__main__"].__dict__)
