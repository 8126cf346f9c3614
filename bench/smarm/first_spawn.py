"""From the first spawn to another core, whose worker and interpreter it starts, until it has run there."""

import time

import smarm
from bench.smarm.program import run


def there():
    return smarm.worker_index()


def timed():
    start = time.perf_counter()
    assert smarm.spawn(there, on=1).join() == 1
    return (time.perf_counter() - start) * 1e3


def measure():
    first = timed()
    return {"value": first, "unit": "ms", "second_ms": timed()}


if __name__ == "__main__":
    run(measure, workers=2)
