"""The jobs of the soak: each is one round of something that programs do, checks its result, and leaves nothing behind.

A job is a function of a random.Random; it runs as an actor of any worker.  What it starts ends with it.
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import importlib
import os
import queue
import socket
import sys
import threading
import time

import smarm

PATIENCE = 60.0  # seconds; longer is a hang


def ring(chance):
    """Send a token round a ring of actors on all workers."""
    size, laps = chance.randrange(2, 30), chance.randrange(1, 20)
    first, receive = smarm.channel()
    handles = []
    for _ in range(size):
        send, following = smarm.channel()
        handles.append(smarm.spawn(pass_on, receive, send))
        receive = following
    for lap in range(laps):
        first.send(lap)
        assert receive.recv(PATIENCE) == lap + size
    del first
    smarm.join_all(handles, PATIENCE)


def pass_on(receive, send):
    for token in receive:
        send.send(token + 1)


def mailbox(chance):
    """Exchange nested values with an actor of another worker."""
    handle = smarm.spawn(echo)
    for number in range(chance.randrange(1, 50)):
        value = {"n": number, "text": "x" * chance.randrange(200), "list": [1.5, None, (b"b", {3})]}
        smarm.send(handle.pid, (smarm.self(), value))
        assert smarm.receive(lambda message, value=value: message == value, timeout=PATIENCE) == value
    smarm.send(handle.pid, None)
    handle.join(PATIENCE)


def echo():
    while (message := smarm.receive(timeout=PATIENCE)) is not None:
        sender, value = message
        smarm.send(sender, value)


def killing(chance):
    """Kill actors in the middle of whatever they do; their finally blocks run and their locks come back."""
    lock = smarm.Mutex()
    victims = [smarm.spawn(victim, lock, chance.random()) for _ in range(chance.randrange(1, 10))]
    smarm.sleep(chance.random() * 0.005)
    for handle in victims:
        smarm.kill(handle.pid)
    for handle in victims:
        with contextlib.suppress(smarm.ActorFailed):
            handle.join(PATIENCE)
    with lock.repair(PATIENCE):
        pass


def victim(lock, luck):
    while True:
        if luck < 0.3:
            for _ in range(1000):
                pass
        elif luck < 0.6:
            smarm.sleep(0.001)
        try:
            with lock.hold(PATIENCE):
                if luck > 0.8:
                    smarm.yield_now()
        except smarm.LockPoisoned:
            return


def failing(chance):
    """Fail in an actor that is linked, monitored and joined."""
    handle = smarm.spawn(fail, chance.randrange(100), monitor=True)
    down = smarm.receive(smarm.Down, timeout=PATIENCE)
    assert down.pid == handle.pid
    try:
        handle.join(PATIENCE)
    except smarm.ActorFailed as error:
        assert isinstance(error.__cause__, ValueError)
    else:
        raise AssertionError("it should have failed")


def fail(number):
    try:
        raise KeyError(number)
    except KeyError as error:
        raise ValueError(number) from error


def timers(chance):
    """Wait in all ways, and be woken."""
    refs = [smarm.send_after(chance.random() * 0.01, smarm.self(), ("tick", number)) for number in range(10)]
    cancelled = chance.randrange(10)
    came = 9 if refs[cancelled].cancel() is not None else 10
    for _ in range(came):
        smarm.receive(timeout=PATIENCE)
    with contextlib.suppress(smarm.Timeout):
        smarm.receive(timeout=0.001)
    with contextlib.suppress(smarm.Timeout), smarm.timeout(0.002):
        smarm.sleep(PATIENCE)


def stdlib(chance):
    """Use the standard library's threads and queues between actors of one worker."""
    items: queue.Queue[int] = queue.Queue(3)
    done = threading.Event()
    total = []

    def consume():
        total.append(sum(items.get(timeout=PATIENCE) for _ in range(50)))
        done.set()

    handle = smarm.spawn(consume)
    thread = threading.Thread(target=lambda: [items.put(1, timeout=PATIENCE) for _ in range(25)])
    thread.start()
    for _ in range(25):
        items.put(1, timeout=PATIENCE)
    assert done.wait(PATIENCE)
    thread.join(PATIENCE)
    handle.join(PATIENCE)
    assert total == [50]


def sockets(chance):
    """Talk over a pair of sockets."""
    left, right = socket.socketpair()
    with left, right:

        def serve():
            while data := right.recv(1000):
                right.sendall(data.upper())

        handle = smarm.spawn(serve)
        for _ in range(chance.randrange(1, 20)):
            text = b"x" * chance.randrange(1, 5000)
            left.sendall(text)
            got = b""
            while len(got) < len(text):
                got += left.recv(1000)
            assert got == text.upper()
        left.shutdown(socket.SHUT_WR)
        handle.join(PATIENCE)


def busy(chance):
    """Compute for some slices: without allocations, with them, and deep."""

    def loop():
        end = time.monotonic() + chance.random() * 0.01
        total = 0
        while time.monotonic() < end:
            total += 1
        return [str(number) for number in range(1000)]

    def deep(n):
        return 0 if n == 0 else 1 + deep(n - 1)

    handles = [smarm.spawn(loop), smarm.spawn(lambda: deep(500))]
    assert len(handles[0].join(PATIENCE)) == 1000
    assert handles[1].join(PATIENCE) == 500


class Cycle:
    """Garbage whose finaliser parks now and then."""

    def __init__(self, parks):
        self.me = self
        self.parks = parks

    def __del__(self):
        if self.parks and smarm.worker_index() is not None:  # an actor runs it
            smarm.yield_now()


def garbage(chance):
    """Make garbage in cycles and collect it, beside other actors."""
    for _ in range(100):
        Cycle(chance.random() < 0.02)
    if chance.random() < 0.1:
        gc.collect()


loading = threading.Lock()  # of each interpreter: a module that is forgotten while it loads cannot find itself


def imports(chance):
    """Import a module anew, by several actors at once."""
    name = chance.choice(["colorsys", "bisect", "calendar", "fractions", "html.entities", "shlex", "textwrap"])

    def load():
        importlib.import_module(name)

    with loading:
        sys.modules.pop(name, None)
        smarm.join_all([smarm.spawn(load, on="local") for _ in range(3)], PATIENCE)


variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
local = threading.local()


def state(chance):
    """Keep state of the thread's own while others run."""
    mine = chance.randrange(10**9)
    variable.set(mine)
    local.value = mine
    try:
        raise KeyError(mine)
    except KeyError as error:
        for _ in range(10):
            smarm.yield_now()
            assert variable.get() == mine
            assert local.value == mine
            assert sys.exception() is error


def blocking(chance):
    """Call blocking functions in the pool."""
    reading, writing = os.pipe()
    smarm.send_after(0.001, smarm.self(), "now")
    handle = smarm.spawn(lambda: smarm.block_on_io(os.read, reading, 1, timeout=PATIENCE))
    smarm.receive(timeout=PATIENCE)
    os.write(writing, b"x")
    assert handle.join(PATIENCE) == b"x"
    os.close(reading)
    os.close(writing)


def group(chance):
    """Run children in a TaskGroup of which one may fail."""
    fails = chance.random() < 0.5
    try:
        with smarm.TaskGroup() as tasks:
            for _ in range(5):
                tasks.spawn(smarm.sleep, chance.random() * 0.005)
            if fails:
                tasks.spawn(fail, 1)
    except ExceptionGroup:
        assert fails
    else:
        assert not fails


JOBS = (
    ring, mailbox, killing, failing, timers, stdlib, sockets, busy, garbage, imports, state, blocking, group,
)  # fmt: skip
