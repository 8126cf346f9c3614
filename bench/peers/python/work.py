"""Pools of the standard library, joblib and Ray: python -m bench.peers.python.work POOL kind=tiny n=100000"""

import concurrent.futures
import multiprocessing
import sys

from bench.common import parameters, report
from bench.work import Futures, measure, measure_first

WORKERS = 2


class Pool:
    """multiprocessing.Pool."""

    def __init__(self, pool):
        self.pool = pool

    def calls(self, function, items):
        return [result.get() for result in [self.pool.apply_async(function, (item,)) for item in items]]

    def map(self, function, items):
        return self.pool.imap(function, items, chunksize=1000)


class Joblib:
    """joblib with loky, which puts calls together by itself."""

    def calls(self, function, items):
        from joblib import Parallel, delayed

        return Parallel(n_jobs=WORKERS)(delayed(function)(item) for item in items)

    map = calls


class Ray:
    """Remote functions."""

    def calls(self, function, items):
        import ray

        remote = ray.remote(function)
        return ray.get([remote.remote(item) for item in items])

    def map(self, function, items):
        import ray.util

        pool = ray.util.ActorPool([ray.remote(_Mapper).remote() for _ in range(WORKERS)])
        chunks = [items[first : first + 1000] for first in range(0, len(items), 1000)]
        for values in pool.map(lambda actor, chunk: actor.run.remote(function, chunk), chunks):
            yield from values


class _Mapper:
    def run(self, function, chunk):
        return [function(item) for item in chunk]


def main(pool, **arguments):
    if arguments.get("kind") == "first":
        return measure_first(f"bench/peers/first/{pool}_first.py", arguments.get("repeats", 11))
    if pool == "threads":
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as executor:
            return measure(Futures(executor), **arguments)
    if pool == "processes":
        with concurrent.futures.ProcessPoolExecutor(WORKERS) as executor:
            return measure(Futures(executor, chunksize=1000), **arguments)
    if pool == "interpreters":
        with concurrent.futures.InterpreterPoolExecutor(WORKERS) as executor:
            return measure(Futures(executor), **arguments)
    if pool == "pool":
        with multiprocessing.Pool(WORKERS) as processes:
            return measure(Pool(processes), **arguments)
    if pool == "ray":
        import ray

        ray.init(num_cpus=WORKERS, include_dashboard=False, logging_level="error")
        return measure(Ray(), **arguments)
    return measure(Joblib(), **arguments)


if __name__ == "__main__":
    report(main(sys.argv[1], **parameters(sys.argv[2:])))
