"""The table of points in docs/explanation/signals.md, call by call: where exits, kills and deadlines land, and where they do not.

Each function below is one line of that table: a generator that yields a call which has to wait, then makes that it need not
and yields what the call returns now; what stands behind that is what must hold when the call has returned.
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import queue
import select
import selectors
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from unittest.mock import ANY

import pytest

import smarm
from smarm import io, net

PATIENCE = 20.0  # seconds; longer is a hang
SLICE = 0.0005  # seconds: an actor that computes lets others run
SOON = 0.003  # seconds of a deadline that passes while an actor waits
LOCAL = ("127.0.0.1", 0)
VALUE = b"value"
MUCH = bytes(1 << 20)  # more than there is room for in any pipe or socket here

POINTS = {}


def point(name, *arguments):
    def add(function):
        POINTS[name] = functools.partial(function, *arguments)
        return function

    return add


# ---- smarm's own ------------------------------------------------------------------------------------------------------------


@point("receive")
def receive():
    full = []

    def call():
        if full:
            smarm.send(smarm.self(), "value")
        try:
            return smarm.receive()
        except BaseException:
            assert smarm.message_count() == len(full)
            raise

    yield call
    full.append(True)
    yield "value"


@point("call")
def call_a_server():
    answers, made = smarm.Event(), []

    def serve():
        while True:
            call = smarm.receive(smarm.Call)
            made.append(call.request)
            if answers.is_set():
                smarm.reply(call, "value")

    server = beside(serve)
    yield lambda: smarm.call(server.pid, "request", timeout=None)
    answers.set()
    made.clear()
    yield "value"
    assert made == ["request"], "a call that was cut at its beginning was made"
    end(server)


@point("Receiver.recv, unbounded", None, lambda receiver: receiver.recv())
@point("Receiver.recv, of 1", 1, lambda receiver: receiver.recv())
@point("for value in Receiver", None, next)
@point("select", None, lambda receiver: smarm.select(receiver)[1])
def take_from_a_channel(capacity, take):
    sender, receiver = smarm.channel(capacity)
    yield lambda: take(receiver)
    sender.send("value")
    yield "value"
    assert len(receiver) == 0


@point("Receiver.recv, rendezvous")
def take_at_a_rendezvous():
    sender, receiver = smarm.channel(0)
    yield receiver.recv
    giver = beside(lambda: sender.send("value"))
    wait_until_parked(giver)
    yield "value"
    giver.join(timeout=PATIENCE)


@point("Sender.send")
def give_to_a_full_channel():
    sender, receiver = smarm.channel(1)
    sender.send("first")
    yield lambda: sender.send("second")
    assert receiver.recv() == "first"
    yield None
    assert receiver.recv() == "second"
    assert len(receiver) == 0


@point("Sender.send, rendezvous")
def give_at_a_rendezvous():
    sender, receiver = smarm.channel(0)
    taken = []
    yield lambda: sender.send("value")
    taker = beside(lambda: taken.append(receiver.recv()))
    wait_until_parked(taker)
    yield None
    taker.join(timeout=PATIENCE)
    assert taken == ["value"]


@point("join", lambda handle: handle.join())
@point("join_all", lambda handle: smarm.join_all([handle])[0])
def wait_for_an_end(join):
    event = smarm.Event()
    handle = beside(lambda: event.wait(PATIENCE) or "value")
    wait_until_parked(handle)
    yield lambda: join(handle)
    event.set()
    wait_until(lambda: smarm.process_info(handle.pid) is None)
    yield "value"


@point("TaskGroup")
def wait_for_a_group():
    event = smarm.Event()

    def call():
        with smarm.TaskGroup() as group:
            group.spawn(lambda: event.wait(PATIENCE), on="local")

    yield call
    event.set()
    yield None


@point("sleep", smarm.sleep)
@point("time.sleep", time.sleep)
def let_time_pass(sleep):
    seconds = [PATIENCE]
    yield lambda: sleep(seconds[0])
    seconds[0] = 0
    yield None


@point("block_on_io")
def wait_for_the_pool():
    event = threading.Event()
    yield lambda: smarm.block_on_io(event.wait, PATIENCE)
    event.set()
    yield True


@point("getaddrinfo", lambda: socket.getaddrinfo("localhost", 1))
@point("gethostbyname", lambda: socket.gethostbyname("localhost"))
@point("getnameinfo", lambda: socket.getnameinfo(("127.0.0.1", 1), 0))
def look_up_a_name(look_up):
    event = threading.Event()
    busy = [beside(lambda: smarm.block_on_io(event.wait, PATIENCE)) for _ in range(32)]  # all threads of the pool
    for handle in busy:
        wait_until_parked(handle)
    yield look_up
    event.set()
    smarm.join_all(busy, PATIENCE)
    yield ANY


# ---- locks and what is built on them ------------------------------------------------------------------------------------------


def hold_and_leave(lock):
    with lock:
        return "held"


@point("Mutex.acquire", smarm.Mutex, lambda lock: lock.acquire(PATIENCE) or lock.release() or "held")
@point("Mutex.hold", smarm.Mutex, lambda lock: hold_and_leave(lock.hold(PATIENCE)))
@point("Semaphore.acquire", lambda: smarm.Semaphore(1), lambda it: it.acquire(PATIENCE) or it.release() or "held")
@point("Semaphore.hold", lambda: smarm.Semaphore(1), lambda it: hold_and_leave(it.hold(PATIENCE)))
@point("threading.Lock", threading.Lock, hold_and_leave)
@point("threading.RLock", threading.RLock, hold_and_leave)
@point(
    "threading.Lock, with a timeout",
    threading.Lock,
    lambda it: (it.acquire(timeout=PATIENCE) and it.release()) or "held",
)
@point(
    "threading.RLock, with a timeout",
    threading.RLock,
    lambda it: (it.acquire(timeout=PATIENCE) and it.release()) or "held",
)
@point("threading.Condition, its lock", threading.Condition, hold_and_leave)
@point("threading.Semaphore", threading.Semaphore, hold_and_leave)
@point("threading.BoundedSemaphore", threading.BoundedSemaphore, hold_and_leave)
def take_a_lock(make, take):
    lock = make()
    lock.acquire(PATIENCE) if type(lock).__module__.startswith("smarm") else lock.acquire()
    yield lambda: take(lock)
    lock.release()
    yield "held"
    assert beside_returns(lambda: take(lock)) == "held", "it was left behind"


@point("Event.wait", smarm.Event, None)
@point("threading.Event.wait", threading.Event, True)
def wait_for_an_event(make, returned):
    event = make()
    yield lambda: event.wait(PATIENCE)
    event.set()
    yield returned


@point("Condition.wait_for")
def wait_for_a_condition():
    mutex = smarm.Mutex()
    condition, values = smarm.Condition(mutex), []

    def call():
        with mutex.repair(PATIENCE):  # who is ended in such a block leaves it poisoned
            return condition.wait_for(lambda: "true" if values else "", PATIENCE)

    yield call
    assert mutex.holder is None
    values.append("value")
    yield "true"
    assert mutex.holder is None


@point("threading.Condition.wait", threading.Lock)
@point("threading.Condition.wait, of an RLock", threading.RLock)
def wait_for_a_notification(make):
    lock = make()
    condition, timeout = threading.Condition(lock), [None]

    def call():
        with lock:
            return condition.wait(timeout[0])

    yield call
    assert lock.acquire(False), "the condition's lock was left behind"
    lock.release()
    timeout[0] = 0
    yield False
    assert lock.acquire(False), "the condition's lock was left behind"
    lock.release()


@point("Barrier.wait")
def wait_for_everybody():
    barrier = smarm.Barrier(2)
    yield lambda: barrier.wait(PATIENCE)
    assert barrier.waiting == 0
    other = beside(lambda: barrier.wait(PATIENCE))
    wait_until_parked(other)
    yield ANY
    other.join(timeout=PATIENCE)


@point("threading.Barrier.wait")
def wait_for_every_thread():
    barriers = [threading.Barrier(2)]

    def call():
        barriers[0].reset()
        return barriers[0].wait()

    yield call
    barriers[0] = threading.Barrier(1)
    yield 0


@point("Once.run")
def wait_for_the_first():
    once, event, ran = smarm.Once(), smarm.Event(), []
    first = beside(lambda: once.run(lambda: event.wait(PATIENCE), PATIENCE))
    wait_until_parked(first)
    yield lambda: once.run(lambda: ran.append(1), PATIENCE)
    event.set()
    first.join(timeout=PATIENCE)
    yield False
    assert ran == []


@point("Thread.join")
def wait_for_a_thread():
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    yield thread.join
    event.set()
    wait_until(lambda: not thread.is_alive())
    yield None


@point("SimpleQueue.get", queue.SimpleQueue)
@point("Queue.get", queue.Queue)
@point("LifoQueue.get", queue.LifoQueue)
@point("PriorityQueue.get", queue.PriorityQueue)
def take_from_a_queue(make):
    items = make()
    yield items.get
    items.put("value")
    yield "value"
    assert items.empty()


@point("Queue.get, with a timeout", queue.Queue)
@point("SimpleQueue.get, with a timeout", queue.SimpleQueue)
def take_from_a_queue_in_time(make):
    items = make()
    yield lambda: items.get(timeout=PATIENCE)
    items.put("value")
    yield "value"
    assert items.empty()


@point("Queue.put")
def give_to_a_full_queue():
    items = queue.Queue(1)
    items.put("first")
    yield lambda: items.put("second")
    assert items.get() == "first"
    yield None
    assert items.get_nowait() == "second"
    assert items.empty()


@point("Queue.join")
def wait_for_all_tasks():
    items = queue.Queue()
    items.put("value")
    yield items.join
    items.get()
    items.task_done()
    yield None


@point("Future.result", lambda future: future.result())
@point("Future.result, with a timeout", lambda future: future.result(PATIENCE))
@point("Future.exception", lambda future: future.exception() or future.result())
@point("concurrent.futures.wait", lambda future: all_of(concurrent.futures.wait, future))
@point("concurrent.futures.as_completed", lambda future: all_of(concurrent.futures.as_completed, future))
def wait_for_a_future(wait):
    future = concurrent.futures.Future()
    yield lambda: wait(future)
    assert not future.done()
    assert (
        beside_returns(lambda: future._condition.acquire(False) and (future._condition.release() or "free")) == "free"
    )
    future.set_result("value")
    yield ANY


def all_of(wait, future):
    """With others, of which one has not ended and one has: their locks are all taken at the beginning."""
    others = [concurrent.futures.Future() for _ in range(3)]
    for each in others:
        each.set_result(None)
    return list(wait([*others[:2], future, others[2]]))


@point("Executor.shutdown")
def wait_for_an_executor():
    event = threading.Event()
    executor = concurrent.futures.ThreadPoolExecutor(1)
    work = executor.submit(event.wait)
    yield executor.shutdown
    event.set()
    work.result()
    yield None


@point("asyncio.run")
def run_a_loop():
    seconds = [PATIENCE]

    async def main():
        await asyncio.sleep(seconds[0])
        return "value"

    def call():
        with contextlib.closing(main()) as coroutine:  # which may not have begun
            return asyncio.run(coroutine)

    yield call
    seconds[0] = 0
    yield "value"


# ---- sockets ------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def connected():
    """Two connected sockets that are closed at the end, with little room between them."""
    ends = socket.socketpair()
    ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    with ends[0], ends[1]:
        yield ends


def fill(descriptor):
    """Write until there is no room."""
    os.set_blocking(descriptor, False)
    for piece in (b"x" * 4096, b"x"):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(descriptor, piece)
    os.set_blocking(descriptor, True)


def drain(descriptor):
    """Read what is there; return it."""
    os.set_blocking(descriptor, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while more := os.read(descriptor, 1 << 16):
            data += more
    os.set_blocking(descriptor, True)
    return data


def into(read):
    """What a call that reads into a buffer has read."""
    space = bytearray(len(VALUE))
    read(space)
    return bytes(space)


def polled(end):
    poller = select.poll()
    poller.register(end, select.POLLIN)
    return poller.poll() and VALUE


def epolled(end):
    with select.epoll() as poller:
        poller.register(end, select.EPOLLIN)
        return poller.poll() and VALUE


def selected(end):
    with selectors.DefaultSelector() as selector:
        selector.register(end, selectors.EVENT_READ)
        return selector.select() and VALUE


READS = {
    "socket.recv": lambda end: end.recv(9),
    "socket.recv(MSG_WAITALL)": lambda end: end.recv(5, socket.MSG_WAITALL),
    "socket.recv_into": lambda end: into(end.recv_into),
    "socket.recvfrom": lambda end: end.recvfrom(9)[0],
    "socket.recvfrom_into": lambda end: into(end.recvfrom_into),
    "socket.recvmsg": lambda end: end.recvmsg(9)[0],
    "socket.recvmsg_into": lambda end: into(lambda space: end.recvmsg_into([space])),
    "io.read of a socket": lambda end: io.read(end, 9),
}
WAITS = {
    "select.select": lambda end: select.select([end], [], []) and VALUE,
    "poll": polled,
    "epoll": epolled,
    "selectors": selected,
    "io.wait_readable": lambda end: io.wait_readable(end) or VALUE,
}


def read_from_a_socket(read, stays):
    with connected() as (end, other):
        yield lambda: read(end)
        assert end.gettimeout() is None
        other.send(VALUE)
        yield VALUE
        assert drain(end.fileno()) == (VALUE if stays else b"")


for name, read in (READS | WAITS).items():
    point(name, read, name in WAITS)(read_from_a_socket)


def send_file(end):
    with tempfile.TemporaryFile() as file:
        file.write(VALUE)
        file.seek(0)
        end.sendfile(file)


def send_file_of_the_system(end):
    with tempfile.TemporaryFile() as file:
        file.write(VALUE)
        file.flush()
        os.sendfile(end.fileno(), file.fileno(), 0, len(VALUE))


@point("socket.send", lambda end: end.send(VALUE), VALUE)
@point("socket.sendall", lambda end: end.sendall(VALUE), VALUE)
@point("socket.sendmsg", lambda end: end.sendmsg([VALUE]), VALUE)
@point("socket.sendfile", send_file, VALUE)
@point("os.sendfile", send_file_of_the_system, VALUE)
@point("io.write to a socket", lambda end: io.write(end, VALUE), VALUE)
@point("io.wait_writable", io.wait_writable, b"")
@point("select.select, to write", lambda end: select.select([], [end], []), b"")
def write_to_a_full_socket(write, written):
    with connected() as (end, other):
        fill(end.fileno())
        yield lambda: write(end)
        assert set(drain(other.fileno())) == set(b"x")
        yield ANY
        assert drain(other.fileno()) == written, "what was cut at its beginning had begun"


@point("socket.sendall, much")
def send_much():
    with connected() as (end, other):
        yield lambda: end.sendall(MUCH)
        drainer = beside(lambda: drain_to_the_end(other))
        yield None
        end.close()
        drainer.join(timeout=PATIENCE)


def drain_to_the_end(other):
    while other.recv(1 << 16):
        pass


@point("socket.sendto")
def send_a_datagram():
    end, other = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder, end, other:
        other.bind(f"{folder}/socket")
        end.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                end.sendto(b"x", other.getsockname())
        end.setblocking(True)
        yield lambda: end.sendto(VALUE, other.getsockname())
        drain(other.fileno())
        yield len(VALUE)
        assert drain(other.fileno()) == VALUE


@point("socket.accept")
def accept():
    with socket.create_server(LOCAL) as listener:
        yield lambda: listener.accept()[0].close()
        with socket.create_connection(listener.getsockname()):
            yield None
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()


@point("socket.connect", socket.socket.connect, None)
@point("socket.connect_ex", socket.socket.connect_ex, 0)
def connect(method, returned):
    with socket.create_server(LOCAL, backlog=0) as full, socket.create_server(LOCAL) as free:
        addresses = [full.getsockname()]

        def call():
            with socket.socket() as client:
                return method(client, addresses[-1])

        with socket.create_connection(full.getsockname()):
            yield call
            addresses.append(free.getsockname())
            yield returned
            free.accept()[0].close()
            free.setblocking(False)
            with pytest.raises(BlockingIOError):
                free.accept()


@point("socket.makefile, read", lambda file: file.read(len(VALUE)))
@point("socket.makefile, readline", lambda file: file.readline())
@point("socket.makefile, readinto", lambda file: into(file.readinto))
def read_from_a_file_of_a_socket(read):
    with connected() as (end, other), end.makefile("rb") as file:
        yield lambda: read(file)
        other.send(VALUE[:-1] + b"\n")
        yield VALUE[:-1] + b"\n"
        assert drain(end.fileno()) == b""


@point("socket.makefile, flush")
def write_to_a_file_of_a_socket():
    with connected() as (end, other), end.makefile("wb") as file:
        fill(end.fileno())
        file.write(VALUE)
        yield file.flush
        drain(other.fileno())
        yield None
        assert drain(other.fileno()) == VALUE


@point("io.read of a pipe")
def read_from_a_pipe():
    end, other = os.pipe()
    yield lambda: io.read(end, 9)
    os.write(other, VALUE)
    yield VALUE
    assert os.get_blocking(end)
    os.close(end)
    os.close(other)


@point("io.write to a pipe")
def write_to_a_full_pipe():
    other, end = os.pipe()
    fill(end)
    yield lambda: io.write(end, VALUE)
    drain(other)
    yield ANY
    assert drain(other) == VALUE
    os.close(end)
    os.close(other)


# ---- smarm.net ----------------------------------------------------------------------------------------------------------------


@point("Listener.accept")
def accept_a_connection():
    with net.listen(LOCAL) as listener:
        yield lambda: listener.accept().close()
        with net.connect(listener.address):
            yield None


@point("net.connect")
def connect_a_connection():
    with socket.create_server(LOCAL, backlog=0) as full, socket.create_server(LOCAL) as free:
        addresses = [full.getsockname()]
        with socket.create_connection(full.getsockname()):
            yield lambda: net.connect(addresses[-1]).close()
            addresses.append(free.getsockname())
            yield None
            free.accept()[0].close()


@point("Connection.recv", lambda end: end.recv(9))
@point("Connection.readline", lambda end: end.readline())
@point("Connection.read_exactly", lambda end: end.read_exactly(6))
@point("for line in Connection.lines", lambda end: next(end.lines()))
def receive_from_a_connection(receive):
    with net.listen(LOCAL) as listener, net.connect(listener.address) as end, listener.accept() as other:
        yield lambda: bytes(receive(end)).rstrip(b"\n")
        other.sendall(VALUE + b"\n")
        yield VALUE
        with pytest.raises(smarm.Timeout):
            end.recv(1, timeout=0)


@point("Connection.sendall")
def send_to_a_connection():
    with net.listen(LOCAL) as listener, net.connect(listener.address) as end, listener.accept() as other:
        yield lambda: end.sendall(bytes(1 << 24))
        drainer = beside(lambda: drain_to_the_end(other))
        yield None
        end.close()
        drainer.join(timeout=PATIENCE)


@point("TlsConnection.recv", lambda end: end.recv(9))
@point("TlsConnection.readline", lambda end: end.readline())
def receive_from_a_tls_connection(receive):
    with tls_connections() as (end, other):
        yield lambda: bytes(receive(end)).rstrip(b"\n")
        other.sendall(VALUE + b"\n")
        yield VALUE


@contextlib.contextmanager
def tls_connections():
    server, client = contexts()
    with net.listen(LOCAL) as listener:
        accepted = []
        handle = beside(lambda: accepted.append(net.wrap_tls(listener.accept(), server, server_side=True)))
        with net.connect_tls(listener.address, context=client, server_name="x") as end:
            handle.join(timeout=PATIENCE)
            with accepted[0]:
                yield end, accepted[0]


# ---- ssl ----------------------------------------------------------------------------------------------------------------------


@functools.cache
def contexts():
    """The contexts of a server and of a client that takes any."""
    server, client = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=x -keyout key -out certificate"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
        server.load_cert_chain(f"{folder}/certificate", f"{folder}/key")
    return server, client


@contextlib.contextmanager
def tls():
    """Two ssl sockets that have shaken hands."""
    server, client = contexts()
    with connected() as ends:
        accepted = []
        handle = beside(lambda: accepted.append(server.wrap_socket(ends[1], server_side=True)))
        with client.wrap_socket(ends[0]) as end:
            handle.join(timeout=PATIENCE)
            with accepted[0]:
                accepted[0].sendall(b"first")  # and with it the session's tickets, which are no data
                assert end.recv(9) == b"first"
                yield end, accepted[0]


@point("SSLSocket.recv", lambda end: end.recv(9))
@point("SSLSocket.recv_into", lambda end: into(end.recv_into))
@point("SSLSocket.read", lambda end: end.read(9))
def read_from_tls(read):
    with tls() as (end, other):
        yield lambda: read(end)
        assert end.gettimeout() is None
        other.sendall(VALUE)
        yield VALUE


@point("SSLSocket.send", lambda end: [end.send(MUCH) for _ in range(9)])
@point("SSLSocket.write", lambda end: [end.write(MUCH) for _ in range(9)])
@point("SSLSocket.sendall", lambda end: end.sendall(MUCH))
def write_to_tls(write):
    def drain():
        with contextlib.suppress(OSError):  # the stream ends without good-bye
            drain_to_the_end(other)

    with tls() as (end, other):
        yield lambda: write(end)
        assert end.gettimeout() is None
        drainer = beside(drain)
        yield ANY
        end.shutdown(socket.SHUT_RDWR)
        drainer.join(timeout=PATIENCE)


@point("SSLSocket.do_handshake")
def shake_hands():
    server, client = contexts()
    with connected() as ends, client.wrap_socket(ends[0], do_handshake_on_connect=False) as end:
        yield end.do_handshake
        accepted = []
        other = beside(lambda: accepted.append(server.wrap_socket(ends[1], server_side=True)))
        wait_until_parked(other)
        yield None
        other.join(timeout=PATIENCE)
        accepted[0].close()


@point("SSLSocket.unwrap")
def unwrap():
    with tls() as (end, other):
        plain = []
        yield lambda: plain.append(end.unwrap())
        peer = beside(lambda: plain.append(other.unwrap()))
        wait_until(lambda: len(plain) == 1)
        yield None
        peer.join(timeout=PATIENCE)
        for each in plain:
            each.close()


# ---- other processes ----------------------------------------------------------------------------------------------------------


@point("Popen.communicate, of two pipes")
def communicate():
    end, other = os.pipe()
    process = subprocess.Popen(["cat"], stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(end)
    yield process.communicate
    os.write(other, VALUE)
    os.close(other)
    yield (VALUE, b"")


@point("Popen.wait, with a timeout")
def wait_for_a_process():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield lambda: process.wait(PATIENCE)
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield 0


def ended_process():
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


# ---- calls that need not wait, or hold the worker ---------------------------------------------------------------------------


def ready_points(stack):
    """Points in calls that do not wait whatever is there, and where the program would have to be slow to wait."""
    receiver = smarm.channel()[1]
    lock, thread = threading.Lock(), threading.Thread(target=int)
    thread.start()
    thread.join()
    end, _ = stack.enter_context(connected())
    poll, epoll, selector = select.poll(), select.epoll(), selectors.DefaultSelector()
    stack.enter_context(epoll)
    stack.enter_context(selector)
    poll.register(end, select.POLLIN)
    epoll.register(end, select.EPOLLIN)
    selector.register(end, selectors.EVENT_READ)
    process = ended_process()
    stack.callback(process.wait)
    return {
        "Receiver.recv(timeout=0)": lambda: receiver.recv(timeout=0),
        "select(timeout=0)": lambda: smarm.select(receiver, timeout=0),
        "receive(timeout=0)": lambda: smarm.receive(timeout=0),
        "yield_now": smarm.yield_now,
        "check": smarm.check,
        "Lock.acquire": lambda: lock.acquire() and lock.release(),
        "Lock.acquire(timeout=0)": lambda: lock.acquire(timeout=0) and lock.release(),
        "RLock.acquire": lambda: threading.RLock().acquire(),
        "Thread.join(0)": lambda: thread.join(0),
        "gethostbyname_ex": lambda: socket.gethostbyname_ex("localhost"),
        "gethostbyaddr": lambda: socket.gethostbyaddr("127.0.0.1"),
        "select.select(timeout=0)": lambda: select.select((), (), (), 0),
        "poll(0)": lambda: poll.poll(0),
        "epoll(0)": lambda: epoll.poll(0),
        "selectors(0)": lambda: selector.select(0),
        "Popen.wait": process.wait,
        "subprocess.run": lambda: subprocess.run(["true"], check=True),
    }


def no_points(stack):
    """Calls that cannot wait, and such as hold the worker while they wait."""
    sender, receiver = smarm.channel()
    items, waited = queue.SimpleQueue(), queue.Queue()
    for _ in range(9):
        sender.send("value")
        items.put("value")
        waited.put("value")
    lock, recursive, mutex = threading.Lock(), threading.RLock(), smarm.Mutex()
    semaphore, event, own_event, condition = (
        threading.Semaphore(9),
        threading.Event(),
        smarm.Event(),
        threading.Condition(),
    )
    future, thread = concurrent.futures.Future(), threading.Thread(target=int)
    thread.start()
    thread.join()
    executor = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1))
    threads = []
    stack.callback(lambda: [each.join() for each in threads])
    end, other = stack.enter_context(connected())
    end.setblocking(False)
    other.send(VALUE * 9)
    listener = stack.enter_context(socket.create_server(LOCAL))
    listener.setblocking(False)
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    reader, writer = os.pipe()
    stack.callback(os.close, writer)
    os.write(writer, VALUE * 99)
    stream = stack.enter_context(os.fdopen(reader, "rb", buffering=0))
    running = stack.enter_context(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
    secure, _ = stack.enter_context(tls())
    secure.setblocking(False)
    me = smarm.self()

    def connect():
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())

    def release():
        assert lock.acquire(False)
        lock.release()

    def release_recursive():
        assert recursive.acquire(False)
        recursive.release()

    def notify():
        assert condition.acquire(False)
        condition.notify_all()
        condition.release()

    return {
        "Sender.send, unbounded": lambda: sender.send("value"),
        "len of a Receiver": lambda: len(receiver),
        "send": lambda: smarm.send(me, "value"),
        "self": smarm.self,
        "spawn": lambda: smarm.spawn(int, on="local"),
        "SimpleQueue.put": lambda: items.put("value"),
        "SimpleQueue.get_nowait": items.get_nowait,
        "SimpleQueue.get(False)": lambda: items.get(False),
        "Queue.get_nowait": waited.get_nowait,
        "Queue.get(False)": lambda: waited.get(False),
        "Queue.put_nowait": lambda: waited.put_nowait("value"),
        "Queue.put(block=False)": lambda: waited.put("value", block=False),
        "Queue.qsize": waited.qsize,
        "Semaphore.acquire(False)": lambda: semaphore.acquire(False),
        "Lock.acquire(False), release": release,
        "RLock.acquire(False), release": release_recursive,
        "Semaphore.release": semaphore.release,
        "Event.set": event.set,
        "Event.set, smarm's": own_event.set,
        "Condition.notify_all": notify,
        "task_done": lambda: waited.unfinished_tasks and waited.task_done(),
        "Mutex.holder": lambda: mutex.holder,
        "Future.done": future.done,
        "Future.set_result": lambda: concurrent.futures.Future().set_result("value"),
        "Future.cancel": lambda: concurrent.futures.Future().cancel(),
        "Barrier.abort": lambda: threading.Barrier(2).abort(),
        "Executor.submit": lambda: executor.submit(int),
        "Thread.start": lambda: started(threads),
        "Thread.is_alive": thread.is_alive,
        "recv of a non-blocking socket": lambda: end.recv(1),
        "recv_into of a non-blocking socket": lambda: end.recv_into(bytearray(1)),
        "send of a non-blocking socket": lambda: end.send(b"x"),
        "sendall of a non-blocking socket": lambda: end.sendall(b"x"),
        "accept of a non-blocking socket": blocks(listener.accept),
        "connect_ex of a non-blocking socket": connect,
        "recv of a non-blocking SSLSocket": blocks(lambda: secure.recv(1)),
        "send of a non-blocking SSLSocket": lambda: secure.send(b"x"),
        "file.write": lambda: file.write(b"x"),
        "file.flush": file.flush,
        "file.read": file.read,
        "os.write": lambda: os.write(writer, b"x"),
        "os.read": lambda: os.read(reader, 1),
        "os.readv": lambda: os.readv(reader, [bytearray(1)]),
        "os.fdopen, read": lambda: stream.read(1),
        "os.waitpid": lambda: os.waitpid(os.posix_spawnp("true", ["true"], {}), 0),
        "os.system": lambda: os.system("true"),
        "Popen.poll": running.poll,
        "Popen.send_signal": lambda: running.send_signal(0),
    }


def started(threads):
    threads.append(threading.Thread(target=int))
    threads[-1].start()


def blocks(call):
    def tried():
        with pytest.raises((BlockingIOError, ssl.SSLWantReadError)):
            call()

    return tried


# ---- the tests ----------------------------------------------------------------------------------------------------------------


def beside(function):
    """An actor of this worker that shares what the function knows."""
    return smarm.spawn(lambda: function(), on="local")


def beside_returns(function):
    returned = []
    beside(lambda: returned.append(function())).join(timeout=PATIENCE)
    return returned[0]


def end(handle):
    smarm.kill(handle.pid)
    with contextlib.suppress(smarm.ActorKilled):
        handle.join(timeout=PATIENCE)


def wait_until(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "what the test waits for never came"
        smarm.yield_now()


def wait_until_parked(handle):
    def parked():
        info = smarm.process_info(handle.pid)
        assert info is not None, "it ended instead of waiting"
        return info.state == "parked"

    wait_until(parked)


def run_under(ask, call, seconds, before, outcome):
    """Note how a call ends for an actor that is asked to end, or has a deadline. Only at a point: what computes has all patience."""
    try:
        with smarm.timeout(seconds if ask == "deadline" else None, interrupt_after=None) as scope:
            before(scope)
            outcome.append(("returned", call()))
    except smarm.Timeout:
        outcome.append("deadline")
    except smarm.ActorExit as error:
        outcome.append({"killed": "kill", "enough": "exit"}[error.reason])


def request(ask, pid):
    if ask == "kill":
        smarm.kill(pid, interrupt_after=None)
    elif ask == "exit":
        smarm.exit(pid, "enough", interrupt_after=None)


def finish(ask, handle, outcome, where):
    with contextlib.suppress(smarm.ActorKilled, smarm.ActorFailed):
        handle.join(timeout=PATIENCE)
    assert outcome == [ask], f"{ask} {where}: {outcome}"


def cut_where_it_waits(ask, call):
    outcome = []
    handle = beside(lambda: run_under(ask, call, SOON, lambda scope: None, outcome))
    if ask != "deadline":
        wait_until_parked(handle)
        assert outcome == [], "it did not wait"
        request(ask, handle.pid)
    finish(ask, handle, outcome, "where it waits")


def asked_at_the_beginning(ask, call):
    """Run a call in an actor that has been asked meanwhile, as it computed; return how that ended."""
    outcome, begun, asked = [], [], []

    def compute(scope):
        begun.append(True)
        while not (scope.expired if ask == "deadline" else asked):
            pass

    handle = beside(lambda: run_under(ask, call, 0, compute, outcome))
    wait_until(lambda: begun)
    request(ask, handle.pid)
    asked.append(True)
    return handle, outcome


def cut_where_it_begins(ask, call):
    finish(ask, *asked_at_the_beginning(ask, call), "where it begins")


def not_cut(ask, call, name):
    handle, outcome = asked_at_the_beginning(ask, call)
    with contextlib.suppress(smarm.ActorKilled, smarm.ActorFailed):
        handle.join(timeout=PATIENCE)
    assert outcome[:1] == [("returned", ANY)], f"{ask}, {name}: {outcome}"


ASK = ("kill", "exit", "deadline")


def check(name):
    place = POINTS[name]()
    with contextlib.closing(place):
        call = next(place)
        for ask in ASK:
            cut_where_it_waits(ask, call)
        expected = next(place)
        for ask in ASK:
            cut_where_it_begins(ask, call)
        assert beside_returns(call) == expected
        assert next(place, "its end") == "its end"


def check_ready_points():
    for ask in ASK:
        with contextlib.ExitStack() as stack:
            for name, call in ready_points(stack).items():
                finish(ask, *asked_at_the_beginning(ask, call), f"at the beginning of {name}")


def check_no_points():
    for ask in ASK:
        with contextlib.ExitStack() as stack:
            for name, call in no_points(stack).items():
                not_cut(ask, call, name)


def check_all():
    """Check every line; return what was wrong, as text."""
    checks = {name: functools.partial(check, name) for name in POINTS}
    wrong = []
    for name, run in (checks | {"ready": check_ready_points, "no points": check_no_points}).items():
        try:
            run()
        except BaseException as error:
            wrong.append(f"{name}: {error!r}")
    return "\n".join(wrong)


@pytest.mark.parametrize("name", POINTS)
def test_requests_land_in_a_call_that_may_wait_and_nothing_is_taken(alone, name):
    alone(check, name, time_slice=SLICE)


def test_requests_land_where_a_call_begins_that_does_not_wait(alone):
    alone(check_ready_points, time_slice=SLICE)


def test_nothing_lands_in_a_call_that_is_no_point(alone):
    alone(check_no_points, time_slice=SLICE)


def test_it_is_the_same_on_another_worker():
    assert smarm.run(lambda: smarm.spawn(check_all, on=1).join(), workers=2, time_slice=SLICE) == ""
