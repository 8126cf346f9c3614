"""The layers of the C++ code: includes go strictly downwards, and each public header stands alone."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Bottom up; layers of one row are peers, which do not include each other.
ROWS = [
    ["base"],
    ["fiber"],
    ["msg"],
    ["actor"],
    ["sched"],
    ["wait"],
    ["share"],
    ["cpython"],
    ["interp"],
    ["codec", "stdlib", "extensions"],
    ["cluster"],
    ["runtime"],
    ["bind"],
    ["host"],
]
LEVELS = {layer: level for level, row in enumerate(ROWS) for layer in row}
PYTHON_FROM = LEVELS["cpython"]
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
HEADERS = sorted((ROOT / "include").rglob("*.h"))
SOURCES = sorted(
    path
    for folder in ("src", "host")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".h", ".cpp", ".c", ".S"}
)


def layer_of(path: pathlib.Path) -> str:
    """Return the layer of a file of the tree."""
    parts = path.relative_to(ROOT).parts
    return parts[{"include": 2, "src": 1, "host": 0}[parts[0]]]


def layer_of_include(name: str) -> str | None:
    """Return the layer of what is included, None for what is not ours."""
    parts = name.split("/")
    if parts[0] == "smarm":
        return parts[1]
    return parts[0] if parts[0] in LEVELS and len(parts) > 1 else None


def includes(path: pathlib.Path) -> list[tuple[str, str]]:
    return INCLUDE.findall(path.read_text())


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", HEADERS + SOURCES, ids=name_of)
def test_includes_go_downwards(path: pathlib.Path) -> None:
    own = layer_of(path)
    for _, included in includes(path):
        layer = layer_of_include(included)
        assert layer is None or layer == own or LEVELS[layer] < LEVELS[own], f"{own} must not include {included}"
        if "Python.h" in included or included.startswith(("pybind11/", "internal/pycore")):
            assert LEVELS[own] >= PYTHON_FROM, f"{own} must not know Python"
        if included.startswith("pybind11/"):
            assert own == "bind"


@pytest.mark.parametrize("path", HEADERS, ids=name_of)
def test_a_public_header_does_not_include_private_ones(path: pathlib.Path) -> None:
    for quote, included in includes(path):
        assert quote == "<" or included.startswith("smarm/"), included
        assert not included.startswith("internal/")


# What looks behind CPython's or the loader's public interface, in code: comments may speak of it.
PRIVATE = re.compile(
    r"\b_Py_?[A-Z]\w*|\bml_meth\b|\bcurrent_frame\b|internal/|Py_BUILD_CORE|PY_VERSION_HEX|\bdl_iterate_phdr\b|\blink_map\b|\b__tls_get_addr\b"
)
# Private by name, public by documentation.
PUBLIC_ALL_THE_SAME = {"_PyBytes_Resize"}


def code_of(path: pathlib.Path) -> str:
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r"//.*", "", text)


def test_only_the_folder_cpython_looks_behind_public_interfaces() -> None:
    for path in HEADERS + SOURCES:
        if layer_of(path) == "cpython":
            continue
        found = set(PRIVATE.findall(code_of(path))) - PUBLIC_ALL_THE_SAME
        assert not found, f"{name_of(path)}: {sorted(found)} belongs into src/cpython"


def test_version_tests_are_in_the_compatibility_files() -> None:
    for path in HEADERS + SOURCES:
        if "PY_VERSION_HEX" in code_of(path):
            assert path.stem in {"py_compat", "py_swap"}, name_of(path)


def test_python_exceptions_are_dropped_by_the_function_that_arms_requested_ones_again() -> None:
    for path in HEADERS + SOURCES:
        if layer_of(path) not in {"cpython", "host"} and path.stem != "requested_exception":
            assert "PyErr_Clear" not in code_of(path), f"{name_of(path)}: drop_exception() loses no request"


# These take __import__ or all builtins from the frame that runs: see smarm/interp/imports.h.
FRAMES_BUILTINS = re.compile(
    r"\b(PyImport_ImportModule|PyImport_Import|PyCapsule_Import|PyEval_GetBuiltins|PyRun_SimpleString\w*)\b"
)


def test_nothing_uses_the_builtins_of_the_frame_that_runs() -> None:
    for path in HEADERS + SOURCES:
        assert not (found := FRAMES_BUILTINS.findall(code_of(path))), f"{name_of(path)}: {found}"


def test_every_header_is_on_the_map_once() -> None:
    text = (ROOT / "include/smarm/README.md").read_text()
    rows = re.findall(r"^\| (\w*) \| ([\w., ]+) \|", text, re.MULTILINE)
    layers = itertools.accumulate(rows, lambda layer, row: row[0] or layer, initial="")
    places = [
        f"{layer}/{name}" for layer, row in zip(list(layers)[1:], rows, strict=True) for name in row[1].split(", ")
    ]
    assert len(places) == len(set(places)), sorted(place for place in places if places.count(place) > 1)
    missing = [
        name_of(path)
        for path in HEADERS
        if str(path.relative_to(ROOT / "include/smarm")) not in text and path.name not in text
    ]
    assert missing == []


def included_first() -> set[str]:
    """Return what .cpp files that are compiled one by one include before anything else: the build shows that these compile alone.

    Those are the C++ tests, and for tests/sim the core.
    """
    core = [path for path in SOURCES if LEVELS[layer_of(path)] < PYTHON_FROM]
    files = [*core, *(ROOT / "tests/cpp").rglob("*_test.cpp")]
    return {found[0][1] for path in files if path.suffix == ".cpp" and (found := includes(path))}


def test_every_header_guards_itself() -> None:
    for path in HEADERS:
        assert re.search(r"^#pragma once|^#ifndef SMARM_\w+_H$", path.read_text(), re.MULTILINE), name_of(path)


def test_public_headers_compile_alone(tmp_path: pathlib.Path) -> None:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    compiler = next((found for name in names if name and (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    options = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}"]
    proven = included_first()

    def compile_alone(header: pathlib.Path) -> str:
        source = tmp_path / (name_of(header).replace("/", "_") + ".cpp")
        source.write_text(f'#include "{header.relative_to(ROOT / "include")}"\n')
        python = [f"-isystem{sysconfig.get_path('include')}"] if LEVELS[layer_of(header)] >= PYTHON_FROM else []
        done = subprocess.run([compiler, *options, *python, str(source)], capture_output=True, text=True)
        return "" if done.returncode == 0 else f"{name_of(header)}:\n{done.stderr}"

    rest = [header for header in HEADERS if str(header.relative_to(ROOT / "include")) not in proven]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = [failure for failure in pool.map(compile_alone, rest) if failure]
    assert not failures, "\n".join(failures)
