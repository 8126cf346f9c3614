"""The installed launcher and the python beside it, run side by side."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

BIN = pathlib.Path(sys.executable).parent
HOST = BIN / "smarm-host"
LONG_ENOUGH = 120  # seconds: nothing here waits for time to pass, so that only a hang gets there


class Result(NamedTuple):
    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not re.match(r"PYTHON(?!MALLOC)|SMARM_|COLUMNS", name)}
    return kept | changes


def run(
    executable: pathlib.Path | str, *arguments: str, stdin: str = "", env: dict[str, str] | None = None, **more: Any
) -> Result:
    """Run a program to its end."""
    done = subprocess.run(
        [executable, *arguments],
        input=stdin.encode(),
        capture_output=True,
        timeout=LONG_ENOUGH,
        env=environment(**(env or {})),
        **more,
    )
    return Result(
        done.returncode, done.stdout.decode(errors="backslashreplace"), done.stderr.decode(errors="backslashreplace")
    )


@pytest.fixture(scope="session", autouse=True)
def _installed() -> None:
    if not HOST.exists():
        pytest.skip("smarm-host is not installed (-Dhost=disabled)")


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """Return a process environment without what changes Python's or smarm's behaviour."""
    return environment()


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Callable[..., Result]:
    """Run smarm-host in tmp_path."""
    return lambda *arguments, **more: run(HOST, *arguments, **{"cwd": tmp_path} | more)


@pytest.fixture
def python(tmp_path: pathlib.Path) -> Callable[..., Result]:
    """Run the python beside it in tmp_path."""
    return lambda *arguments, **more: run(sys.executable, *arguments, **{"cwd": tmp_path} | more)


def _comparable(result: Result) -> Result:
    """Leave out what must differ: the name of the program, and addresses."""
    err = re.sub(r" at 0x[0-9a-f]+", "", result.err.replace(str(HOST), sys.executable))
    return Result(result.code, re.sub(r" at 0x[0-9a-f]+", "", result.out), err)


@pytest.fixture
def same(host: Callable[..., Result], python: Callable[..., Result]) -> Callable[..., Result]:
    """Run both, check that exit code, stdout and stderr are equal to the byte, and return them."""

    def check(*arguments: str, **more: Any) -> Result:
        theirs, ours = python(*arguments, **more), host(*arguments, **more)
        assert _comparable(ours) == _comparable(theirs)
        return theirs

    return check


@pytest.fixture
def script(tmp_path: pathlib.Path) -> Callable[..., str]:
    """Write a program's text to a file, by default app.py, and return the file's name relative to tmp_path."""

    def write(text: str, name: str = "app.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return write


@pytest.fixture
def start(tmp_path: pathlib.Path, clean_environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a program under smarm-host, or with smarm.run under python, and wait until it says that it is ready."""
    started = []

    def run(text: str, *options: str, program: pathlib.Path | str = HOST) -> subprocess.Popen[str]:
        (tmp_path / "app.py").write_text(text)
        command = [program, *options, "app.py"]
        pipe = subprocess.PIPE
        child = subprocess.Popen(
            command, cwd=tmp_path, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=clean_environment
        )
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield run
    for child in started:
        child.kill()
        child.communicate()
