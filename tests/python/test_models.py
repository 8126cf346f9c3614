"""The protocols that must not lose a wake-up, as models that spin checks in every interleaving."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

MODELS = pathlib.Path(__file__).parents[1] / "models"
PLANTED = {"park_unpark.pml": ["CLEAR_LATE"], "idle_wake.pml": ["LOOK_FIRST", "WEAK"]}


def check(model: pathlib.Path, directory: pathlib.Path, *defines: str) -> str:
    """Return what the verifier says about all states of the model."""
    missing = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed, no model is checked (Debian: apt-get install spin gcc)")

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("spin", "-a", *[f"-D{name}" for name in defines], str(model))
    run("cc", "-DSAFETY", "-o", "pan", "pan.c")
    return run("./pan", "-m100000")


def errors(report: str) -> int:
    line = next(line for line in report.splitlines() if "errors:" in line)
    assert "error: max search depth too small" not in report
    return int(line.rpartition("errors:")[2])


def test_every_model_is_checked() -> None:
    assert {path.name for path in MODELS.glob("*.pml")} == set(PLANTED)


@pytest.mark.parametrize("name", PLANTED)
def test_no_interleaving_loses_a_wake_up(name: str, tmp_path: pathlib.Path) -> None:
    assert errors(check(MODELS / name, tmp_path)) == 0


@pytest.mark.parametrize(("name", "bug"), [(name, bug) for name, bugs in PLANTED.items() for bug in bugs])
def test_a_planted_bug_is_found(name: str, bug: str, tmp_path: pathlib.Path) -> None:
    report = check(MODELS / name, tmp_path, bug)
    assert errors(report) > 0
    assert "invalid end state" in report
