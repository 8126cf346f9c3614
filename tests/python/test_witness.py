"""The stdlib as witness, a small and quick part of it; all of it is ./dev witness.  And its page is up to date."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest

WITNESS = pathlib.Path(__file__).parents[1] / "witness"
sys.path.insert(0, str(WITNESS))

import explanations  # noqa: E402
import page  # noqa: E402
import run  # noqa: E402


@pytest.mark.skipif(
    importlib.util.find_spec("test") is None or importlib.util.find_spec("test.test_context") is None,
    reason="this Python comes without its own tests (Debian: libpython3.x-testsuite)",
)
@pytest.mark.parametrize("on", ["worker", "main"])
def test_tests_of_cpython_end_in_an_actor_as_they_end_outside(on, tmp_path):
    command = [
        sys.executable,
        WITNESS / "run.py",
        "--on",
        on,
        "--directory",
        tmp_path,
        "test_context",
        "test_generators",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" tests, ") == 2


def test_the_page_is_made_of_the_results():
    results = page.load()
    assert page.page(page.PAGE.read_text(), results) == page.PAGE.read_text(), "run: python tests/witness/page.py"


def test_every_saved_difference_is_explained():
    results = page.load()
    for version, modules in results.items():
        assert list(modules) == list(run.MODULES), version
    assert page.unexplained(results) == []


def test_explanations_are_found_by_module_and_test():
    difference = {"test": "ThreadTests.test_main_thread", "why": ""}
    assert explanations.find("test_threading", difference) == explanations.IDENTITY
    assert explanations.find("test_queue", difference) is None
