"""threading + queue (and a thread pool): OS threads under one GIL."""

import os
import queue
import random
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bench.common import Ticks, count_primes, hog, lateness, main, memory, primes_result, ranges, rate

QUEUES = {"Queue": queue.Queue, "SimpleQueue": queue.SimpleQueue}


def start_all(jobs):
    for j in jobs:
        j.start()
    return jobs


def join_all(jobs):
    for j in jobs:
        j.join()


def spawn(n=100_000, wave=1000):
    """In waves: 100k live threads would pass the machine's limits."""

    def tiny():
        pass

    t0 = time.perf_counter()
    for _ in range(n // wave):
        join_all(start_all([threading.Thread(target=tiny) for _ in range(wave)]))
    return rate(n, time.perf_counter() - t0, "spawns/s")


def pooltasks(n=100_000, workers=2):
    def tiny():
        pass

    with ThreadPoolExecutor(workers) as pool:
        t0 = time.perf_counter()
        for f in [pool.submit(tiny) for _ in range(n)]:
            f.result()
        return rate(n, time.perf_counter() - t0, "spawns/s")


def pingpong(n=100_000, queue="SimpleQueue"):
    a, b = QUEUES[queue](), QUEUES[queue]()

    def pong():
        for _ in range(n):
            b.put(a.get())

    def ping():
        for i in range(n):
            a.put(i)
            b.get()

    t0 = time.perf_counter()
    join_all(start_all([threading.Thread(target=pong), threading.Thread(target=ping)]))
    return rate(n, time.perf_counter() - t0, "round trips/s")


def ring(tasks=1000, laps=100, queue="SimpleQueue"):
    boxes = [QUEUES[queue]() for _ in range(tasks)]

    def node(inbox, outbox):
        while True:
            token = inbox.get()
            outbox.put(token - 1)
            if token <= tasks:
                return

    nodes = start_all([threading.Thread(target=node, args=(boxes[i], boxes[(i + 1) % tasks])) for i in range(tasks)])
    t0 = time.perf_counter()
    boxes[0].put(tasks * laps)
    join_all(nodes)
    return rate(tasks * laps, time.perf_counter() - t0, "hops/s")


def idle(n=10_000, queue="SimpleQueue"):
    before = memory()
    t0 = time.perf_counter()
    boxes = [QUEUES[queue]() for _ in range(n)]
    jobs = start_all([threading.Thread(target=b.get) for b in boxes])
    create = time.perf_counter() - t0
    time.sleep(0.2)
    per_task = (memory() - before) / n
    t1 = time.perf_counter()
    for b in boxes:
        b.put(None)
    join_all(jobs)
    return {"value": per_task, "unit": "bytes/task", "create_s": create, "wake_all_s": time.perf_counter() - t1}


def primes(limit=2_000_000, tasks=64, workers=2):
    t0 = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        total = sum(pool.map(lambda r: count_primes(*r), ranges(limit, tasks)))
    return primes_result(total, limit, time.perf_counter() - t0)


def fan_in(n=1_000_000, producers=8, queue="SimpleQueue", bound=0):
    box = QUEUES[queue](bound) if bound else QUEUES[queue]()

    def producer():
        for i in range(n // producers):
            box.put(i)

    def consumer():
        for _ in range(n):
            box.get()

    t0 = time.perf_counter()
    join_all(
        start_all([threading.Thread(target=consumer)] + [threading.Thread(target=producer) for _ in range(producers)])
    )
    return rate(n, time.perf_counter() - t0, "msgs/s")


def timers(n=10_000):
    late = []

    def sleeper(delay):
        due = time.perf_counter() + delay
        time.sleep(delay)
        late.append(time.perf_counter() - due)

    t0 = time.perf_counter()
    join_all(start_all([threading.Thread(target=sleeper, args=(random.random(),)) for _ in range(n)]))
    return {"value": time.perf_counter() - t0, "unit": "s", **lateness(late)}


def fairness(tickers=100, period_ms=10, seconds=3):
    late, loops = [], []
    start = time.perf_counter()

    def ticker():
        ticks = Ticks(start, period_ms / 1e3, seconds, late)
        while (wait := ticks.wait(time.perf_counter())) is not None:
            time.sleep(wait)

    jobs = [threading.Thread(target=ticker) for _ in range(tickers)]
    jobs.append(threading.Thread(target=lambda: loops.append(hog(seconds))))
    join_all(start_all(jobs))
    stats = lateness(late)
    return {"value": stats["late_p99_ms"], "unit": "ms", **stats, "hog_iters": loops[0]}


def echo():
    def handle(conn):
        try:
            while data := conn.recv(4096):
                conn.sendall(data)
        except OSError:
            pass
        conn.close()

    def accept(server):
        while True:
            conn, _ = server.accept()
            threading.Thread(target=handle, args=(conn,), daemon=True).start()

    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=accept, args=(server,), daemon=True).start()
    print("PORT", server.getsockname()[1], flush=True)
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, pooltasks, pingpong, ring, idle, primes, fan_in, timers, fairness, echo)})
