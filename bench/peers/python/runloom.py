"""runloom (stackful fibers); on a GIL build its scheduler is single-core."""

import time

import runloom

from bench.common import main, memory, rate

HUBS = 1


def _run(body):
    out = []
    runloom.fiber(lambda: out.append(body()))
    runloom.run(HUBS)
    return out[0]


def spawn(n=100_000):
    def tiny():
        pass

    t0 = time.perf_counter()
    for _ in range(n):
        runloom.fiber(tiny)
    runloom.run(HUBS)
    return rate(n, time.perf_counter() - t0, "spawns/s")


def pingpong(n=300_000):
    a, b = runloom.Chan(1), runloom.Chan(1)

    def pong():
        for _ in range(n):
            b.send(a.recv()[0])

    def ping():
        t0 = time.perf_counter()
        for i in range(n):
            a.send(i)
            b.recv()
        return time.perf_counter() - t0

    runloom.fiber(pong)
    return rate(n, _run(ping), "round trips/s")


def ring(tasks=1000, laps=300):
    chans = [runloom.Chan(1) for _ in range(tasks)]

    def node(i):
        def body():
            src, dst = chans[i], chans[(i + 1) % tasks]
            for _ in range(laps):
                dst.send(src.recv()[0])

        return body

    for i in range(1, tasks):
        runloom.fiber(node(i))

    def head():
        t0 = time.perf_counter()
        for lap in range(laps):
            chans[1].send(lap)
            chans[0].recv()
        return time.perf_counter() - t0

    return rate(tasks * laps, _run(head), "hops/s")


def idle(n=100_000):
    chans = [runloom.Chan(1) for _ in range(n)]

    def waiter(c):
        return lambda: c.recv()

    def head():
        base = memory()
        t0 = time.perf_counter()
        for c in chans:
            runloom.fiber(waiter(c))
        runloom.yield_now()
        for _ in range(3):
            runloom.yield_now()
        create = time.perf_counter() - t0
        used = memory() - base
        for c in chans:
            c.send(None)
        return used, create

    used, create = _run(head)
    return {"value": used / n, "unit": "bytes/task", "create_s": create}


if __name__ == "__main__":
    main({"spawn": spawn, "pingpong": pingpong, "ring": ring, "idle": idle})
