"""One process has one runtime, however smarm._core got into it."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
Write = Callable[..., str]

EXTENSION = """
import importlib.machinery, importlib.util, pathlib, sys, sysconfig
path = str(pathlib.Path(sysconfig.get_path("platlib"), "smarm", "_core" + sysconfig.get_config_var("EXT_SUFFIX")))
def load(name):
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, path, loader=loader))
    loader.exec_module(module)
    return module
"""


def test_the_core_is_built_in_in_the_main_interpreter_and_in_workers(host: Run, script: Write) -> None:
    script("""
import smarm
def origin(): return smarm._core.__spec__.origin
if __name__ == "__main__":
    print(origin(), smarm.spawn(origin, on=1).join())
""")
    assert host("--workers", "2", "app.py") == (0, "built-in built-in\n", "")


@pytest.mark.parametrize("name", ["smarm._core", "another._core"])
def test_the_extension_module_loaded_here_is_the_same_core(host: Run, script: Write, name: str) -> None:
    script(
        EXTENSION
        + f"""
import smarm
second = load({name!r})
print(second.self() == smarm.self(), second.processes() == smarm.processes(), second.Pid is smarm.Pid)
try:
    second._run(print, (), smarm.Runtime().options, False)
except smarm.AlreadyRunning:
    print("already running")
del second
import gc; gc.collect()
print(smarm.spawn(lambda: smarm.self() is not None).join())
"""
    )
    assert host("app.py") == (0, "True True True\nalready running\nTrue\n", "")


def test_a_finder_in_front_of_all_others_does_not_bring_a_second_runtime(host: Run, script: Write) -> None:
    """As the finder of an editable installation does, which every interpreter gets from a .pth file."""
    script(EXTENSION + """
import importlib.abc
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "smarm._core":
            return importlib.util.spec_from_file_location(name, core_path)
core_path = path
sys.meta_path.insert(0, Finder())
""", "first.py")  # fmt: skip
    script("import first", "sitecustomize.py")
    script("""
import smarm
def origin():
    file = smarm._core.__spec__.origin.rpartition("/")[2]
    return file.partition(".")[0], smarm.worker_index(), smarm.self() in smarm.processes()
if __name__ == "__main__":
    print(origin(), smarm.spawn(origin, on=1).join())
""")
    result = host("--workers", "2", "app.py", env={"PYTHONPATH": "."})
    assert result == (0, "('_core', 0, True) ('_core', 1, True)\n", "")


def test_the_launcher_needs_the_package(host: Run, tmp_path: pathlib.Path) -> None:
    code, out, err = host("-S", "-c", "1")
    assert (code, out) == (1, "")
    assert err.startswith("smarm-host: ")
    assert err.endswith("has no package smarm: install smarm there, or start the smarm-host of another environment\n")
