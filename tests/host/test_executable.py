"""Which python the launcher stands for: that of its virtual environment, found by argv[0]."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.unsanitized(reason="compares with a python that has another name there")

Show = Callable[..., list[str]]

SHOW = "import sys; print(sys.executable); print(sys.prefix); print(sys.base_prefix); print(sys._base_executable)"


@pytest.fixture
def show(tmp_path: pathlib.Path) -> Show:
    """Start a launcher with this argv[0] and return what it says of itself."""

    def run(argv0: str, executable: pathlib.Path | str | None = None, **more: Any) -> list[str]:
        more = {"cwd": tmp_path, "timeout": 120} | more
        done = subprocess.run([argv0, "-c", SHOW], executable=executable, capture_output=True, text=True, **more)
        return (done.stdout + done.stderr).splitlines()

    return run


BIN = pathlib.Path(sys.executable).parent
HOST = BIN / "smarm-host"


@pytest.fixture
def ours() -> list[str]:
    """Return what this environment's python says."""
    return subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture
def other(tmp_path: pathlib.Path) -> pathlib.Path:
    """Make a virtual environment with nothing but smarm, and return its bin directory."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"], check=True)
    subprocess.run([tmp_path / "other" / "bin" / "python", "-c", "pass"], check=True)
    site = next((tmp_path / "other").glob("lib/python3*/site-packages"))
    (site / "smarm.pth").write_text(os.path.dirname(os.path.dirname(sys.modules["smarm"].__file__)))
    return tmp_path / "other" / "bin"


def test_the_python_beside_it(show: Show, ours: list[str]) -> None:
    assert ours[0] == str(BIN / "python")
    assert show(str(HOST)) == ours


def test_found_on_the_path(show: Show, ours: list[str]) -> None:
    assert show("smarm-host", env=os.environ | {"PATH": f"/nowhere:{BIN}:{os.environ['PATH']}"}) == ours


def test_named_relatively(show: Show, ours: list[str]) -> None:
    assert show("./smarm-host", HOST, cwd=BIN) == ours


def test_through_links(show: Show, ours: list[str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "absolute").symlink_to(HOST)
    (tmp_path / "second").symlink_to("absolute")
    assert show(str(tmp_path / "second")) == ours


def test_started_by_a_script_of_another_environment(show: Show, other: pathlib.Path, ours: list[str]) -> None:
    """As an editable installation does: argv[0] says where, not the file that runs."""
    assert show(str(other / "smarm-host"), HOST) == [str(other / "python"), str(other.parent), *ours[2:]]


def test_copied_into_another_environment(show: Show, other: pathlib.Path, ours: list[str]) -> None:
    shutil.copy(HOST, other / "smarm-host")
    assert show(str(other / "smarm-host")) == [str(other / "python"), str(other.parent), *ours[2:]]


def test_outside_of_an_environment_it_is_the_base_python(show: Show, ours: list[str], tmp_path: pathlib.Path) -> None:
    shutil.copy(HOST, tmp_path / "smarm-host")
    path = os.path.dirname(os.path.dirname(sys.modules["smarm"].__file__))
    executable, prefix, base_prefix, base_executable = show(
        str(tmp_path / "smarm-host"), env=os.environ | {"PYTHONPATH": path}
    )
    assert prefix == base_prefix == ours[2]
    assert executable == base_executable
    assert os.path.realpath(executable) == os.path.realpath(sys.executable)
