"""Long stress: ./dev test -m soak."""

import pathlib
import re
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("preemption_stress.py")


def run_stress(preemptions, patience):
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", PROGRAM, str(preemptions)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        text = process.communicate(timeout=patience)[0]
    except subprocess.TimeoutExpired:
        dump = subprocess.run([sys.executable, "-m", "smarm", "dump", str(process.pid)], capture_output=True, text=True)
        process.kill()
        pytest.fail(f"it hangs: {process.communicate()[0]}\n{dump.stdout}{dump.stderr}")
    assert process.returncode == 0, text
    assert re.fullmatch(r"seed \d+\npreemptions \d+\n", text), text
    assert int(text.split()[-1]) >= preemptions


def test_mixed_work_survives_thousands_of_preemptions():
    run_stress(5_000, 120)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(10))  # each is shorter than what pytest takes for a hang
def test_a_million_preemptions(part):
    run_stress(100_000, 250)
