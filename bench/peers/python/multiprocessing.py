"""multiprocessing: OS processes with Pipe, Queue, Pool and shared_memory."""

import multiprocessing as mp
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory

from bench.common import count_primes, main, primes_result, pss, ranges, rate, record


def tiny():
    pass


def spawn(n=500, method="fork", wave=50):
    ctx = mp.get_context(method)
    t0 = time.perf_counter()
    for _ in range(n // wave):
        jobs = [ctx.Process(target=tiny) for _ in range(wave)]
        for j in jobs:
            j.start()
        for j in jobs:
            j.join()
    return rate(n, time.perf_counter() - t0, "spawns/s")


def pooltasks(n=20_000, workers=2):
    with ProcessPoolExecutor(workers) as pool:
        pool.submit(tiny).result()
        t0 = time.perf_counter()
        for f in [pool.submit(tiny) for _ in range(n)]:
            f.result()
        return rate(n, time.perf_counter() - t0, "spawns/s")


def _pong(conn, n):
    for _ in range(n):
        conn.send(conn.recv())


def _pong_queue(inbox, outbox, n):
    for _ in range(n):
        outbox.put(inbox.get())


def pingpong(n=50_000, via="pipe", keys=0):
    value = record(keys) if keys else 1
    if via == "pipe":
        a, b = mp.Pipe()
        other = mp.Process(target=_pong, args=(b, n))
        send, recv = a.send, a.recv
    else:
        out, back = mp.Queue(), mp.Queue()
        other = mp.Process(target=_pong_queue, args=(out, back, n))
        send, recv = out.put, back.get
    other.start()
    t0 = time.perf_counter()
    for _ in range(n):
        send(value)
        recv()
    took = time.perf_counter() - t0
    other.join()
    return rate(n, took, "round trips/s")


def _node(inbox, outbox, tasks):
    while True:
        token = inbox.recv()
        outbox.send(token - 1)
        if token <= tasks:
            return


def ring(tasks=100, laps=200):
    links = [mp.Pipe(duplex=False) for _ in range(tasks)]
    nodes = [mp.Process(target=_node, args=(links[i][0], links[(i + 1) % tasks][1], tasks)) for i in range(tasks)]
    for p in nodes:
        p.start()
    time.sleep(0.2)
    t0 = time.perf_counter()
    links[0][1].send(tasks * laps)
    for p in nodes:
        p.join()
    return rate(tasks * laps, time.perf_counter() - t0, "hops/s")


def _wait(inbox, ready):
    ready.send(1)
    inbox.recv()


def idle(n=200, method="fork"):
    ctx = mp.get_context(method)
    ready_in, ready_out = ctx.Pipe(duplex=False)
    before = pss(["self"])
    t0 = time.perf_counter()
    links, jobs = [], []
    for _ in range(n):
        recv, send = ctx.Pipe(duplex=False)
        p = ctx.Process(target=_wait, args=(recv, ready_out))
        p.start()
        links.append(send)
        jobs.append(p)
    for _ in range(n):
        ready_in.recv()
    create = time.perf_counter() - t0
    per_task = (pss(["self"] + [p.pid for p in jobs]) - before) / n
    t1 = time.perf_counter()
    for send in links:
        send.send(None)
    for p in jobs:
        p.join()
    return {
        "value": per_task,
        "unit": "bytes/task",
        "create_s": create,
        "wake_all_s": time.perf_counter() - t1,
        "measure": "PSS",
    }


def _part(r):
    return count_primes(*r)


def primes(limit=2_000_000, tasks=64, workers=2):
    t0 = time.perf_counter()
    with mp.Pool(workers) as pool:
        total = sum(pool.map(_part, ranges(limit, tasks), chunksize=1))
    return primes_result(total, limit, time.perf_counter() - t0)


def _produce(queue, n):
    for i in range(n):
        queue.put(i)


def fan_in(n=400_000, producers=8):
    queue = mp.Queue()
    jobs = [mp.Process(target=_produce, args=(queue, n // producers)) for _ in range(producers)]
    t0 = time.perf_counter()
    for p in jobs:
        p.start()
    for _ in range(n):
        queue.get()
    took = time.perf_counter() - t0
    for p in jobs:
        p.join()
    return rate(n, took, "msgs/s")


def _bounce_bytes(conn, passes):
    for _ in range(passes):
        data = conn.recv_bytes()
        assert data[0] == data[-1] == 7
        conn.send_bytes(data)


def _bounce_queue(inbox, outbox, passes):
    for _ in range(passes):
        data = inbox.get()
        assert data[0] == data[-1] == 7
        outbox.put(data)


def _bounce_shm(conn, passes):
    for _ in range(passes):
        shm = shared_memory.SharedMemory(conn.recv(), track=False)
        assert shm.buf[0] == shm.buf[-1] == 7
        name = shm.name
        shm.close()
        conn.send(name)


def buffer(mib=64, passes=100, via="pipe"):
    """The buffer goes back and forth; every one-way transfer is one pass."""
    size, rounds = mib << 20, passes // 2
    payload = b"\7" * size
    a, b = mp.Pipe()
    if via == "queue":
        out, back = mp.Queue(), mp.Queue()
        other = mp.Process(target=_bounce_queue, args=(out, back, rounds))
    else:
        other = mp.Process(target={"pipe": _bounce_bytes, "shm": _bounce_shm}[via], args=(b, rounds))
    shm = shared_memory.SharedMemory(create=True, size=size) if via == "shm" else None
    if shm:
        shm.buf[:] = payload
    other.start()
    time.sleep(0.2)
    t0 = time.perf_counter()
    for _ in range(rounds):
        if via == "pipe":
            a.send_bytes(payload)
            payload = a.recv_bytes()
            assert payload[0] == payload[-1] == 7
        elif via == "queue":
            out.put(payload)
            payload = back.get()
            assert payload[0] == payload[-1] == 7
        else:
            a.send(shm.name)
            again = shared_memory.SharedMemory(a.recv(), track=False)
            assert again.buf[0] == again.buf[-1] == 7
            again.close()
    took = time.perf_counter() - t0
    other.join()
    if shm:
        shm.close()
        shm.unlink()
    return {"value": size * passes / took / 1e9, "unit": "GB/s", "per_pass_us": took / passes * 1e6}


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, pooltasks, pingpong, ring, idle, primes, fan_in, buffer)})
