"""Every file of the project, as text."""

from __future__ import annotations

import pathlib
import re

import pytest

# Places of somebody's machine. Written in pieces, so that this file does not find itself.
MACHINE_PATHS = re.compile(
    "|".join(["/" + "work/", "/" + "root/", "/" + "home/\\w+", "/" + "Users/\\w+", r"C:\\\\Users"])
)
# What a project's file may say all the same: homes inside of a tree made by the project's own tool.
EXCEPTIONS = {("tools/pythons.sh", "HOME=/" + "root")}
TEXT = {".py", ".pyi", ".h", ".cpp", ".c", ".S", ".md", ".toml", ".sh", ".build", ".options", ".txt", ".yml", ".in", ""}


def text_of(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_no_file_names_a_place_of_somebodys_machine(tracked: list[pathlib.Path], root: pathlib.Path) -> None:
    found = []
    for path in tracked:
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if MACHINE_PATHS.search(line + "/") and not any(
                str(path.relative_to(root)) == name and allowed in line for name, allowed in EXCEPTIONS
            ):
                found.append(f"{path.relative_to(root)}:{number}: {line.strip()}")
    assert found == []


def test_text_is_utf8_with_unix_line_ends_and_a_last_newline(tracked: list[pathlib.Path], root: pathlib.Path) -> None:
    for path in tracked:
        data = path.read_bytes()
        if path.suffix not in TEXT or not data:
            continue
        data.decode()
        assert b"\r" not in data, path
        assert data.endswith(b"\n"), path
        assert not data.endswith(b"\n\n"), path


@pytest.mark.parametrize("folder", ["base", "fiber", "msg", "actor", "sched", "wait"])
def test_every_cpp_test_is_registered(root: pathlib.Path, folder: str) -> None:
    listed = (root / "tests/cpp/meson.build").read_text()
    for path in (root / "tests/cpp" / folder).glob("*_test.cpp"):
        assert f"'{folder}/{path.name}'" in listed, f"{path.name} is not in tests/cpp/meson.build"
