"""Runtimes with two workers, made and ended one after another in one process, leave nothing behind."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("lifecycle.py")
WARM = 5  # rounds after which nothing is made for the first time
SLACK = 2 << 20  # bytes that glibc and CPython may keep more of for reasons of their own; an interpreter is larger


@pytest.mark.parametrize("rounds", [20, pytest.param(200, marks=pytest.mark.soak)])
@pytest.mark.unsanitized(reason="measures resident memory")
def test_runtimes_one_after_another_leave_nothing(rounds):
    result = subprocess.run([sys.executable, PROGRAM, str(rounds)], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ""), result
    held = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(held) == rounds
    resident = [one.pop("resident") for one in held]
    assert all(one == held[0] for one in held), held
    assert held[0]["threads"] == held[0]["interpreters"] == held[0]["thread_states"] == 1
    # 3.13 leaks most of an interpreter's memory when it ends: docs/reference/compatibility.md.
    if sys.version_info >= (3, 14):
        assert resident[-1] <= resident[WARM] + SLACK, resident
