"""n messages for later: what arming one and cancelling one costs, with all of them armed."""

import random
import time

import smarm
from bench.common import rss
from bench.smarm.program import run


def measure(n=1_000_000):
    pid = smarm.self()
    delays = [random.uniform(60, 3600) for _ in range(n)]
    order = list(range(n))
    random.shuffle(order)
    before, start = rss(), time.perf_counter()
    timers = [smarm.send_after(delay, pid, None) for delay in delays]
    armed = time.perf_counter() - start
    each = (rss() - before) / n
    start = time.perf_counter()
    for index in order:
        timers[index].cancel()
    cancelled = time.perf_counter() - start
    return {"value": armed / n * 1e9, "unit": "ns to arm", "cancel_ns": cancelled / n * 1e9, "bytes_each": each}


if __name__ == "__main__":
    run(measure)
