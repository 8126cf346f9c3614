"""Functions and classes of __main__ work in other workers, however the program was started."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
Write = Callable[..., str]

PROGRAM = """
import sys
import beside, smarm
class Point:
    def __init__(self, x): self.x = x
def move(point):
    return Point(point.x + beside.STEP), smarm.worker_index()
def main():
    point, worker = smarm.spawn(move, Point(1), on=1).join()
    print(type(point) is Point, point.x, worker)
if __name__ == "__main__":
    main() if len(sys.argv) > 1 else smarm.run(main, workers=2)
"""


@pytest.fixture(params=["host", "host with run", "python"])
def start(request: pytest.FixtureRequest) -> Run:
    """Run PROGRAM: its top level as the main actor, or with smarm.run."""
    if request.param == "python":
        return request.getfixturevalue("python")
    run = request.getfixturevalue("host")
    last = ["no run"] if request.param == "host" else []
    return lambda *arguments, **more: run("--workers", "2", *arguments, *last, **more)


def test_of_a_script(start: Run, script: Write) -> None:
    script("STEP = 1", "real/beside.py")
    script(PROGRAM, "real/app.py")
    assert start("real/app.py") == (0, "True 2 1\n", "")


def test_of_a_module(start: Run, script: Write) -> None:
    script("STEP = 1", "beside.py")
    script(PROGRAM, "app.py")
    script("", "package/__init__.py")
    script(PROGRAM.replace("import beside,", "from . import beside\nimport"), "package/__main__.py")
    script("STEP = 1", "package/beside.py")
    assert start("-m", "app") == (0, "True 2 1\n", "")
    assert start("-m", "package") == (0, "True 2 1\n", "")


def test_of_a_directory(start: Run, script: Write) -> None:
    script("STEP = 1", "directory/beside.py")
    script(PROGRAM, "directory/__main__.py")
    assert start("directory") == (0, "True 2 1\n", "")


def test_of_an_archive(start: Run, tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", PROGRAM)
        archive.writestr("beside.py", "STEP = 1")
    assert start("archive.zip") == (0, "True 2 1\n", "")


def test_of_a_command(start: Run, script: Write) -> None:
    script("STEP = 1", "beside.py")
    assert start("-c", PROGRAM) == (0, "True 2 1\n", "")


def test_of_standard_input(start: Run, script: Write) -> None:
    script("STEP = 1", "beside.py")
    assert start("-", stdin=PROGRAM) == (0, "True 2 1\n", "")


def test_of_an_interactive_session(host: Run, python: Run) -> None:
    text = "import smarm\ndef double(n): return 2 * n, smarm.worker_index()\n\n"
    code, out, _ = host("--workers", "2", "-i", stdin=text + "smarm.spawn(double, 4, on=1).join()\n")
    assert (code, "(8, 1)" in out) == (0, True)
    run = "def main(): return smarm.spawn(double, 4, on=1).join()\n\nsmarm.run(main, workers=2)\n"
    code, out, _ = python("-i", stdin=text + run)
    assert (code, "(8, 1)" in out) == (0, True)


def test_with_nested_functions_and_globals_of_a_command(host: Run) -> None:
    text = """
import math, smarm
factor = 3
def outer(n):
    def inner(m):
        return math.floor(m * factor)
    return inner(n), smarm.spawn(scale, n, on=0).join()
def scale(n): return n * factor, smarm.worker_index()
print(smarm.spawn(outer, 1.5, on=1).join(), smarm.spawn(lambda: (factor, smarm.worker_index()), on=1).join())
"""
    assert host("--workers", "2", "-c", text) == (0, "(4, (4.5, 0)) (3, 1)\n", "")


def test_a_path_that_the_program_adds_is_known_to_workers(start: Run, script: Write) -> None:
    script("def where(): import smarm; return smarm.worker_index()", "elsewhere/far.py")
    script("""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "elsewhere"))
import far, smarm
def main(): print(smarm.spawn(far.where, on=1).join())
if __name__ == "__main__":
    main() if len(sys.argv) > 1 else smarm.run(main, workers=2)
""")
    assert start("app.py") == (0, "1\n", "")


def test_what_is_defined_too_late_is_explained(start: Run, script: Write) -> None:
    script("""
import smarm, sys
def early(): return smarm.worker_index()
def main(): return smarm.spawn(early, on=1).join()
run = (lambda main: main()) if len(sys.argv) > 1 else lambda main: smarm.run(main, workers=2)
print(run(main))
def late(): return smarm.worker_index()
def main(): return smarm.spawn(late, on=1).join()
run(main)
""")
    code, out, err = start("app.py")
    assert (code, out) == (1, "1\n")
    assert "a worker does not find 'late' in the program's __main__, which it has loaded up to line 6" in err


def test_extension_modules_from_private_copies(host, script, tmp_path):
    """The launcher is the program whose loader opens the copies; the core is a part of it."""
    name = script("""
import smarm

def work():
    import smarm_test_bundled, smarm_test_threads
    own = smarm_test_threads.own_interpreter()
    return smarm_test_bundled.next(), own == smarm_test_threads.interpreter_in_thread() == smarm_test_threads.main_interpreter()

print(smarm.join_all([smarm.spawn(work, on=number) for number in (1, 2)]))
""")
    result = host(
        "--workers", "3", "--extensions", "private", name, env={"SMARM_EXTENSION_CACHE": str(tmp_path / "copies")}
    )
    assert result == (0, "[(1001, True), (1001, True)]\n", "")
