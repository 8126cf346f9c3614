"""What is used behind public interfaces: docs/explanation/behind-public-interfaces.md names it, and other versions are refused."""

from __future__ import annotations

import pathlib
import re
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/explanation/behind-public-interfaces.md").read_text()
# Members of our own structures, and of the C++ library's.
OURS = {
    *("alloc", "args", "at_end", "calloc", "choose", "code", "compact", "count", "ctx", "current", "data", "definition"),
    *("emplace_back", "first", "flags", "free", "function", "gilstate", "instruction", "malloc", "name", "next", "next_varint"),
    *("empty", "is_one", "rfind", "seen", "starts_with", "substr"),
    *("begin", "bytes", "contains", "end", "erase", "find", "initial", "initial_bytes", "load", "module", "resize", "second", "variables"),
    *("connects_slowly", "deadline", "driver", "get", "has_timeout", "now", "parks", "place", "socket", "stream", "target"),
    *("any", "back", "covers", "declared", "has", "headers", "map", "release", "slots", "strings", "symbols", "to"),
    *("tp_alloc", "tp_dealloc", "tp_name"),  # public slots
    *("original", "out_of_memory", "paths", "peek", "previous", "push_back", "realloc", "replacement", "size", "store", "type"),
}  # fmt: skip


def fields_of(path: pathlib.Path) -> set[str]:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    text = re.sub(r'//.*|#include.*|"[^"]*"', "", text)
    members = set(re.findall(r"(?:->|\.)\s*([a-z_]\w*)", text)) - OURS
    functions = set(re.findall(r"\b_Py_Executors\w+|\bPyUnstable_ThreadState\w+", text))
    return members | functions


@pytest.mark.parametrize("path", sorted((ROOT / "src/cpython").glob("*.[ch]*")), ids=lambda path: path.name)
def test_every_field_is_on_the_page(path: pathlib.Path) -> None:
    missing = {field for field in fields_of(path) if f"`{field}`" not in PAGE}
    assert not missing, f"{path.name} uses {sorted(missing)}"


def test_every_file_and_test_on_the_page_is_there() -> None:
    for name in set(re.findall(r"`(\w+\.(?:c|h|cpp))`", PAGE)):
        assert (
            name in {"pystate.c", "ceval_gil.c", "ceval.c", "frameobject.c"} or (ROOT / "src/cpython" / name).exists()
        )
    for name in set(re.findall(r"tests/python/\w+\.py", PAGE)):
        assert (ROOT / name).exists()


def test_all_who_say_which_versions_are_supported_say_the_same() -> None:
    assert "requires-python = '>= 3.13, < 3.16'" in (ROOT / "pyproject.toml").read_text()
    build = (ROOT / "meson.build").read_text()
    assert "version_compare('<3.13')" in build
    assert "version_compare('>=3.16')" in build
    compat = (ROOT / "src/cpython/py_compat.c").read_text()
    assert "PY_VERSION_HEX < 0x030d0000 || PY_VERSION_HEX >= 0x03100000" in compat


@pytest.mark.parametrize(
    ("version", "answer"), [((3, 12, 9), "too old"), ((3, 13, 0), "ok"), ((3, 15, 0), "ok"), ((3, 16, 0), "too new")]
)
def test_dev_refuses_other_versions(version: tuple[int, int, int], answer: str, capsys: pytest.CaptureFixture) -> None:
    program = re.search(r"<<'PY'\n(.*?)\nPY\n", (ROOT / "dev").read_text(), re.DOTALL)[1]
    fake = types.SimpleNamespace(version_info=version, executable="python")
    exec(
        program.replace("import importlib.util, os, sys, sysconfig", "import importlib.util, os, sysconfig"),
        {"sys": fake},
    )
    assert answer in capsys.readouterr().out
