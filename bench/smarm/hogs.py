"""Actors that only compute share one worker: the share of each, and how far the least is from the most."""

import time

import smarm
from bench.common import spin
from bench.smarm.program import run


def measure(hogs=6, seconds=3):
    end = time.perf_counter() + seconds
    counts = smarm.join_all([smarm.spawn(lambda: spin(end)) for _ in range(hogs)])
    shares = sorted(100 * count / sum(counts) for count in counts)
    return {
        "value": 100 * min(counts) / max(counts),
        "unit": "% (least share of the largest)",
        "least_share_percent": shares[0],
        "largest_share_percent": shares[-1],
    }


if __name__ == "__main__":
    run(measure)
