"""Random deadlines, exits and kills against every taking and giving call: python -m tests.soak.cancellation MINUTES SEED WORKERS TIME_SLICE

What must hold: what was taken was given, once; what was given is taken or still there; locks are free and descriptors closed; and
every actor ends.  A giver notes a value when its call has returned, a taker notes what it got: neither is far enough from the call
for the patience of a request.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import gc
import logging
import os
import queue
import random
import select as poll
import socket
import sqlite3
import threading
import warnings

import smarm
from smarm import io
from tests.soak.load import Reports, run_from_arguments

PATIENCE = 60.0  # seconds; longer is a hang
ROUNDS = 100  # of a worker between two looks at the clock
VALUES = 12  # that each giver gives
LONGEST = 0.0006  # seconds that a block or an actor gets

logging.getLogger("asyncio").setLevel(
    logging.CRITICAL
)  # a killed loop ends in the middle, and says which tasks it leaves
warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)


class Channel:
    """A channel, and what takes from it."""

    def __init__(self, capacity, take):
        self.sender, self.receiver = smarm.channel(capacity)
        self.take_from = take

    def give(self, value):
        self.sender.send(value)

    def take(self):
        return self.take_from(self.receiver)

    def rest(self):
        while len(self.receiver):
            yield self.receiver.recv(timeout=0)


class Queue:
    """A queue of the standard library."""

    def __init__(self, made):
        self.queue = made

    def give(self, value):
        self.queue.put(value)

    def take(self):
        return self.queue.get()

    def rest(self):
        with contextlib.suppress(queue.Empty):
            while True:
                yield self.queue.get_nowait()


class Bytes:
    """Single bytes through a pair of sockets: a byte is sent or not, taken or not."""

    def __init__(self, send, receive, wait=None):
        self.ends = socket.socketpair()
        self.send, self.receive, self.wait = send, receive, wait

    def give(self, value):
        self.send(self.ends[0], bytes([value]))

    def take(self):
        if self.wait is not None:
            self.wait(self.ends[1])
        return self.receive(self.ends[1])[0]

    def rest(self):
        self.ends[0].close()
        with self.ends[1] as end:
            while data := end.recv(1):
                yield data[0]


class Connections:
    """Connections to a listener: one that was accepted is in somebody's hands, and is closed."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()

    def give(self, value):
        end = socket.socket()
        try:
            end.connect(self.address)
            end.send(bytes([value]))
        except BaseException:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            end.close()
            raise
        return end

    def take(self):
        return self.listener.accept()[0]

    def rest(self):
        self.listener.close()
        return ()


class Locked:
    """A list behind a lock; `hold` gives the block in which the lock is held."""

    def __init__(self, hold, is_free):
        self.hold, self.is_free = hold, is_free
        self.values = collections.deque()

    def give(self, value):
        with self.hold():
            self.values.append(value)

    def take(self):
        with self.hold():
            if self.values:
                return self.values.popleft()
        smarm.sleep(0.0001)
        return None

    def rest(self):
        assert self.is_free(), "a lock was left behind"
        return self.values


class Waited:
    """A list behind threading.Condition, whose takers wait."""

    def __init__(self, lock):
        self.condition = threading.Condition(lock)
        self.values = collections.deque()

    def give(self, value):
        with self.condition:
            self.values.append(value)
            self.condition.notify()

    def take(self):
        with self.condition:
            while not self.values:
                self.condition.wait()
            return self.values.popleft()

    def rest(self):
        assert self.condition.acquire(False), "a condition's lock was left behind"
        self.condition.release()
        return self.values


class Table:
    """A table of a database, in transactions with a point in the middle: one that is cut short there has not been."""

    def __init__(self):
        self.lock = threading.Lock()
        self.database = sqlite3.connect(":memory:", check_same_thread=False)
        self.database.execute("create table place (value integer)")

    def give(self, value):
        with self.lock, self.database:
            self.database.execute("insert into place values (?)", (value,))
            smarm.yield_now()

    def take(self):
        with self.lock, self.database:
            found = self.database.execute("select rowid, value from place limit 1").fetchone()
            if found is not None:
                self.database.execute("delete from place where rowid = ?", found[:1])
            smarm.yield_now()
        return found and found[1]

    def rest(self):
        assert not self.database.in_transaction, "a transaction was left open"
        values = [value for (value,) in self.database.execute("select value from place")]
        self.database.close()
        return values


class Tasks:
    """An asyncio.Queue of 1 between two tasks of an event loop; the loop's actor is what is ended."""

    def __init__(self):
        self.values: collections.deque[int] = collections.deque()

    def run(self, values, given, taken):
        asyncio.run(self.main(values, given, taken))

    async def main(self, values, given, taken):
        places = asyncio.Queue(1)
        takers = [asyncio.ensure_future(self.take_all(places, taken)) for _ in range(2)]
        try:
            while values:
                await places.put(values[-1])
                given.append(values.pop())
                await asyncio.sleep(0.0001 * (len(values) % 2))
            await places.join()
        finally:
            for taker in takers:
                taker.cancel()
            while not places.empty():
                self.values.append(places.get_nowait())

    async def take_all(self, places, taken):
        while True:
            taken.append(await places.get())
            places.task_done()

    def rest(self):
        gc.collect()  # a killed loop leaves tasks in cycles: they give back what they have
        return self.values


def native(lock):
    return Locked(lambda: lock.hold(PATIENCE), lambda: lock.holder is None)


def threads(lock):
    def is_free():
        free = lock.acquire(False)
        if free:
            lock.release()
        return free

    return Locked(lambda: lock, is_free)


def wait_by_poll(end):
    poller = poll.poll()
    poller.register(end, poll.POLLIN)
    poller.poll()


def wait_by_epoll(end):
    with poll.epoll() as poller:
        poller.register(end, poll.EPOLLIN)
        poller.poll()


def recv(receiver):
    return receiver.recv()


def select(receiver):
    return smarm.select(receiver)[1]


def send_all(end, data):
    end.sendall(data)


def read_one(end):
    return end.recv(1)


KINDS = {
    "channel, unbounded": lambda: Channel(None, recv),
    "channel of 1": lambda: Channel(1, recv),
    "rendezvous": lambda: Channel(0, recv),
    "select, unbounded": lambda: Channel(None, select),
    "select of 1": lambda: Channel(1, select),
    "select, rendezvous": lambda: Channel(0, select),
    "SimpleQueue": lambda: Queue(queue.SimpleQueue()),
    "Queue": lambda: Queue(queue.Queue()),
    "Queue of 1": lambda: Queue(queue.Queue(1)),
    "socket": lambda: Bytes(socket.socket.send, read_one),
    "sendall": lambda: Bytes(send_all, read_one),
    "io": lambda: Bytes(lambda end, data: io.write(end, data), lambda end: io.read(end, 1)),
    "select.select": lambda: Bytes(socket.socket.send, read_one, lambda end: poll.select([end], [], [])),
    "poll": lambda: Bytes(socket.socket.send, read_one, wait_by_poll),
    "epoll": lambda: Bytes(socket.socket.send, read_one, wait_by_epoll),
    "accept": Connections,
    "Mutex": lambda: native(smarm.Mutex()),
    "Lock": lambda: threads(threading.Lock()),
    "RLock": lambda: threads(threading.RLock()),
    "Semaphore": lambda: threads(threading.Semaphore()),
    "Condition": lambda: Waited(threading.Lock()),
    "Condition of an RLock": lambda: Waited(threading.RLock()),
    "sqlite3": Table,
    "asyncio": Tasks,
}


def give_all(place, values, given, chance):
    """Give every value, again after each deadline; note each one."""
    while values:
        with contextlib.suppress(smarm.Timeout), smarm.timeout(chance.random() * LONGEST):
            while values:
                kept = place.give(values[-1])
                given.append(values.pop())
                if kept is not None:
                    kept.close()


def take_all(place, taken, chance):
    """Take until somebody ends this actor."""
    while True:
        with contextlib.suppress(smarm.Timeout), smarm.timeout(chance.random() * LONGEST):
            while True:
                value = place.take()
                if value is not None:
                    taken.append(value)


def run_tasks(place, values, given, taken, chance):
    """The same for both sides at once."""
    while values:
        with contextlib.suppress(smarm.Timeout), smarm.timeout(chance.random() * 10 * LONGEST):
            place.run(values, given, taken)


def beside(function):
    return smarm.spawn(lambda: function(), on="local")


def one_round(kind, chance):
    """Return what was given and taken, each with its number of times, of givers and takers that are ended at random."""
    place = KINDS[kind]()
    given, taken = [], []
    work = [list(range(n * VALUES, (n + 1) * VALUES)) for n in range(2)]
    while any(work):
        # Closures: they share the lists, where arguments would be copied.
        if kind == "asyncio":
            givers = [
                beside(functools.partial(run_tasks, place, values, given, taken, chance)) for values in work if values
            ]
            takers = []
        else:
            givers = [beside(functools.partial(give_all, place, values, given, chance)) for values in work if values]
            takers = [beside(functools.partial(take_all, place, taken, chance)) for _ in range(2)]
        smarm.sleep(chance.random() * 0.003)
        for handle in givers + takers:
            handle.observe()
            end = smarm.kill if chance.random() < 0.5 else lambda pid: smarm.exit(pid, "enough")
            end(handle.pid)
        for handle in givers + takers:
            with contextlib.suppress(smarm.ActorKilled, smarm.ActorFailed):
                handle.join(timeout=PATIENCE)
    if kind == "accept":
        for end in taken:
            end.close()
        place.rest()
        return {}, {}
    taken += place.rest()
    return collections.Counter(given), collections.Counter(taken)


def rounds(count, seed, alone=False):
    """Run so many rounds of all kinds and return what was wrong, as text: empty when all is well.

    alone: nobody else in the process opens and closes descriptors.
    """
    chance = random.Random(seed)
    wrong = []
    for kind in KINDS:  # what is made once, as modules and pools, is no leak
        one_round(kind, chance)
    descriptors = len(os.listdir("/proc/self/fd"))
    for number in range(count):
        kind = chance.choice(list(KINDS))
        try:
            given, taken = one_round(kind, chance)
        except Exception as error:
            wrong.append(f"round {number}, {kind}: {error!r}")
            continue
        if given != taken:
            lost, doubled = dict(given - taken), dict(taken - given)
            wrong.append(f"round {number}, {kind}: lost {lost}, more than given {doubled}")
    left = len(os.listdir("/proc/self/fd")) - descriptors
    if left > 0 and alone:
        wrong.append(f"{left} descriptors left open")
    return "\n".join(wrong)


def main(seconds, seed, workers):
    """Have every worker do rounds until the time is over, and print a line of JSON every few seconds."""
    reports = Reports()
    chance = random.Random(seed)
    jobs = 0
    while reports.seconds() < seconds:
        lanes = [smarm.spawn(rounds, ROUNDS, chance.randrange(2**32), on=index) for index in range(workers)]
        for wrong in smarm.join_all(lanes, 2 * PATIENCE):
            assert not wrong, wrong
        jobs += ROUNDS * workers
        reports.write_if_due(jobs)
    reports.write(jobs)


if __name__ == "__main__":
    run_from_arguments(main)
