"""Count primes with many actors on all cores: python examples/primes.py [LIMIT [ACTORS]]

Prints which worker ran how many of the actors, and the time on one worker, on all of them, and with multiprocessing.
"""

import itertools
import multiprocessing
import os
import sys
import time

import smarm


def count_primes(first, end):
    """Return how many primes are in [first, end), by trial division."""
    count = 0
    for number in range(max(first, 2), end):
        divisor = 2
        while divisor * divisor <= number:
            if number % divisor == 0:
                break
            divisor += 1
        else:
            count += 1
    return count


def ranges(limit, parts):
    edges = [limit * i // parts for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


def one_range(first, end):
    return count_primes(first, end), smarm.worker_index()


def main(limit, actors):
    handles = [smarm.spawn(one_range, first, end) for first, end in ranges(limit, actors)]
    results = [handle.join() for handle in handles]
    per_worker = {}
    for _, worker in results:
        per_worker[worker] = per_worker.get(worker, 0) + 1
    return sum(count for count, _ in results), per_worker


def pool_main(limit, parts, processes):
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.starmap(count_primes, ranges(limit, parts))


def timed(function, *args):
    start = time.perf_counter()
    result = function(*args)
    return result, time.perf_counter() - start


if __name__ == "__main__":
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    actors = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    cpus = len(os.sched_getaffinity(0))
    (count, _), alone = timed(lambda: smarm.run(main, limit, actors, workers=1))
    print(f"{count} primes below {limit}; one worker: {alone:.2f} s")
    (count, per_worker), together = timed(lambda: smarm.run(main, limit, actors, workers=cpus))
    shares = ", ".join(f"worker {worker} ran {n}" for worker, n in sorted(per_worker.items()))
    print(f"{cpus} workers: {together:.2f} s, {alone / together:.2f} times as fast; of {actors} actors {shares}")
    counts, processes = timed(pool_main, limit, actors, cpus)
    print(f"multiprocessing.Pool({cpus}): {processes:.2f} s, {processes / together:.2f} times as long")
    assert count == sum(counts)
