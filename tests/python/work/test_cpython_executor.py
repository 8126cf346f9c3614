"""CPython's own tests of executors and futures pass on smarm.Executor; every difference is explained."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

WITNESS = pathlib.Path(__file__).parents[2] / "witness"
sys.path.insert(0, str(WITNESS))

import executor as witness  # noqa: E402

PAGE = pathlib.Path(__file__).parents[3] / "docs/reference/work.md"


@pytest.mark.skipif(
    importlib.util.find_spec("test") is None or importlib.util.find_spec("test.test_concurrent_futures") is None,
    reason="this Python comes without its own tests (Debian: libpython3.x-testsuite)",
)
def test_cpythons_tests_pass_on_smarm_executor(tmp_path):
    # All at the same time: most of what they do is wait.
    running = {
        place: subprocess.Popen(
            [sys.executable, WITNESS / "executor.py", place],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for place in witness.PLACES
    }
    for place, process in running.items():
        out, err = process.communicate(timeout=280)
        assert process.returncode == 0, err
        outcomes = json.loads(out.splitlines()[-1])
        failed = {test: outcome for test, outcome in outcomes.items() if outcome.startswith("failed")}
        assert failed.keys() == witness.EXPLAINED.get(place, {}).keys(), "\n".join(failed.values())
        passed = [test for test, outcome in outcomes.items() if outcome == "passed"]
        assert len(passed) >= 45, outcomes


def test_the_page_names_every_difference():
    text = PAGE.read_text()
    for place, tests in witness.EXPLAINED.items():
        for test, why in tests.items():
            assert f"| `{test}` | {place} | {why} |" in text
