"""trio: one loop, one core; memory channels."""

import os
import random
import sys
import time

import trio

from bench.common import Ticks, count_primes, hog, lateness, main, memory, primes_result, ranges, rate


def spawn(n=100_000):
    async def tiny():
        pass

    async def go():
        t0 = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(n):
                nursery.start_soon(tiny)
        return rate(n, time.perf_counter() - t0, "spawns/s")

    return trio.run(go)


def pingpong(n=50_000):
    async def pong(inbox, outbox):
        for _ in range(n):
            await outbox.send(await inbox.receive())

    async def ping(inbox, outbox):
        for i in range(n):
            await outbox.send(i)
            await inbox.receive()

    async def go():
        (a_in, a_out), (b_in, b_out) = trio.open_memory_channel(1), trio.open_memory_channel(1)
        t0 = time.perf_counter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pong, a_out, b_in)
            nursery.start_soon(ping, b_out, a_in)
        return rate(n, time.perf_counter() - t0, "round trips/s")

    return trio.run(go)


def ring(tasks=1000, laps=100):
    async def node(inbox, outbox):
        while True:
            token = await inbox.receive()
            await outbox.send(token - 1)
            if token <= tasks:
                return

    async def go():
        links = [trio.open_memory_channel(1) for _ in range(tasks)]
        t0 = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for i in range(tasks):
                nursery.start_soon(node, links[i][1], links[(i + 1) % tasks][0])
            await links[0][0].send(tasks * laps)
        return rate(tasks * laps, time.perf_counter() - t0, "hops/s")

    return trio.run(go)


def idle(n=100_000):
    async def go():
        waiting = 0

        async def waiter(inbox):
            nonlocal waiting
            waiting += 1
            await inbox.receive()

        before = memory()
        t0 = time.perf_counter()
        async with trio.open_nursery() as nursery:
            links = [trio.open_memory_channel(1) for _ in range(n)]
            for _, inbox in links:
                nursery.start_soon(waiter, inbox)
            while waiting < n:
                await trio.lowlevel.checkpoint()
            create = time.perf_counter() - t0
            per_task = (memory() - before) / n
            t1 = time.perf_counter()
            for outbox, _ in links:
                outbox.send_nowait(None)
        return {"value": per_task, "unit": "bytes/task", "create_s": create, "wake_all_s": time.perf_counter() - t1}

    return trio.run(go)


def primes(limit=2_000_000, tasks=64):
    async def go():
        counts = []

        async def part(lo, hi):
            counts.append(count_primes(lo, hi))

        t0 = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for r in ranges(limit, tasks):
                nursery.start_soon(part, *r)
        return primes_result(sum(counts), limit, time.perf_counter() - t0)

    return trio.run(go)


def fan_in(n=200_000, producers=8, bound=1024):
    async def go():
        send, receive = trio.open_memory_channel(bound)

        async def producer():
            for i in range(n // producers):
                await send.send(i)

        async def consumer():
            for _ in range(n):
                await receive.receive()

        t0 = time.perf_counter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(consumer)
            for _ in range(producers):
                nursery.start_soon(producer)
        return rate(n, time.perf_counter() - t0, "msgs/s")

    return trio.run(go)


def timers(n=100_000):
    async def go():
        late = []

        async def sleeper(delay):
            due = time.perf_counter() + delay
            await trio.sleep(delay)
            late.append(time.perf_counter() - due)

        t0 = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(n):
                nursery.start_soon(sleeper, random.random())
        return {"value": time.perf_counter() - t0, "unit": "s", **lateness(late)}

    return trio.run(go)


def fairness(tickers=100, period_ms=10, seconds=3):
    async def go():
        late, loops = [], []
        start = time.perf_counter()

        async def ticker():
            ticks = Ticks(start, period_ms / 1e3, seconds, late)
            while (wait := ticks.wait(time.perf_counter())) is not None:
                await trio.sleep(wait)

        async def cpu_bound():
            loops.append(hog(seconds))

        async with trio.open_nursery() as nursery:
            for _ in range(tickers):
                nursery.start_soon(ticker)
            nursery.start_soon(cpu_bound)
        stats = lateness(late)
        return {"value": stats["late_p99_ms"], "unit": "ms", **stats, "hog_iters": loops[0]}

    return trio.run(go)


def echo():
    async def handle(stream):
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def go():
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
        print("PORT", listeners[0].socket.getsockname()[1], flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, handle, listeners)
            await trio.to_thread.run_sync(sys.stdin.buffer.read)
            os._exit(0)

    trio.run(go)


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, pingpong, ring, idle, primes, fan_in, timers, fairness, echo)})
