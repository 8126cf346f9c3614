"""docs/explanation/walks.md: each stop is there."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/explanation/walks.md").read_text()
WALKS = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
STOP = re.compile(r"^\d+\. `([^`]+)` `([^`]+)`", re.MULTILINE)


def defines(text: str, function: str, python: bool) -> bool:
    """Whether a file defines the function: a line that begins its definition, not a call of it."""
    if python:
        return re.search(rf"^\s*def {function}\b", text, re.MULTILINE) is not None
    begin = rf"^ *(?!return\b|if\b|else\b|for\b|while\b)[\w:<>,*& \[\]()]*?[\w>*&\]] [*&]?(?:\w+::)*{function}\("
    return any(not line.rstrip().endswith(";") or "{" in line for line in re.findall(begin + ".*", text, re.MULTILINE))


def test_there_are_five_walks() -> None:
    assert len(WALKS) == 5
    assert all(len(STOP.findall(walk)) == len(re.findall(r"^\d+\.", walk, re.MULTILINE)) >= 10 for _, walk in WALKS)


@pytest.mark.parametrize(("title", "walk"), WALKS, ids=[title for title, _ in WALKS])
def test_every_stop_is_there(title: str, walk: str) -> None:
    for name, function in STOP.findall(walk):
        path = ROOT / name
        assert path.exists(), f"{title}: there is no {name}"
        assert defines(path.read_text(), function, path.suffix == ".py"), f"{title}: {name} does not define {function}"
