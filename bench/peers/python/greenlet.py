"""Bare greenlet: no scheduler, only switch(); the floor for a green-thread switch in CPython."""

import time

from greenlet import getcurrent, greenlet

from bench.common import main, memory, rate


def spawn(n=100_000):
    def tiny():
        pass

    t0 = time.perf_counter()
    for _ in range(n):
        greenlet(tiny).switch()
    return rate(n, time.perf_counter() - t0, "spawns/s")


def pingpong(n=500_000):
    def pong(value):
        while True:
            value = ping.switch(value)

    ping, other = getcurrent(), greenlet(pong)
    t0 = time.perf_counter()
    for i in range(n):
        other.switch(i)
    return rate(n, time.perf_counter() - t0, "round trips/s")


def ring(tasks=1000, laps=1000):
    def node(following):
        def body():
            token = hub.switch()  # started from the hub, so that depth does not nest
            while True:
                token = following[0].switch(token - 1)

        return body

    hub = getcurrent()
    links = [[None] for _ in range(tasks)]
    nodes = [greenlet(node(link)) for link in links]
    for i, link in enumerate(links):
        link[0] = nodes[i + 1] if i + 1 < tasks else hub
    for n in nodes:
        n.switch()
    t0 = time.perf_counter()
    token = tasks * laps
    while token > 0:
        token = nodes[0].switch(token)
    return rate(tasks * laps, time.perf_counter() - t0, "hops/s")


def idle(n=100_000):
    hub = getcurrent()

    def waiter():
        hub.switch()

    before = memory()
    t0 = time.perf_counter()
    tasks = [greenlet(waiter) for _ in range(n)]
    for t in tasks:
        t.switch()
    create = time.perf_counter() - t0
    per_task = (memory() - before) / n
    t1 = time.perf_counter()
    for t in tasks:
        t.switch()
    return {"value": per_task, "unit": "bytes/task", "create_s": create, "wake_all_s": time.perf_counter() - t1}


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, pingpong, ring, idle)})
