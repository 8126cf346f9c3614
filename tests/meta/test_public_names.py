"""The public names: what smarm exports, what the reference lists, what the stubs say."""

from __future__ import annotations

import ast
import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

import smarm
from smarm import _core

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference/api.md"


def exported() -> set[str]:
    """Return the names that smarm/__init__.py re-exports, as ``X as X``, at once or at first use."""
    tree = ast.parse((ROOT / "pylib/smarm/__init__.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "smarm":
            for alias in node.names:
                assert alias.asname == alias.name, f"{alias.name} must be re-exported as itself"
                found.add(alias.name)
    return found


def documented() -> set[str]:
    """Return the names in the first column of the reference's tables."""
    rows = re.findall(r"^\| (`smarm\..*?`) \|", REFERENCE.read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`smarm\.(\w+)", row)}


def test_what_is_exported_is_documented_and_the_other_way_round() -> None:
    assert exported() - {"__version__"} == documented()


def test_every_exported_name_is_there() -> None:
    for name in exported():
        assert hasattr(smarm, name), name


def test_nothing_else_is_public() -> None:
    ours = {name for name in dir(smarm) if not name.startswith("_")}
    modules = {"testing"}
    packages = {path.parent.name for path in (ROOT / "pylib/smarm").glob("*/__init__.py")}  # their names are in smarm
    assert ours - exported() - modules - packages - {"TYPE_CHECKING"} == set()


def test_dir_and_star_import_agree_with_the_exports() -> None:
    assert exported() - {"__version__"} <= set(dir(smarm))


def test_public_things_say_where_they_belong_and_what_they_do() -> None:
    for name in sorted(exported() - {"__version__", "io", "net", "testing"}):
        thing = getattr(smarm, name)
        assert thing.__doc__, f"smarm.{name} has no docstring"
        if isinstance(thing, type):
            assert thing.__module__.startswith("smarm"), name


def test_the_core_keeps_its_secrets() -> None:
    public = {name for name in dir(_core) if not name.startswith("_")}
    shown = exported() | {name for module in (smarm.io, smarm.net) for name in vars(module)}
    assert public <= shown, "a name of _core that smarm does not export must begin with _"


def test_the_version_is_written_in_one_place() -> None:
    written = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text()).group(1)
    assert smarm.__version__ == written


def mypy(*arguments: str) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"MYPYPATH": "pylib"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_python_files_are_strictly_typed() -> None:
    mypy("mypy", "--strict", "pylib/smarm")


def test_the_stubs_match_the_module() -> None:
    mypy("mypy.stubtest", "smarm._core", "--mypy-config-file", "pyproject.toml")


def test_the_package_is_typed() -> None:
    assert (ROOT / "pylib/smarm/py.typed").exists()
    assert (ROOT / "pylib/smarm/_core.pyi").exists()


@pytest.mark.parametrize("name", sorted(exported()))
def test_what_is_public_is_of_the_package(name: str) -> None:
    """CPython names a function of C by its module in TypeErrors."""
    what = getattr(smarm, name)
    if callable(what):
        assert what.__module__.startswith("smarm")
        assert "_core" not in what.__module__


@pytest.mark.parametrize(
    ("function", "arguments"), [("trap_exit", ()), ("sleep", ()), ("yield_now", (1,)), ("self", (1,))]
)
def test_wrong_arguments_are_answered_under_the_public_name(function: str, arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(smarm, function)(*arguments)
    assert "_core" not in str(caught.value)
    assert function in str(caught.value)
