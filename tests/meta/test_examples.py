"""Every example runs, under python and under smarm-host."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
ARGUMENTS = {"primes.py": ["20000", "8"], "million.py": ["1000"], "ring.py": ["50", "20"], "monte_carlo.py": ["0.1"]}


def runs():
    for example in sorted(path.name for path in EXAMPLES.glob("*.py")):
        yield pytest.param(example, "python")
        if example == "simulation_test.py":  # a simulation needs a process without a runtime
            continue
        plain = pytest.mark.unsanitized(reason="multiprocessing starts a python without sanitizers there")
        yield pytest.param(example, "smarm-host", marks=[plain] if example == "primes.py" else [])


@pytest.mark.parametrize(("example", "launcher"), list(runs()))
def test_example_runs(example, launcher):
    program = sys.executable if launcher == "python" else str(Path(sys.executable).with_name("smarm-host"))
    done = subprocess.run(
        [program, EXAMPLES / example, *ARGUMENTS.get(example, [])], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_quick_taste_prints_what_the_seed_prints():
    done = subprocess.run([sys.executable, EXAMPLES / "quick_taste.py"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "got 1\ngot 2\ngot 3\n"
