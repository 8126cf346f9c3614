"""Spawn and end n actors one after the other: memory, descriptors, threads and thread states before and after."""

import gc
import os
import time

import smarm
from bench.common import rate, rss
from bench.smarm.program import run


def tiny():
    pass


def open_files():
    return len(os.listdir("/proc/self/fd"))


def threads():
    return len(os.listdir("/proc/self/task"))


def measure(n=1_000_000, warm=10_000):
    def churn(count):
        for _ in range(count):
            smarm.spawn(tiny, on="local").join()

    churn(warm)
    gc.collect()
    before = rss(), open_files(), threads(), len(smarm.processes())
    start = time.perf_counter()
    churn(n)
    elapsed = time.perf_counter() - start
    gc.collect()
    after = rss(), open_files(), threads(), len(smarm.processes())
    names = "rss_bytes", "fds", "threads", "actors"
    grown = {f"{name}_grown": now - then for name, then, now in zip(names, before, after, strict=True)}
    return rate(n, elapsed, "spawns/s", **grown, rss_bytes_before=before[0])


if __name__ == "__main__":
    run(measure)
