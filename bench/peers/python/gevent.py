"""gevent: greenlets on one libev loop, one core."""

import os
import random
import sys
import time

import gevent
from gevent import queue as gqueue
from gevent.server import StreamServer

from bench.common import Ticks, count_primes, hog, lateness, main, memory, primes_result, ranges, rate

QUEUES = {"Queue": gqueue.Queue, "SimpleQueue": gqueue.SimpleQueue}


def spawn(n=100_000):
    def tiny():
        pass

    t0 = time.perf_counter()
    gevent.joinall([gevent.spawn(tiny) for _ in range(n)])
    return rate(n, time.perf_counter() - t0, "spawns/s")


def pingpong(n=200_000, queue="SimpleQueue"):
    a, b = QUEUES[queue](), QUEUES[queue]()

    def pong():
        for _ in range(n):
            b.put(a.get())

    def ping():
        for i in range(n):
            a.put(i)
            b.get()

    t0 = time.perf_counter()
    gevent.joinall([gevent.spawn(pong), gevent.spawn(ping)], raise_error=True)
    return rate(n, time.perf_counter() - t0, "round trips/s")


def ring(tasks=1000, laps=1000, queue="SimpleQueue"):
    boxes = [QUEUES[queue]() for _ in range(tasks)]

    def node(inbox, outbox):
        while True:
            token = inbox.get()
            outbox.put(token - 1)
            if token <= tasks:
                return

    t0 = time.perf_counter()
    nodes = [gevent.spawn(node, boxes[i], boxes[(i + 1) % tasks]) for i in range(tasks)]
    boxes[0].put(tasks * laps)
    gevent.joinall(nodes, raise_error=True)
    return rate(tasks * laps, time.perf_counter() - t0, "hops/s")


def idle(n=100_000, queue="SimpleQueue"):
    waiting = 0

    def waiter(inbox):
        nonlocal waiting
        waiting += 1
        inbox.get()

    before = memory()
    t0 = time.perf_counter()
    boxes = [QUEUES[queue]() for _ in range(n)]
    tasks = [gevent.spawn(waiter, b) for b in boxes]
    while waiting < n:
        gevent.sleep(0)
    create = time.perf_counter() - t0
    per_task = (memory() - before) / n
    t1 = time.perf_counter()
    for b in boxes:
        b.put(None)
    gevent.joinall(tasks, raise_error=True)
    return {"value": per_task, "unit": "bytes/task", "create_s": create, "wake_all_s": time.perf_counter() - t1}


def primes(limit=2_000_000, tasks=64):
    t0 = time.perf_counter()
    jobs = [gevent.spawn(count_primes, *r) for r in ranges(limit, tasks)]
    gevent.joinall(jobs, raise_error=True)
    return primes_result(sum(j.value for j in jobs), limit, time.perf_counter() - t0)


def fan_in(n=1_000_000, producers=8, bound=1024):
    queue = gqueue.Queue(bound)

    def producer():
        for i in range(n // producers):
            queue.put(i)

    def consumer():
        for _ in range(n):
            queue.get()

    t0 = time.perf_counter()
    gevent.joinall([gevent.spawn(consumer)] + [gevent.spawn(producer) for _ in range(producers)], raise_error=True)
    return rate(n, time.perf_counter() - t0, "msgs/s")


def timers(n=100_000):
    late = []

    def sleeper(delay):
        due = time.perf_counter() + delay
        gevent.sleep(delay)
        late.append(time.perf_counter() - due)

    t0 = time.perf_counter()
    gevent.joinall([gevent.spawn(sleeper, random.random()) for _ in range(n)], raise_error=True)
    return {"value": time.perf_counter() - t0, "unit": "s", **lateness(late)}


def fairness(tickers=100, period_ms=10, seconds=3):
    late = []
    start = time.perf_counter()

    def ticker():
        ticks = Ticks(start, period_ms / 1e3, seconds, late)
        while (wait := ticks.wait(time.perf_counter())) is not None:
            gevent.sleep(wait)

    jobs = [gevent.spawn(ticker) for _ in range(tickers)]
    cpu_bound = gevent.spawn(hog, seconds)
    gevent.joinall([*jobs, cpu_bound], raise_error=True)
    stats = lateness(late)
    return {"value": stats["late_p99_ms"], "unit": "ms", **stats, "hog_iters": cpu_bound.value}


def echo():
    def handle(sock, address):
        try:
            while data := sock.recv(4096):
                sock.sendall(data)
        except OSError:
            pass

    server = StreamServer(("127.0.0.1", 0), handle, backlog=1024)
    server.start()
    print("PORT", server.server_port, flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, pingpong, ring, idle, primes, fan_in, timers, fairness, echo)})
