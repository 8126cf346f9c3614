"""What the programs of the work benchmarks share: tasks, and one measurement for every kind of pool.

A pool here has ``calls(function, items)``, which submits every item by itself, and ``map(function, items)``, which may put some together.
"""

import json
import os
import subprocess
import sys
import time

from bench.common import rate

SPIN = 500_000  # turns of a loop: some 10 ms
MIB = 1 << 20


def nothing(value):
    return value


def spin(value):
    for _ in range(SPIN):
        pass
    return value


def invert(data):
    """Change an array in place and give it back; what arrives as one that cannot be changed (Ray's) is copied."""
    try:
        data[0] = 255
    except (TypeError, ValueError):
        data = bytearray(data)
        data[0] = 255
    return data


class Futures:
    """A concurrent.futures.Executor."""

    def __init__(self, executor, chunksize=1):
        self.executor, self.chunksize = executor, chunksize

    def calls(self, function, items):
        return [future.result() for future in [self.executor.submit(function, item) for item in items]]

    def map(self, function, items):
        return self.executor.map(function, items, chunksize=self.chunksize)


def make_arrays(n, kind):
    if kind == "numpy":
        import numpy

        return [numpy.zeros(MIB, dtype=numpy.uint8) for _ in range(n)]
    if kind == "buffer":
        import smarm

        return [smarm.Buffer(MIB) for _ in range(n)]
    return [bytearray(MIB) for _ in range(n)]


def measure(pool, kind, n, arrays="bytearray"):
    """Time one kind of work: tiny, spin, arrays or map."""
    work = {"tiny": nothing, "spin": spin, "arrays": invert, "map": nothing}[kind]
    pool.calls(nothing, range(100))  # every worker is there
    items = make_arrays(n, arrays) if kind == "arrays" else range(n)
    start = time.perf_counter()
    results = list(pool.map(work, items)) if kind == "map" else pool.calls(work, items)
    seconds = time.perf_counter() - start
    assert len(results) == n
    assert kind == "arrays" or results[-1] == n - 1
    assert kind != "arrays" or results[-1][0] == 255
    return rate(n, seconds, "tasks/s", us_per_task=seconds / n * 1e6)


def measure_first(script, repeats=11):
    """Milliseconds from the start of a process until its first result, which it prints with the time: the median."""
    taken = []
    for _ in range(repeats):
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, script], check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": "."}
        )
        taken.append((json.loads(done.stdout) - start) * 1e3)
    return {"value": sorted(taken[1:])[(repeats - 1) // 2], "unit": "ms", "least_ms": min(taken)}
