"""When what is requested of an actor is delivered: at points, or after its patience, and nothing is lost by it."""

import asyncio
import math
import os
import queue
import select
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time

import in_workers
import pytest

import smarm
from smarm import io, testing
from tests.soak import cancellation

PATIENCE = 10.0  # seconds; longer is a hang


# A killed event loop ends in the middle.
UNFINISHED = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore:unclosed :ResourceWarning"
)


@UNFINISHED
@pytest.mark.parametrize("workers", [1, 2])
def test_random_deadlines_and_kills_lose_and_double_nothing(workers):
    assert smarm.run(cancellation.rounds, 1000, 0xC0FFEE + workers, True, workers=workers) == ""


@UNFINISHED
@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_a_hundred_thousand_rounds(part):
    assert smarm.run(cancellation.rounds, 5000, part, True, workers=1) == ""


# ---- on entering a call that may wait, also when it would not ------------------------------------------------------------


def full_channel():
    sender, receiver = smarm.channel(2)
    sender.send("value")
    return sender, receiver


def points():
    sender, receiver = full_channel()
    items = queue.SimpleQueue()
    items.put("value")
    waited = queue.Queue()
    waited.put("value")
    event = smarm.Event()
    event.set()
    ended = smarm.spawn(int, on="local")
    ended.join()
    lock, mutex, semaphore = threading.Lock(), smarm.Mutex(), threading.Semaphore()
    smarm.send(smarm.self(), "value")
    return {
        "Receiver.recv": receiver.recv,
        "Receiver.recv(timeout=0)": lambda: receiver.recv(timeout=0),
        "next(Receiver)": lambda: next(receiver),
        "Sender.send": lambda: sender.send("more"),
        "select": lambda: smarm.select(receiver),
        "receive": smarm.receive,
        "call": lambda: smarm.call(smarm.self(), "request"),
        "join": ended.join,
        "join_all": lambda: smarm.join_all([ended]),
        "sleep(0)": lambda: smarm.sleep(0),
        "time.sleep(0)": lambda: time.sleep(0),
        "yield_now": smarm.yield_now,
        "check": smarm.check,
        "block_on_io": lambda: smarm.block_on_io(int),
        "Event.wait": lambda: event.wait(1),
        "Mutex.acquire": lambda: mutex.acquire(1),
        "Mutex.hold": lambda: mutex.hold(1).__enter__(),
        "Lock.acquire": lock.acquire,
        "Lock.acquire(timeout=0)": lambda: lock.acquire(timeout=0),
        "with Lock": lambda: lock.__enter__(),
        "Semaphore.acquire": semaphore.acquire,
        "SimpleQueue.get": items.get,
        "Queue.get": waited.get,
        "Queue.put": lambda: waited.put("more"),
    }


def library_points(folder):
    """What of the standard library and of smarm.io waits for descriptors, threads, other processes and names; each need not wait."""
    ends = socket.socketpair()
    for end in ends:
        end.sendall(b"value" * 100)
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.sendto(b"value", datagrams.getsockname())
    poll, epoll, selector = select.poll(), select.epoll(), selectors.DefaultSelector()
    poll.register(ends[0], select.POLLIN)
    epoll.register(ends[0], select.EPOLLIN)
    selector.register(ends[0], selectors.EVENT_READ)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    ended = threading.Event()
    ended.set()
    condition, barrier = threading.Condition(), threading.Barrier(1)
    condition.acquire()
    tls = tls_pair(folder)
    space = bytearray(10)
    (folder / "file").write_bytes(b"value")
    file = open(folder / "file", "rb")  # noqa: SIM115
    calls = {
        "socket.recv": lambda: ends[0].recv(1),
        "socket.recv_into": lambda: ends[0].recv_into(space),
        "socket.recvfrom": lambda: datagrams.recvfrom(1),
        "socket.recvfrom_into": lambda: datagrams.recvfrom_into(space),
        "socket.recvmsg": lambda: ends[0].recvmsg(1),
        "socket.recvmsg_into": lambda: ends[0].recvmsg_into([space]),
        "socket.recv(MSG_WAITALL)": lambda: ends[0].recv(2, socket.MSG_WAITALL),
        "socket.send": lambda: ends[0].send(b"more"),
        "socket.sendall": lambda: ends[0].sendall(b"more"),
        "socket.sendto": lambda: datagrams.sendto(b"more", datagrams.getsockname()),
        "socket.sendmsg": lambda: ends[0].sendmsg([b"more"]),
        "socket.sendfile": lambda: ends[0].sendfile(file),
        "os.sendfile": lambda: os.sendfile(ends[0].fileno(), file.fileno(), 0, 1),
        "socket.accept": listener.accept,
        "socket.connect": lambda: closed_after("connect", listener),
        "socket.connect_ex": lambda: closed_after("connect_ex", listener),
        "getaddrinfo": lambda: socket.getaddrinfo("localhost", 1),
        "gethostbyname": lambda: socket.gethostbyname("localhost"),
        "gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
        "getnameinfo": lambda: socket.getnameinfo(("127.0.0.1", 1), 0),
        "select": lambda: select.select(ends, (), ()),
        "select(timeout=0)": lambda: select.select((), (), (), 0),
        "poll": poll.poll,
        "poll(0)": lambda: poll.poll(0),
        "epoll": epoll.poll,
        "epoll(0)": lambda: epoll.poll(0),
        "selectors": selector.select,
        "selectors(0)": lambda: selector.select(0),
        "SSLSocket.recv": lambda: tls[0].recv(1),
        "SSLSocket.read": lambda: tls[0].read(1),
        "SSLSocket.recv_into": lambda: tls[0].recv_into(space),
        "SSLSocket.send": lambda: tls[0].send(b"more"),
        "SSLSocket.write": lambda: tls[0].write(b"more"),
        "SSLSocket.sendall": lambda: tls[0].sendall(b"more"),
        "SSLSocket.do_handshake": lambda: tls[0].do_handshake(),
        "Thread.join": thread.join,
        "Thread.join(0)": lambda: thread.join(0),
        "threading.Event.wait": lambda: ended.wait(1),
        "Condition.wait(0)": lambda: condition.wait(0),
        "Barrier.wait": barrier.wait,
        "RLock.acquire": lambda: threading.RLock().acquire(),
        "subprocess.run": lambda: subprocess.run(["true"], check=True),
        "asyncio.run": lambda: asyncio.run(asyncio.sleep(0)),
        "io.wait_readable": lambda: io.wait_readable(ends[0]),
        "io.wait_writable": lambda: io.wait_writable(ends[0]),
    }
    return calls, [*ends, *tls, listener, client, datagrams, epoll, selector, file]


def closed_after(method, listener):
    with socket.socket() as client:
        getattr(client, method)(listener.getsockname())


def tls_pair(folder):
    """A connected pair of ssl sockets, with something to read for each."""
    key = str(folder / "key.pem")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            key,
            "-out",
            key + "2",
            "-days",
            "2",
            "-subj",
            "/CN=x",
        ],
        check=True,
        capture_output=True,
    )
    server, client = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    server.load_cert_chain(key + "2", key)
    ends = socket.socketpair()
    pair = []
    accepted = smarm.spawn(lambda: pair.append(server.wrap_socket(ends[0], server_side=True)), on="local")
    pair.append(client.wrap_socket(ends[1]))
    accepted.join()
    for end in pair:
        end.sendall(b"value" * 100)
    return pair


def no_points():
    sender, receiver = smarm.channel()
    items = queue.SimpleQueue()
    lock, mutex, semaphore, event = threading.Lock(), smarm.Mutex(), threading.Semaphore(), threading.Event()
    me = smarm.self()
    return {
        "Sender.send, unbounded": lambda: receiver and sender.send("value"),
        "send": lambda: smarm.send(me, "value"),
        "SimpleQueue.put": lambda: items.put("value"),
        "SimpleQueue.get_nowait": items.get_nowait,
        "SimpleQueue.get(False)": lambda: items.put("value") or items.get(False),
        "Lock.acquire(False)": lambda: lock.acquire(False),
        "Lock.release": lambda: lock.release() if lock.locked() else None,
        "Semaphore.release": semaphore.release,
        "Event.set": event.set,
        "Mutex.holder": lambda: mutex.holder,
        "self": smarm.self,
        "spawn": lambda: smarm.spawn(int, on="local"),
    }


def test_every_call_that_may_wait_begins_with_a_point(alone):
    def main():
        for name in points():
            ready = points()[name]
            with pytest.raises(smarm.Timeout), smarm.timeout(0, interrupt_after=None):  # noqa: PT012
                with smarm.shield():
                    smarm.sleep(0.001)  # the deadline passes, and cannot be told here
                ready()
                pytest.fail(f"{name} is no point")

    alone(main)


def test_every_call_of_the_library_that_may_wait_begins_with_a_point(alone, tmp_path):
    def main():
        missing = []
        calls, opened = library_points(tmp_path)
        for name, ready in calls.items():
            try:
                with smarm.timeout(0, interrupt_after=None):
                    with smarm.shield():
                        smarm.sleep(0.001)
                    ready()
                    missing.append(name)
            except smarm.Timeout:
                pass
        for each in opened:
            each.close()
        assert " ".join(missing) == ""

    alone(main)


def test_calls_that_cannot_wait_are_no_points(alone):
    def main():
        calls = no_points()
        with pytest.raises(smarm.Timeout), smarm.timeout(0, interrupt_after=None) as scope:  # noqa: PT012
            with smarm.shield():
                smarm.sleep(0.001)
            assert scope.expired
            for call in calls.values():
                call()
            smarm.sleep(0)
            pytest.fail("sleep is a point")

    alone(main)


# ---- an actor that computes ----------------------------------------------------------------------------------------------


def compute(seconds):
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
    return number


@pytest.mark.parametrize("ask", [smarm.kill, lambda pid, **how: smarm.exit(pid, "enough", **how)])
def test_an_actor_that_computes_is_interrupted_after_the_patience(alone, ask):
    def main():
        handle = smarm.spawn(compute, PATIENCE, on="local")
        smarm.sleep(0.01)
        ask(handle.pid, interrupt_after=0.05)
        with pytest.raises((smarm.ActorKilled, smarm.ActorFailed)):
            handle.join(timeout=PATIENCE / 2)

    alone(main)


def test_without_patience_it_computes_to_its_end(alone):
    def main():
        handle = smarm.spawn(compute, 0.3, on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=None)
        assert handle.join(timeout=PATIENCE) > 0

    alone(main)


@pytest.mark.parametrize("options", [{"interrupt_after": None}, {"interrupt_after": "none"}])
def test_the_run_says_what_is_not_said(alone, options):
    def main():
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001) as scope:  # noqa: PT012
            assert compute(0.3)
            assert scope.expired
            smarm.sleep(0)

    alone(main, **options)


def test_a_block_is_interrupted_after_its_patience(alone):
    def main():
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001, interrupt_after=0):  # noqa: PT012
            compute(PATIENCE)
            pytest.fail("it was not interrupted")

    alone(main)


def test_a_group_gives_its_patience_to_its_children(alone):
    def main():
        with smarm.TaskGroup(interrupt_after=None) as group:
            handle = group.spawn(compute, 0.3, on="local")
            smarm.sleep(0.01)
            group.cancel()
        assert handle.join() > 0
        with smarm.TaskGroup(interrupt_after=0) as group:
            handle = group.spawn(compute, PATIENCE, on="local")
            smarm.sleep(0.01)
            group.cancel()
        with pytest.raises(smarm.ActorKilled):
            handle.join()

    alone(main)


@pytest.mark.parametrize("wrong", [-1, math.nan])
def test_a_patience_that_is_none_is_refused(alone, wrong):
    def main():
        for call in (
            lambda: smarm.timeout(1, interrupt_after=wrong),
            lambda: smarm.TaskGroup(interrupt_after=wrong),
            lambda: smarm.kill(smarm.self(), interrupt_after=wrong),
            lambda: smarm.exit(smarm.self(), "enough", interrupt_after=wrong),
        ):
            with pytest.raises(ValueError, match="0 or more seconds"):
                call()
        with pytest.raises(TypeError, match="number of seconds"):
            smarm.timeout(1, interrupt_after="soon")
        with pytest.raises(TypeError, match="unexpected keyword"):
            smarm.kill(smarm.self(), after=1)

    alone(main)


# ---- no_preempt, shield ----------------------------------------------------------------------------------------------------


def test_computing_under_no_preempt_is_not_interrupted_and_its_waits_are_points(alone):
    def main():
        reached = []

        def work():
            with smarm.no_preempt():
                compute(0.2)
                reached.append("computed")
                smarm.sleep(PATIENCE)

        handle = smarm.spawn(lambda: work(), on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=0)
        with pytest.raises(smarm.ActorKilled):
            handle.join(timeout=PATIENCE / 2)
        assert reached == ["computed"]

    alone(main)


@pytest.mark.parametrize("how", ["kill", "exit", "deadline"])
def test_computing_without_end_under_no_preempt_is_interrupted_after_kill_patience(how):
    def main():
        handle = smarm.spawn(in_workers.compute_unpreempted, smarm.self(), 0.01 if how == "deadline" else None, on=1)
        assert smarm.receive(timeout=PATIENCE) == "computing"
        if how != "deadline":
            smarm.kill(handle.pid) if how == "kill" else smarm.exit(handle.pid, "enough")
        with pytest.raises((smarm.ActorKilled, smarm.ActorFailed)):
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=2, kill_patience=0.1)


def test_nothing_is_delivered_behind_a_shield_until_its_end(alone):
    def main():
        reached = []

        def work():
            with smarm.shield():
                compute(0.2)
                smarm.sleep(0.01)
                reached.append("shielded")
            reached.append("after")

        handle = smarm.spawn(lambda: work(), on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=0)
        with pytest.raises(smarm.ActorKilled):
            handle.join(timeout=PATIENCE)
        assert reached == ["shielded"]

    alone(main)


BEHIND_A_SHIELD = """
import smarm

def stubborn():
    with smarm.shield():
        smarm.sleep(60)

def main():
    smarm.spawn(stubborn, on="local")
    smarm.sleep(0.01)

smarm.run(main, workers=1, shutdown_timeout=0.2)
"""


def test_a_shield_is_bounded_by_the_end_of_the_run():
    ended = subprocess.run(
        [sys.executable, "-c", BEHIND_A_SHIELD], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "gave up 1 actor" in ended.stderr


def test_a_killed_actor_that_computes_on_is_interrupted_again():
    def stubborn(told):
        for _ in range(2):
            try:
                compute(PATIENCE)
            except smarm.ActorExit:
                told.append(time.monotonic())

    def main():
        told = []
        handle = smarm.spawn(lambda: stubborn(told), on="local")
        smarm.sleep(0.01)
        smarm.kill(handle.pid, interrupt_after=0)
        handle.observe()
        handle.join(timeout=PATIENCE)
        assert len(told) == 2

    smarm.run(main, workers=1, kill_patience=0.1)


# ---- in a simulation -------------------------------------------------------------------------------------------------------


def loses_a_value():
    """A taker that notes what it got some instructions later: an interruption between the two loses it."""
    sender, receiver = smarm.channel()
    taken = []

    def take():
        while True:
            value = receiver.recv()
            for _ in range(20):
                pass
            taken.append(value)

    taker = smarm.spawn(lambda: take(), on="local")
    sender.send("value")
    smarm.yield_now()
    taker.observe()
    smarm.kill(taker.pid)
    with pytest.raises(smarm.ActorKilled):
        taker.join()
    assert len(taken) + len(receiver) == 1, "the value is lost"


def test_every_interrupt_of_a_simulation_finds_what_one_seed_may_not():
    with pytest.raises(testing.SeedFailed, match="interrupt_point="):
        testing.explore(loses_a_value, seeds=range(20), every_interrupt=True)


def test_a_simulation_that_interrupts_nobody_is_run_once():
    runs = []

    def main():
        runs.append(None)
        handle = smarm.spawn(smarm.sleep, 10, on="local")
        smarm.yield_now()
        smarm.kill(handle.pid)
        handle.observe()

    testing.explore(main, seeds=[1, 2], every_interrupt=True)
    assert len(runs) >= 2


@pytest.mark.parametrize("wrong", [-1, 2**64 - 1, 1.5])
def test_an_interrupt_point_is_a_whole_number(wrong):
    with pytest.raises(ValueError, match="interrupt_point is a whole number"):
        testing.simulate(int, seed=1, interrupt_point=wrong)
