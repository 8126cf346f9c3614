"""The Python package: imports inside a package go one way."""

from __future__ import annotations

import ast
import graphlib
import pathlib

import pytest

PYLIB = pathlib.Path(__file__).resolve().parents[2] / "pylib"
PACKAGES = sorted(path.parent.name for path in (PYLIB / "smarm").glob("*/__init__.py"))


def imported_by(path: pathlib.Path, package: str) -> set[str]:
    """Return the modules of the package that a module imports anywhere, for its annotations too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package + "."):
            found.add(node.module.removeprefix(package + "."))
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            found |= {name.removeprefix(package + ".") for name in names if name.startswith(package + ".")}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_the_modules_of_a_package_do_not_import_each_other_in_a_circle(package: str) -> None:
    folder = PYLIB / "smarm" / package
    graph = {path.stem: imported_by(path, f"smarm.{package}") for path in folder.glob("*.py")}
    list(graphlib.TopologicalSorter(graph).static_order())
