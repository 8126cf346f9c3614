"""asyncio (and uvloop with loop=uvloop): one event loop, one core."""

import asyncio
import random
import sys
import time

from bench.common import Ticks, count_primes, hog, lateness, main, memory, primes_result, ranges, rate


def run(coro, loop="asyncio"):
    if loop == "uvloop":
        import uvloop

        return uvloop.run(coro)
    return asyncio.run(coro)


def spawn(n=100_000, loop="asyncio"):
    async def tiny():
        pass

    async def go():
        t0 = time.perf_counter()
        async with asyncio.TaskGroup() as tg:
            for _ in range(n):
                tg.create_task(tiny())
        return rate(n, time.perf_counter() - t0, "spawns/s")

    return run(go(), loop)


def pingpong(n=200_000, loop="asyncio"):
    async def pong(inbox, outbox):
        for _ in range(n):
            await outbox.put(await inbox.get())

    async def ping(inbox, outbox):
        for i in range(n):
            await outbox.put(i)
            await inbox.get()

    async def go():
        a, b = asyncio.Queue(), asyncio.Queue()
        t0 = time.perf_counter()
        await asyncio.gather(pong(a, b), ping(b, a))
        return rate(n, time.perf_counter() - t0, "round trips/s")

    return run(go(), loop)


def ring(tasks=1000, laps=1000, loop="asyncio"):
    async def node(inbox, outbox):
        while True:
            token = await inbox.get()
            await outbox.put(token - 1)
            if token <= tasks:  # the last lap: everyone sees it once and stops
                return

    async def go():
        boxes = [asyncio.Queue() for _ in range(tasks)]
        t0 = time.perf_counter()
        async with asyncio.TaskGroup() as tg:
            for i in range(tasks):
                tg.create_task(node(boxes[i], boxes[(i + 1) % tasks]))
            boxes[0].put_nowait(tasks * laps)
        return rate(tasks * laps, time.perf_counter() - t0, "hops/s")

    return run(go(), loop)


def idle(n=100_000, loop="asyncio"):
    async def go():
        waiting = 0

        async def waiter(inbox):
            nonlocal waiting
            waiting += 1
            await inbox.get()

        before = memory()
        t0 = time.perf_counter()
        boxes = [asyncio.Queue() for _ in range(n)]
        tasks = [asyncio.create_task(waiter(b)) for b in boxes]
        while waiting < n:
            await asyncio.sleep(0)
        create = time.perf_counter() - t0
        per_task = (memory() - before) / n
        t1 = time.perf_counter()
        for b in boxes:
            b.put_nowait(None)
        await asyncio.gather(*tasks)
        return {"value": per_task, "unit": "bytes/task", "create_s": create, "wake_all_s": time.perf_counter() - t1}

    return run(go(), loop)


def primes(limit=2_000_000, tasks=64, loop="asyncio"):
    async def part(lo, hi):
        return count_primes(lo, hi)

    async def go():
        t0 = time.perf_counter()
        total = sum(await asyncio.gather(*(part(*r) for r in ranges(limit, tasks))))
        return primes_result(total, limit, time.perf_counter() - t0)

    return run(go(), loop)


def fan_in(n=1_000_000, producers=8, bound=1024, loop="asyncio"):
    async def producer(queue):
        for i in range(n // producers):
            await queue.put(i)

    async def consumer(queue):
        for _ in range(n):
            await queue.get()

    async def go():
        queue = asyncio.Queue(bound)
        t0 = time.perf_counter()
        await asyncio.gather(consumer(queue), *(producer(queue) for _ in range(producers)))
        return rate(n, time.perf_counter() - t0, "msgs/s")

    return run(go(), loop)


def timers(n=100_000, loop="asyncio"):
    async def go():
        late = []

        async def sleeper(delay):
            due = time.perf_counter() + delay
            await asyncio.sleep(delay)
            late.append(time.perf_counter() - due)

        t0 = time.perf_counter()
        async with asyncio.TaskGroup() as tg:
            for _ in range(n):
                tg.create_task(sleeper(random.random()))
        return {"value": time.perf_counter() - t0, "unit": "s", **lateness(late)}

    return run(go(), loop)


def fairness(tickers=100, period_ms=10, seconds=3, loop="asyncio"):
    async def go():
        late = []

        async def ticker(start):
            ticks = Ticks(start, period_ms / 1e3, seconds, late)
            while (wait := ticks.wait(time.perf_counter())) is not None:
                await asyncio.sleep(wait)

        async def cpu_bound():
            return hog(seconds)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as tg:
            for _ in range(tickers):
                tg.create_task(ticker(start))
            loops = tg.create_task(cpu_bound())
        stats = lateness(late)
        return {"value": stats["late_p99_ms"], "unit": "ms", **stats, "hog_iters": loops.result()}

    return run(go(), loop)


class EchoProtocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def echo_stream(reader, writer):
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


def echo(api="streams", loop="asyncio"):
    async def go():
        if api == "streams":
            server = await asyncio.start_server(echo_stream, "127.0.0.1", 0, backlog=1024)
        else:
            server = await asyncio.get_running_loop().create_server(EchoProtocol, "127.0.0.1", 0, backlog=1024)
        print("PORT", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
        import os

        os._exit(0)  # do not wait for a hundred open connections

    return run(go(), loop)


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, pingpong, ring, idle, primes, fan_in, timers, fairness, echo)})
