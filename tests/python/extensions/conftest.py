"""What the tests of extension modules share."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from smarm.extensions._cache import Cache

sys.path.append(str(pathlib.Path(__file__).parent))  # workers import handmade.py; the last: it has a conftest.py, too
from handmade import HANDMADE


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the user's cache alone: what is copied is kept for these tests only."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "user cache"))


@pytest.fixture(params=HANDMADE)
def handmade(request: pytest.FixtureRequest) -> tuple[str, Callable[[], object]]:
    """Return the name of an extension module of tests/extensions, and a function that uses it: see handmade.py."""
    return request.param, HANDMADE[request.param]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return where a cache of the test's own is: nobody but the user writes there."""
    return tmp_path / "cache"


@pytest.fixture
def original(tmp_path: pathlib.Path) -> str:
    """Return a file to make copies of."""
    path = tmp_path / "packages" / "native.so"
    path.parent.mkdir()
    path.write_bytes(b"\x7fELF native code")
    return str(path)


@pytest.fixture
def cache(place: pathlib.Path) -> Cache:
    """Return a cache that is empty."""
    return Cache(str(place))


@pytest.fixture
def writer(original: str) -> Callable[[int], None]:
    """Write what the original has; ``writer.calls`` counts."""

    def write(descriptor: int) -> None:
        write.calls += 1
        os.write(descriptor, pathlib.Path(original).read_bytes())

    write.calls = 0
    return write


@pytest.fixture
def run_python(tmp_path: pathlib.Path) -> Callable[..., str]:
    """Run this program in a process of its own; return what it prints."""

    def run(program: str, *arguments: str, **more: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            **more,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
