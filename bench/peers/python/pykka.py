"""pykka ThreadingActor: one OS thread per actor, under one GIL."""

import threading
import time

import pykka

from bench.common import main, memory, rate


class Tiny(pykka.ThreadingActor):
    def on_receive(self, message):
        pass


def spawn(n=10_000, wave=500):
    t0 = time.perf_counter()
    for _ in range(n // wave):
        for ref in [Tiny.start() for _ in range(wave)]:
            ref.stop(block=False)
        pykka.ActorRegistry.stop_all()
    return rate(n, time.perf_counter() - t0, "spawns/s")


class Bouncer(pykka.ThreadingActor):
    def __init__(self, rounds, done):
        super().__init__()
        self.rounds, self.done = rounds, done

    def on_receive(self, message):
        if self.rounds == 0:
            self.done.set()
            return
        self.rounds -= 1
        message.tell(self.actor_ref)


def pingpong(n=50_000, api="tell"):
    if api == "ask":
        ref = Echo.start()
        t0 = time.perf_counter()
        for i in range(n):
            ref.ask(i)
        took = time.perf_counter() - t0
        ref.stop()
        return rate(n, took, "round trips/s")
    done = threading.Event()
    a, b = Bouncer.start(n, done), Bouncer.start(n, done)
    t0 = time.perf_counter()
    a.tell(b)
    done.wait()
    took = time.perf_counter() - t0
    pykka.ActorRegistry.stop_all()
    return rate(n, took, "round trips/s")


class Echo(pykka.ThreadingActor):
    def on_receive(self, message):
        return message


class Node(pykka.ThreadingActor):
    def __init__(self, done):
        super().__init__()
        self.following, self.done = None, done

    def on_receive(self, token):
        if not isinstance(token, int):
            self.following = token
        elif token == 0:
            self.done.set()
        else:
            self.following.tell(token - 1)


def ring(tasks=1000, laps=50):
    done = threading.Event()
    nodes = [Node.start(done) for _ in range(tasks)]
    for i, ref in enumerate(nodes):
        ref.tell(nodes[(i + 1) % tasks])
    t0 = time.perf_counter()
    nodes[0].tell(tasks * laps)
    done.wait()
    took = time.perf_counter() - t0
    pykka.ActorRegistry.stop_all()
    return rate(tasks * laps, took, "hops/s")


def idle(n=10_000):
    before = memory()
    t0 = time.perf_counter()
    refs = [Tiny.start() for _ in range(n)]
    create = time.perf_counter() - t0
    time.sleep(0.2)
    per_task = (memory() - before) / n
    t1 = time.perf_counter()
    for ref in refs:
        ref.stop(block=False)
    pykka.ActorRegistry.stop_all()
    return {"value": per_task, "unit": "bytes/task", "create_s": create, "wake_all_s": time.perf_counter() - t1}


class Sink(pykka.ThreadingActor):
    def __init__(self, expect, done):
        super().__init__()
        self.left, self.done = expect, done

    def on_receive(self, message):
        self.left -= 1
        if self.left == 0:
            self.done.set()


class Source(pykka.ThreadingActor):
    def on_receive(self, message):
        sink, count = message
        for i in range(count):
            sink.tell(i)


def fan_in(n=400_000, producers=8):
    done = threading.Event()
    sink = Sink.start(n, done)
    sources = [Source.start() for _ in range(producers)]
    t0 = time.perf_counter()
    for s in sources:
        s.tell((sink, n // producers))
    done.wait()
    took = time.perf_counter() - t0
    pykka.ActorRegistry.stop_all()
    return rate(n, took, "msgs/s")


if __name__ == "__main__":
    main({f.__name__: f for f in (spawn, pingpong, ring, idle, fan_in)})
