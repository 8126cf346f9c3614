"""CPython's subinterpreters, one own-GIL interpreter per OS thread: concurrent.interpreters, and on 3.13 its private
forerunner test.support.interpreters."""

import os
import threading
import time
from pathlib import Path

try:
    from concurrent import interpreters
except ImportError:
    from test.support import interpreters

from bench.common import main, memory, primes_result, ranges, rate

ROOT = str(Path(__file__).resolve().parents[3])
SETUP = f"import sys; sys.path.insert(0, {ROOT!r})\n"


def in_threads(jobs):
    """Runs (interpreter, code) pairs, each on its own OS thread; returns the wall seconds."""
    threads = [threading.Thread(target=interp.exec, args=(code,)) for interp, code in jobs]
    t0 = time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return time.perf_counter() - t0


def spawn(n=200):
    t0 = time.perf_counter()
    for _ in range(n):
        interp = interpreters.create()
        interp.exec("pass")
        interp.close()
    return rate(n, time.perf_counter() - t0, "spawns/s")


def idle(n=100):
    before = memory()
    t0 = time.perf_counter()
    keep = [interpreters.create() for _ in range(n)]
    create = time.perf_counter() - t0
    per = (memory() - before) / n
    for interp in keep:
        interp.close()
    return {"value": per, "unit": "bytes/task", "create_s": create}


def primes(limit=2_000_000, tasks=64, workers=2):
    read, write = os.pipe()
    jobs = []
    for w in range(workers):
        mine = ranges(limit, tasks)[w::workers]
        jobs.append(
            (
                interpreters.create(),
                SETUP
                + f"""
import os
from bench.common import count_primes
os.write({write}, b"%d " % sum(count_primes(*r) for r in {mine}))
""",
            )
        )
    took = in_threads(jobs)
    return primes_result(sum(map(int, os.read(read, 4096).split())), limit, took)


def pingpong(n=20_000):
    """Over two pipes: the queues of 3.13 poll every 10 ms."""
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    loop = "import os\nfor _ in range({n}):\n    {body}\n"
    ping = loop.format(n=n, body=f"os.write({w1}, b'12345678'); os.read({r2}, 8)")
    pong = loop.format(n=n, body=f"os.write({w2}, os.read({r1}, 8))")
    jobs = [(interpreters.create(), ping), (interpreters.create(), pong)]
    return rate(n, in_threads(jobs), "round trips/s")


def buffer(mib=64, passes=10_000):
    """A memoryview of one shared mapping in both; a pipe byte passes the ownership."""
    import mmap

    size, rounds = mib << 20, passes // 2
    fd = os.memfd_create("buffer")
    os.ftruncate(fd, size)
    with mmap.mmap(fd, size) as m:
        m[:] = b"\7" * size
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    code = """
import os, mmap
view = memoryview(mmap.mmap({fd}, {size}))
for _ in range({rounds}):
    {body}
    assert view[0] == view[-1] == 7
"""
    took = in_threads(
        [
            (
                interpreters.create(),
                code.format(fd=fd, size=size, rounds=rounds, body=f"os.write({w1}, b'x'); os.read({r2}, 1)"),
            ),
            (
                interpreters.create(),
                code.format(fd=fd, size=size, rounds=rounds, body=f"os.read({r1}, 1); os.write({w2}, b'x')"),
            ),
        ]
    )
    return {"value": size * passes / took / 1e9, "unit": "GB/s", "per_pass_us": took / passes * 1e6}


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, idle, primes, pingpong, buffer)})
