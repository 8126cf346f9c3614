"""The seed's benchmark: count the primes below limit in `actors` equal parts, on every worker."""

import time

import smarm
from bench.common import count_primes, primes_result, ranges
from bench.smarm.program import run


def part(first, end):
    return count_primes(first, end), smarm.worker_index()


def measure(limit=2_000_000, actors=64):
    start = time.perf_counter()
    parts = smarm.join_all([smarm.spawn(part, first, end) for first, end in ranges(limit, actors)])
    elapsed = time.perf_counter() - start
    share = [worker for _, worker in parts]
    per_worker = {f"actors_on_worker_{worker}": share.count(worker) for worker in sorted(set(share))}
    return primes_result(sum(count for count, _ in parts), limit, elapsed, **per_worker)


if __name__ == "__main__":
    run(measure)
