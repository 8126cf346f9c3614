"""The survey of packages with native code: its lists agree, and it takes nothing for a success that is none."""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.survey import __main__ as survey
from tests.survey.workloads import WORKLOADS

ROOT = pathlib.Path(__file__).parents[2]


def normalised(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


@pytest.mark.parametrize("group", ["extensions-quick", "extensions"])
def test_what_is_installed_is_what_is_tried(group):
    wanted = {normalised(survey.name_of(requirement)) for requirement in survey.requirements(group)}
    workloads = [each for each in WORKLOADS.values() if each.quick or group == "extensions"]
    tried = {normalised(name) for each in workloads for name in each.distribution.split()}
    assert wanted == tried


def test_ci_tries_the_quick_ones():
    assert "./dev extensions --quick" in (ROOT / ".ci/run").read_text()


def test_the_page_has_no_failures_and_no_strangers():
    rows = re.findall(r"^\| (\w+) \| [^|]+ \| [^|]+ \| ((?:[^|\\]|\\.)+) \|", survey.PAGE.read_text(), re.MULTILINE)
    rows = [row for row in rows if row[0] != "package"]
    assert len(rows) >= 50
    for name, private in rows:
        assert private.startswith("runs") or private == survey.NO_WHEEL, name
        assert name in WORKLOADS


GOOD = {"digest": "d", "shown": "x", "native": True, "seconds": 1.0}


@pytest.mark.parametrize(
    ("answer", "trouble", "verdict"),
    [
        ([[GOOD] * 4] * 2, "", ""),
        (None, "SIGSEGV: Fatal Python error", "SIGSEGV: Fatal Python error"),
        (None, "", "no answer"),
        ([[GOOD] * 4] * 2, "exit status 0: a warning", "exit status 0: a warning"),
        ([[GOOD] * 4, [GOOD, GOOD | {"digest": "e", "shown": "y"}]], "", "other results: y instead of x"),
        ([[GOOD], [GOOD | {"native": False}]], "", "goes on without its native half"),
        ([[GOOD], [{"error": "ImportError: no\nmore", "where": "/a/b/c.py:5"}]], "", "ImportError: no (b/c.py:5)"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(answer, trouble, verdict):
    assert survey.judge_private(GOOD, answer, trouble) == verdict


def test_the_page_keeps_the_rows_of_what_was_not_tried(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nText.\n")
    monkeypatch.setattr(survey, "PAGE", page)
    row = survey.Row("numpy", "1", "refused", "runs", 2_500_000, False)
    survey.write([row, row._replace(name="lxml", private="**fails**: a | b")], "3.13")
    survey.write([row._replace(version="7")], "3.14")
    survey.write([row._replace(version="2")], "3.13")
    head = "| package | version | on a worker, as it is | on two workers, from private copies | MB of copies |"
    assert page.read_text().replace(f"{head}\n|---|---|---|---|---|\n", "") == (
        "# Title\n\nText.\n\n## Python 3.13\n\n| lxml | 1 | refused | **fails**: a \\| b | 2.5 |\n"
        "| numpy | 2 | refused | runs | 2.5 |\n\n## Python 3.14\n\n| numpy | 7 | refused | runs | 2.5 |\n"
    )
