"""Spawn actors that return at once, and join them, in waves of `wave`."""

import time

import smarm
from bench.common import rate
from bench.smarm.program import run


def tiny():
    pass


def measure(n=500_000, wave=1000):
    def waves(count):
        for _ in range(count // wave):
            smarm.join_all([smarm.spawn(tiny, on="local") for _ in range(wave)])

    waves(2 * wave)  # warm
    start = time.perf_counter()
    waves(n)
    return rate(n, time.perf_counter() - start, "spawns/s")


if __name__ == "__main__":
    run(measure)
