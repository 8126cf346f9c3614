"""n actors sleep for a random time of up to a second: how late they wake, and the wall time of all."""

import random
import time

import smarm
from bench.common import lateness
from bench.smarm.program import run


def measure(n=100_000):
    late = []

    def sleeper(delay):
        due = time.perf_counter() + delay
        smarm.sleep(delay)
        late.append(time.perf_counter() - due)

    start = time.perf_counter()
    smarm.join_all([smarm.spawn(sleeper, random.random()) for _ in range(n)])
    return {"value": time.perf_counter() - start, "unit": "s", **lateness(late)}


if __name__ == "__main__":
    run(measure)
