"""host/smarm-host.py, the launcher of wheels and of Pythons without libpython: what it runs, it runs as the native one does."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Result, _comparable, run

SCRIPT = pathlib.Path(__file__).parents[2] / "host" / "smarm-host.py"

PROGRAM = """
import sys, smarm
def square(n): return n * n
print(__name__, sys.argv, sys.path[0], sys.flags.optimize, smarm.spawn(square, 4, on=1).join(), smarm.statistics().max_workers)
if "fail" in sys.argv: 1 / 0
if "exit" in sys.argv: sys.exit(3)
"""


@pytest.fixture
def alike(host: Callable[..., Result], tmp_path: pathlib.Path) -> Callable[..., Result]:
    """Run both launchers, check that exit code, stdout and stderr are equal, and return them."""

    def check(*arguments: str, **more: Any) -> Result:
        native = _comparable(host(*arguments, **more))
        script = _comparable(run(sys.executable, str(SCRIPT), *arguments, cwd=tmp_path, **more))
        assert script._replace(err=script.err.replace(str(SCRIPT), sys.executable)) == native
        return native

    return check


@pytest.mark.parametrize("last", [[], ["exit", "-x", "--workers"], ["fail"]])
@pytest.mark.parametrize("options", [["--workers", "2"], ["--workers=3", "-OuB", "-W", "ignore", "--no-pickle"]])
@pytest.mark.parametrize("kind", ["file", "module", "package", "command", "standard input"])
def test_programs_run_alike(kind, options, last, alike, script):
    text = PROGRAM.replace("square, 4", "abs, 16")
    stdin = ""
    match kind:
        case "file":
            program = [script(PROGRAM)]
        case "module":
            script(PROGRAM)
            program = ["-m", "app"]
        case "package":
            script(PROGRAM, "app/__main__.py")
            program = ["app"]
        case "command":
            program = ["-c", text]
        case _:
            program, stdin = ["-"], text
    code, out, err = alike(*options, *program, *last, stdin=stdin)
    assert code == {"exit": 3, "fail": 1}.get((last or [""])[0], 0)
    assert " 16 " in out
    assert ("ZeroDivisionError" in err) is ("fail" in last)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-V"],
        ["--version"],
        ["--workers"],
        ["--workers", "0", "app.py"],
        ["--no-workers", "app.py"],
        ["--nonsense=1", "app.py"],
        ["missing.py"],
        ["-c", "x ="],
        ["-xc", "print(1)"],
        ["-x", "first.py"],
    ],
    ids=" ".join,
)
def test_options_and_errors_are_alike(arguments, alike, script):
    script("not python\nprint(2)\n", "first.py")
    alike(*arguments)


def test_a_link_to_the_script_in_an_environment_runs_that_environments_python(tmp_path):
    assert run(sys.executable, str(SCRIPT), "-c", "import sys; print(sys.executable)").out == f"{sys.executable}\n"


def test_it_is_executable():
    """A wheel has the mode of the source, whatever the build installs it with, and pip that of the wheel."""
    assert os.access(SCRIPT, os.X_OK)
