"""A call that parks never enters the kernel blocking, whoever else uses the descriptor: actors of several workers, threads."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
import tty

import pytest

import smarm
from smarm import io, net

MESSAGES = 200
END = b"end"

READ = {
    "recv": lambda it: it.recv(10),
    "recv_into": lambda it: into(it.recv_into),
    "recvfrom": lambda it: it.recvfrom(10)[0],
    "recvfrom_into": lambda it: into(lambda buffer: it.recvfrom_into(buffer)[0]),
    "recvmsg": lambda it: it.recvmsg(10)[0],
    "recvmsg_into": lambda it: into(lambda buffer: it.recvmsg_into(iter([buffer]))[0]),
    "io.read": lambda it: io.read(it, 10),
}
WRITE = {
    "send": lambda it, data: it.send(data),
    "sendall": lambda it, data: it.sendall(data) or len(data),
    "sendto": lambda it, data: (
        it.sendto(data, None) if it.family == socket.AF_UNIX else it.sendto(data, ("127.0.0.1", 9))
    ),
    "sendmsg": lambda it, data: it.sendmsg(iter([data[:10], data[10:]])),
    "io.write": lambda it, data: io.write(it, data) or len(data),
}


def into(receive):
    buffer = bytearray(10)
    return bytes(buffer[: receive(buffer)])


def read_until_end(fd, function, timeout, sink):
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.settimeout(timeout)
        while (data := READ[function](sock)) != END:
            sink.send(data)


def nothing():
    pass


def assert_every_worker_runs(workers):
    for index in range(workers):
        smarm.spawn(nothing, on=index).join(timeout=60)


@pytest.mark.parametrize("timeout", [None, 1e6], ids=["blocking", "with a timeout"])
@pytest.mark.parametrize("function", READ)
def test_readers_of_two_workers_and_a_thread_share_a_socket(function, timeout):
    if function == "io.read" and timeout:
        pytest.skip("io.read has a timeout of its own")
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def main():
        sink, results = smarm.channel()
        readers = [smarm.spawn(read_until_end, here.fileno(), function, timeout, sink, on=n % 2) for n in range(4)]
        stop = threading.Event()

        def steal():
            with socket.socket(fileno=os.dup(here.fileno())) as sock:
                while not stop.is_set():
                    with contextlib.suppress(BlockingIOError):
                        out.send(sock.recv(10, socket.MSG_DONTWAIT))
                    time.sleep(0)

        out, stolen = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        thief = threading.Thread(target=steal)
        thief.start()
        seen = []
        for number in range(MESSAGES):
            there.send(b"%d" % number)
            seen.append(first_of(results, stolen))
        stop.set()
        thief.join()
        for _ in readers:
            there.send(END)
        smarm.join_all(readers, timeout=60)
        assert sorted(seen, key=int) == [b"%d" % number for number in range(MESSAGES)]
        assert_every_worker_runs(2)
        out.close()
        stolen.close()

    with here, there:
        smarm.run(main, workers=2)


def first_of(results, stolen):
    while True:
        with contextlib.suppress(smarm.Timeout):
            return results.recv(timeout=0.001)
        with contextlib.suppress(BlockingIOError):
            return stolen.recv(10, socket.MSG_DONTWAIT)


def accept_until_end(fd, timeout, sink):
    with socket.socket(fileno=os.dup(fd)) as listener:
        listener.settimeout(timeout)
        while True:
            connection, _ = listener.accept()
            with connection:
                assert connection.gettimeout() is None
                if (data := connection.recv(10)) == END:
                    return
                sink.send(data)


@pytest.mark.parametrize("timeout", [None, 1e6], ids=["blocking", "with a timeout"])
def test_acceptors_of_several_workers_share_a_listener(timeout):
    def main():
        sink, results = smarm.channel()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            acceptors = [smarm.spawn(accept_until_end, listener.fileno(), timeout, sink, on=n % 3) for n in range(6)]

            def connect(data):
                with socket.create_connection(listener.getsockname()) as client:
                    client.send(data)

            for number in range(MESSAGES):
                smarm.block_on_io(connect, b"%d" % number)
            seen = [results.recv(timeout=60) for _ in range(MESSAGES)]
            assert sorted(seen, key=int) == [b"%d" % number for number in range(MESSAGES)]
            assert_every_worker_runs(3)
            for _ in acceptors:
                connect(END)
            smarm.join_all(acceptors, timeout=60)

    smarm.run(main, workers=3)


def test_a_thread_waits_in_accept_of_a_listener_that_actors_have_used(alone):
    def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            listener.accept()[0].close()  # non-blocking from here on
            client.close()
            assert listener.gettimeout() is None
            accepted = []
            thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
            thread.start()
            with socket.create_connection(listener.getsockname()):
                thread.join()
            accepted[0].close()

    alone(main)


def parked(function):
    """Run it in an actor of its own, beside which others run."""
    handle = smarm.spawn(function, on="local")
    while (info := smarm.process_info(handle.pid)) is not None and info.state != "parked":
        smarm.yield_now()
    return handle


WAITALL = {
    "recv": lambda it: it.recv(10, socket.MSG_WAITALL),
    "recv_into": lambda it: into(lambda buffer: it.recv_into(buffer, 0, socket.MSG_WAITALL)),
    "recv_into nbytes": lambda it: into(lambda buffer: it.recv_into(buffer, nbytes=10, flags=socket.MSG_WAITALL)),
    "recvfrom": lambda it: it.recvfrom(10, socket.MSG_WAITALL)[0],
    "recvfrom_into": lambda it: into(lambda buffer: it.recvfrom_into(buffer, 0, socket.MSG_WAITALL)[0]),
    "recvmsg": lambda it: it.recvmsg(10, 0, socket.MSG_WAITALL)[0],
    "recvmsg_into": lambda it: into(
        lambda b: it.recvmsg_into([memoryview(b)[:4], memoryview(b)[4:]], 0, socket.MSG_WAITALL)[0]
    ),
}


def stream_pair(family):
    if family == "Unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return socket.create_connection(listener.getsockname()), listener.accept()[0]


@pytest.mark.parametrize("family", ["TCP", "Unix"])
@pytest.mark.parametrize("function", WAITALL)
def test_all_that_was_asked_for_comes_in_pieces_and_parks(alone, function, family):
    def main():
        client, server = stream_pair(family)
        with client, server:
            for tail, expected in ((b"ghij", b"abcdefghij"), (None, b"abcdef")):
                client.send(b"abc")
                reader = parked(lambda: WAITALL[function](server))
                for piece in (b"d", b"ef"):
                    client.send(piece)
                    smarm.yield_now()
                client.send(tail) if tail else client.shutdown(socket.SHUT_WR)
                assert reader.join(timeout=60) == expected

    alone(main)


def test_a_message_that_brings_descriptors_ends_there(alone):
    def main():
        one, other = socket.socketpair()
        with one, other:
            reader = parked(lambda: socket.recv_fds(other, 10, 1, socket.MSG_WAITALL))
            socket.send_fds(one, [b"abc"], [one.fileno()])
            data, fds, _flags, _address = reader.join(timeout=60)
            assert data == b"abc"
            assert len(fds) == 1
            os.close(fds[0])
            reader = parked(lambda: other.recvmsg(10, 0, socket.MSG_WAITALL))
            socket.send_fds(one, [b"def"], [one.fileno()])  # nobody wants them
            data, _ancillary, flags, _address = reader.join(timeout=60)
            assert (data, flags & socket.MSG_CTRUNC) == (b"def", socket.MSG_CTRUNC)

    alone(main)


@pytest.mark.parametrize("function", WRITE)
def test_a_blocking_stream_takes_all_of_it_and_parks(alone, function):
    data = os.urandom(3 << 20)

    def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        with client, server:
            writer = parked(lambda: WRITE[function](client, data))
            assert drain(server, len(data)) == data
            assert writer.join(timeout=60) == len(data)

    alone(main)


def drain(sock, size):
    got = bytearray()
    while len(got) < size:
        got += sock.recv(1 << 20)
    return bytes(got)


@pytest.mark.parametrize("to", ["socket", "pipe", "socket.sendfile", "timeout"])
def test_sendfile_parks(alone, tmp_path, to):
    data = os.urandom(3 << 20)
    path = tmp_path / "data"
    path.write_bytes(data)

    def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        read_end, write_end = os.pipe()
        with client, server, path.open("rb") as file:
            if to == "timeout":
                client.settimeout(1e6)
            if to in ("socket.sendfile", "timeout"):
                writer = parked(lambda: client.sendfile(file))
            else:
                out = client.fileno() if to == "socket" else write_end
                writer = parked(lambda: os.sendfile(out, file.fileno(), 7, len(data)))
            if to == "pipe":
                got = b""
                while len(got) < len(data) - 7:
                    got += io.read(read_end, 1 << 20)
            else:
                got = drain(server, len(data) - (7 if to == "socket" else 0))
            assert got == data[len(data) - len(got) :]
            assert writer.join(timeout=60) == len(got)
        os.close(read_end)
        os.close(write_end)

    alone(main)


def test_what_never_waits_on_a_blocking_socket_does_not_park(alone):
    def main():
        one, other = socket.socketpair()
        with one, other:
            for call in (
                lambda: one.recv(1, socket.MSG_DONTWAIT),
                lambda: one.recvmsg(1, 0, socket.MSG_DONTWAIT),
                lambda: one.recv_into(bytearray(1), 1, socket.MSG_DONTWAIT),
            ):
                with pytest.raises(BlockingIOError):
                    call()

    alone(main)


def test_a_terminal_is_read_without_blocking(alone):
    def main():
        master, slave = pty.openpty()
        tty.setraw(slave)
        reader = parked(lambda: io.read(slave, 10))
        io.write(master, b"typed")
        assert reader.join(timeout=60) == b"typed"
        assert os.get_blocking(slave)  # that is the others' business, too
        os.close(master)
        os.close(slave)

    alone(main)


def test_connecting_twice_says_so(alone):
    def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            for timeout in (None, 1e6):
                with socket.socket() as client:
                    client.settimeout(timeout)
                    assert client.connect_ex(listener.getsockname()) == 0
                    assert client.connect_ex(listener.getsockname()) == errno.EISCONN
                    with pytest.raises(OSError, match="already connected"):
                        client.connect(listener.getsockname())
                    assert client.gettimeout() == timeout
                    assert os.get_blocking(client.fileno()) == (timeout is None)
            connection = net.connect(listener.getsockname())
            with socket.socket(fileno=connection.detach()) as client:
                assert client.connect_ex(listener.getsockname()) == errno.EISCONN

    alone(main)


@pytest.mark.parametrize("call", ["connect", "connect_ex", "bind", "sendto", "sendmsg"])
def test_the_host_of_an_address_is_looked_up_on_the_pool(alone, call):
    def main():
        before = smarm.statistics().workers[0].blocking.calls
        with socket.socket(type=socket.SOCK_DGRAM if call.startswith("send") else socket.SOCK_STREAM) as sock:
            address = ("localhost", 0 if call == "bind" else 1)
            with contextlib.suppress(OSError):
                if call == "sendto":
                    sock.sendto(b"x", address)
                elif call == "sendmsg":
                    sock.sendmsg([b"x"], [], 0, address)
                else:
                    getattr(sock, call)(address)
        assert smarm.statistics().workers[0].blocking.calls == before + 1

    alone(main)


def test_select_sees_what_several_wait_for(alone):
    def main():
        one, other = socket.socketpair()
        with one, other:
            waiters = [parked(lambda: len(select.select([one], [], [])[0])) for _ in range(2)]
            other.send(b"x")
            assert smarm.join_all(waiters, timeout=60) == [1, 1]

    alone(main)


# ---- another process ---------------------------------------------------------------------------------------------------

# What a program without smarm does with a descriptor that it has inherited.
NEIGHBOUR = {
    "poll and accept": """
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        sock.setblocking(False)
        while True:
            poller.poll()
            try:
                connection, _ = sock.accept()
            except BlockingIOError:
                continue
            connection.setblocking(True)
            data = connection.recv(10)
            if data == b"end":
                break
            note(data)
            connection.close()
    """,
    "recv": """
        while (data := sock.recv(10)) != b"end":
            note(data)
    """,
    "poll and recv": """
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        while True:
            poller.poll()
            try:
                data = sock.recv(10, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            if data == b"end":
                break
            note(data)
    """,
}
NEIGHBOUR_START = """
import select, socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
def note(data):
    print(data.decode(), flush=True)
print("ready", flush=True)
"""


@contextlib.contextmanager
def neighbour(sock, what):
    """Another process that takes from the socket; yields the list of what it took, whole after the block."""
    taken = []
    program = NEIGHBOUR_START + textwrap.dedent(NEIGHBOUR[what])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(sock.fileno())], pass_fds=[sock.fileno()], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield taken
        taken += process.communicate(timeout=60)[0].split()
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def test_acceptors_of_two_workers_and_of_another_process_share_a_listener():
    def main(listener):
        sink, results = smarm.channel()
        acceptors = [smarm.spawn(accept_until_end, listener.fileno(), None, sink, on=n % 2) for n in range(4)]

        def connect(data):
            with socket.create_connection(listener.getsockname()) as client:
                client.send(data)

        for number in range(MESSAGES):
            smarm.block_on_io(connect, b"%d" % number)
        # Whoever has got one takes no more.
        for _ in range(len(acceptors) + 1):
            smarm.block_on_io(connect, END)
        smarm.join_all(acceptors, timeout=60)
        assert_every_worker_runs(2)
        del sink
        return [data.decode() for data in results]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        with neighbour(listener, "poll and accept") as taken:
            seen = smarm.run(main, listener, workers=2)
        assert sorted(seen + taken, key=int) == [str(number) for number in range(MESSAGES)]


@pytest.mark.parametrize("what", ["recv", "poll and recv"])
@pytest.mark.parametrize("function", READ)
def test_readers_of_two_workers_and_of_another_process_share_a_socket(function, what):
    def main(here, there):
        sink, results = smarm.channel()
        readers = [smarm.spawn(read_until_end, here.fileno(), function, None, sink, on=n % 2) for n in range(4)]
        for number in range(MESSAGES):
            there.send(b"%d" % number)
            smarm.yield_now()
        for _ in range(len(readers) + 1):
            there.send(END)
        smarm.join_all(readers, timeout=60)
        assert_every_worker_runs(2)
        del sink
        return [data.decode() for data in results]

    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        with neighbour(here, what) as taken:
            seen = smarm.run(main, here, there, workers=2)
        assert sorted(seen + taken, key=int) == [str(number) for number in range(MESSAGES)]


def test_a_listener_that_actors_have_used_is_non_blocking_in_other_processes_too(alone):
    def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with socket.create_connection(listener.getsockname()):
                listener.accept()[0].close()
            program = NEIGHBOUR_START + "print(sock.gettimeout()); sock.accept()"
            ended = subprocess.run(
                [sys.executable, "-c", program, str(listener.fileno())],
                pass_fds=[listener.fileno()],
                capture_output=True,
                text=True,
            )
            assert ended.stdout == "ready\nNone\n"
            assert "BlockingIOError" in ended.stderr  # see docs/reference/io.md

    alone(main)
