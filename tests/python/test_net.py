"""smarm.net: listeners, connections, TLS."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import socket
import ssl

import pytest

import smarm
from smarm import net

LOCAL = ("127.0.0.1", 0)


def connected(address=LOCAL):
    """Return the two ends of a connection."""
    with net.listen(address) as listener:
        client = net.connect(listener.address)
        return client, listener.accept()


def read_all(connection):
    got = bytearray()
    while data := connection.recv(65536):
        got += data
    return bytes(got)


@pytest.fixture(params=["tcp", "unix", "ipv6"])
def address(request, tmp_path):
    if request.param == "ipv6":
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
        return ("::1", 0)
    return LOCAL if request.param == "tcp" else str(tmp_path / "socket")


def test_an_echo(alone, address):
    def main():
        listener = net.listen(address)

        def serve():
            with listener.accept() as connection:
                while data := connection.recv(4096):
                    connection.sendall(data)

        server = smarm.spawn(serve)
        with net.connect(listener.address) as client:
            for text in (b"x", b"hello" * 100):
                client.sendall(text)
                got = b""
                while len(got) < len(text):
                    got += client.recv(len(text) - len(got))
                assert got == text
            client.shutdown()
            assert client.recv(1) == b""
        server.join()
        listener.close()

    alone(main)


def test_much_data_both_ways_at_once(alone, address):
    data = os.urandom(3 << 20)

    def main():
        one, other = connected(address)
        senders = [smarm.spawn(lambda end=end: (end.sendall(data), end.shutdown())) for end in (one, other)]
        readers = [smarm.spawn(lambda end=end: read_all(end)) for end in (one, other)]
        assert all(reader.join() == data for reader in readers)
        for sender in senders:
            sender.join()
        one.close()
        other.close()

    alone(main)


def test_small_pieces_are_never_lost(alone, wait_until_parked):
    """Short reads are what lets recv skip a system call: each must still see what comes next, and the end."""

    def main():
        one, other = connected()
        reader = smarm.spawn(lambda: read_all(other))
        for i in range(2000):
            one.sendall(b"%d," % i)
            if i % 3 == 0:
                smarm.yield_now()
            if i % 100 == 0:
                wait_until_parked(reader.pid)
        one.shutdown()
        assert reader.join() == b"".join(b"%d," % i for i in range(2000))
        one.close()
        other.close()

    alone(main)


def test_the_end_that_comes_with_the_last_bytes_is_seen(alone):
    def main():
        for _ in range(50):
            one, other = connected()
            reader = smarm.spawn(lambda other=other: (other.recv(100), other.recv(100), other.recv(100)))
            smarm.yield_now()
            one.sendall(b"last")
            one.close()
            assert reader.join() == (b"last", b"", b"")
            other.close()

    alone(main)


def test_half_closed_sockets_go_on_in_the_other_direction(alone, address):
    def main():
        one, other = connected(address)
        one.sendall(b"question")
        one.shutdown("write")
        assert read_all(other) == b"question"
        other.sendall(b"answer")
        other.close()
        assert read_all(one) == b"answer"
        with pytest.raises(BrokenPipeError):
            one.sendall(b"more")
        one.close()

    alone(main)


def test_recv_into(alone):
    def main():
        one, other = connected()
        one.sendall(b"abcdef")
        buffer = bytearray(4)
        assert other.recv_into(buffer) == 4
        assert buffer == b"abcd"
        assert other.recv_into(memoryview(buffer)[:3]) == 2
        assert buffer[:2] == b"ef"
        assert other.recv_into(bytearray()) == 0
        with pytest.raises(BufferError):
            other.recv_into(b"read-only")
        one.close()
        assert other.recv_into(buffer) == 0
        other.close()

    alone(main)


def test_several_readers_of_one_connection(alone, wait_until_parked):
    def main():
        one, other = connected()
        readers = [smarm.spawn(lambda: other.recv(1)) for _ in range(3)]
        for reader in readers:
            wait_until_parked(reader.pid)
        one.sendall(b"a")
        one.sendall(b"bc")
        assert sorted(reader.join() for reader in readers) == [b"a", b"b", b"c"]
        one.close()
        other.close()

    alone(main)


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_deadlines(alone, timeout):
    def main():
        with net.listen(LOCAL) as listener, pytest.raises(smarm.Timeout, match="nobody connected"):
            listener.accept(timeout)
        one, other = connected()
        with pytest.raises(smarm.Timeout, match="nothing came"):
            one.recv(1, timeout=timeout)
        with pytest.raises(smarm.Timeout):
            one.recv_into(bytearray(1), timeout=timeout)
        with pytest.raises(smarm.Timeout, match=r"\d+ of \d+ bytes"):
            one.sendall(bytes(64 << 20), timeout=timeout)
        one.close()
        other.close()

    alone(main)


def test_close_wakes_who_waits(alone, wait_until_parked):
    def outcome(function, *args):
        try:
            return function(*args)
        except smarm.Closed:
            return "closed"

    def main():
        one, other = connected()
        listener = net.listen(LOCAL)
        waiters = [
            smarm.spawn(lambda: outcome(one.recv, 1)),
            smarm.spawn(lambda: outcome(one.sendall, bytes(64 << 20))),
            smarm.spawn(lambda: outcome(listener.accept)),
        ]
        for waiter in waiters:
            wait_until_parked(waiter.pid)
        one.close()
        listener.close()
        assert [waiter.join() for waiter in waiters] == ["closed"] * 3
        for closed in (one, listener):
            closed.close()  # again
            assert closed.closed
            assert closed.fileno() == -1
            assert "closed" in repr(closed)
        for use in (
            lambda: one.recv(1),
            lambda: one.sendall(b"x"),
            one.shutdown,
            one.detach,
            lambda: one.peer_address,
            listener.accept,
        ):
            with pytest.raises(smarm.Closed):
                use()
        other.close()

    alone(main)


def test_a_number_used_again_belongs_to_the_new_connection(alone, wait_until_parked):
    def main():
        with net.listen(LOCAL) as listener:
            for _ in range(20):
                client = net.connect(listener.address)
                accepted = listener.accept()
                reader = smarm.spawn(lambda accepted=accepted: accepted.recv(10))
                wait_until_parked(reader.pid)
                client.sendall(b"x")
                assert reader.join() == b"x"
                client.close()
                accepted.close()

    alone(main)


def test_nobody_listens(alone, tmp_path):
    def main():
        with net.listen(LOCAL) as listener:
            free = listener.address
        with pytest.raises(ConnectionRefusedError):
            net.connect(free)
        with pytest.raises(FileNotFoundError):
            net.connect(str(tmp_path / "nothing"))
        with net.listen(LOCAL) as listener, pytest.raises(OSError, match="in use"):
            net.listen(listener.address)

    alone(main)


def test_a_full_backlog_of_a_unix_socket_makes_connect_wait(alone, tmp_path):
    def main():
        with net.listen(str(tmp_path / "socket"), backlog=0) as listener:
            first = net.connect(listener.address)
            others = []
            with contextlib.suppress(smarm.Timeout):
                while len(others) < 100:
                    others.append(net.connect(listener.address, timeout=0.005))
            assert len(others) < 100
            for other in others:
                other.close()
            first.close()

    alone(main)


def test_host_names_are_looked_up_off_the_worker(alone):
    def main():
        before = smarm.statistics().workers[0].blocking.calls
        with net.listen(("localhost", 0)) as listener, net.connect(("localhost", listener.address[1])) as client:
            assert smarm.statistics().workers[0].blocking.calls == before + 2
            assert client.peer_address == listener.address
            listener.accept().close()
        with pytest.raises(socket.gaierror):
            net.connect(("no-such-host.invalid", 1), timeout=60)

    alone(main)


def test_addresses(alone, tmp_path):
    def main():
        with net.listen(LOCAL) as listener, net.connect(listener.address) as client, listener.accept() as accepted:
            assert client.peer_address == listener.address == accepted.local_address
            assert client.local_address == accepted.peer_address
        with net.listen(b"\0smarm-test-%d" % os.getpid()) as listener:
            assert listener.address == b"\0smarm-test-%d" % os.getpid()
        with net.listen(tmp_path / "path") as listener, net.connect(os.fsencode(tmp_path / "path")) as client:
            assert listener.address == client.peer_address == str(tmp_path / "path")
        for wrong in (5, None, ("host",), ("a", 1, 2), [1, 2]):
            with pytest.raises(TypeError):
                net.connect(wrong)
        with pytest.raises((OverflowError, OSError)):
            net.connect(("127.0.0.1", 1 << 20))

    alone(main)


def test_wrong_arguments(alone):
    def main():
        one, other = connected()
        for size in (-1, -(10**30)):
            with pytest.raises((ValueError, OverflowError)):
                one.recv(size)
        for timeout in (-1, math.nan):
            for call in (lambda t: one.recv(1, timeout=t), lambda t: net.connect(LOCAL, timeout=t)):
                with pytest.raises(ValueError, match="0 or more"):
                    call(timeout)
        for wrong in ("text", 5, None):
            with pytest.raises(TypeError):
                one.sendall(wrong)
        with pytest.raises(ValueError, match='"read", "write" or "both"'):
            one.shutdown("all")
        assert one.recv(0) == b""
        one.sendall(b"")
        with pytest.raises(smarm.NotSendable):
            pickle.dumps(one)
        with pytest.raises(smarm.NotSendable):
            smarm.send(smarm.self(), one)
        with open(os.devnull) as file, pytest.raises(OSError, match="non-socket"):
            net.Connection(file)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, pytest.raises(ValueError, match="stream"):
            net.Connection(datagrams)
        one.close()
        other.close()

    alone(main)


def test_a_socket_can_be_taken_over_and_given_away(alone):
    def main():
        one, other = socket.socketpair()
        connection = net.Connection(one.detach())
        with socket.socket(fileno=connection.detach()) as again:
            again.setblocking(True)
            again.sendall(b"x")
            assert other.recv(1) == b"x"
        other.close()
        assert connection.closed

    alone(main)


def test_one_that_is_dropped_is_closed_with_a_warning(alone):
    def main():
        one, other = connected()
        with pytest.warns(ResourceWarning, match=r"unclosed smarm.net.Connection, fd \d+"):
            del one
        assert other.recv(1) == b""
        other.close()

    alone(main)


def test_outside_of_actors():
    with pytest.raises(smarm.NoRuntime):
        net.connect(("localhost", 1))


# ---- several workers -------------------------------------------------------------------------------------------------


def answer(connection):
    connection.sendall(str(smarm.worker_index()).encode())


def test_serve_accepts_on_each_worker():
    def main():
        sender, receiver = smarm.channel()
        smarm.spawn(lambda: net.serve(answer, LOCAL, workers=2, ready=sender.send))
        address = receiver.recv()
        seen = set()
        while seen != {b"0", b"1"}:  # the kernel spreads connections by a hash of their addresses
            with net.connect(address) as client:
                seen.add(read_all(client))

    smarm.run(main, workers=2)


def test_serve_closes_what_a_handler_leaves(alone, capfd):
    def fail(connection):
        connection.sendall(b"bye")
        raise ValueError("handler's own")

    def main():
        sender, receiver = smarm.channel()
        smarm.spawn(lambda: net.serve(fail, LOCAL, ready=sender.send))
        address = receiver.recv()
        for _ in range(2):
            with net.connect(address) as client:
                assert read_all(client) == b"bye"
        with pytest.raises(smarm.ConfigError):
            net.serve(fail, LOCAL, workers=2)

    alone(main)
    assert capfd.readouterr().err.count("ValueError: handler's own") == 2


# ---- TLS -------------------------------------------------------------------------------------------------------------


def tls_pair(contexts):
    with net.listen(LOCAL) as listener:
        serving = smarm.spawn(lambda: ends.append(net.wrap_tls(listener.accept(), contexts[0], server_side=True)))
        ends = []
        client = net.connect_tls(listener.address, context=contexts[1], timeout=60)
        serving.join()
        return client, ends[0]


def test_tls_echo_and_its_end(alone, certificate):
    def main():
        client, server = tls_pair(certificate)
        client.sendall(b"hello")
        assert server.recv(100) == b"hello"
        buffer = bytearray(10)
        server.sendall(b"answer")
        assert client.recv_into(buffer) == 6
        assert buffer[:6] == b"answer"
        assert client.tls.version().startswith("TLS")
        client.shutdown()
        assert server.recv(1) == b""
        client.close()
        server.close()
        client.close()
        with pytest.raises(smarm.Closed):
            client.recv(1)

    alone(main)


def test_tls_much_data_both_ways_at_once(alone, certificate):
    data = os.urandom(1 << 20)

    def read(end):
        got = bytearray()
        while len(got) < len(data):
            got += end.recv(65536)
        return bytes(got)

    def main():
        ends = tls_pair(certificate)
        readers = [smarm.spawn(lambda end=end: read(end)) for end in ends]
        senders = [smarm.spawn(lambda end=end: end.sendall(data)) for end in ends]
        assert all(reader.join() == data for reader in readers)
        for sender in senders:
            sender.join()
        for end in ends:
            end.close()

    alone(main)


def test_tls_deadlines_and_refusals(alone, certificate):
    def main():
        client, server = tls_pair(certificate)
        with pytest.raises(smarm.Timeout):
            client.recv(1, timeout=0.001)
        server.close()
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            client.recv(1)
        client.close()

        with net.listen(LOCAL) as listener:  # says nothing
            with pytest.raises(smarm.Timeout):
                net.connect_tls(listener.address, context=certificate[1], timeout=0.05)
            server = smarm.spawn(lambda: refuse(listener.accept(timeout=60)))
            listener.accept().close()
            with pytest.raises(ssl.SSLCertVerificationError):
                net.connect_tls(listener.address, server_name="localhost", timeout=60)  # knows no such authority
            server.join()

    def refuse(connection):
        with pytest.raises((ssl.SSLError, OSError)):
            net.wrap_tls(connection, certificate[0], server_side=True)
        assert connection.closed

    alone(main)


HALF = "\ud800"


@pytest.mark.parametrize("call", [net.listen, net.connect])
@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        (("127.0.0.1", 70000), OverflowError, "a port is a number from 0 to 65535, not 70000"),
        (("127.0.0.1", -1), OverflowError, "not -1"),
        (("127.0.0.1", 2**70), OverflowError, "not 1180591620717411303424"),
        (("127.0.0.1", "80"), TypeError, "a port is a number from 0 to 65535, not '80'"),
        (("127.0.0.1", True), TypeError, "not True"),
        (("127.0.0.1", None), TypeError, "not None"),
        ((HALF, 80), ValueError, "is no name of a host"),
        (("127.0.0.1\0x", 80), ValueError, "it has a NUL"),
        (("." * 3, 80), ValueError, "is no name of a host"),
        ((80, 80), TypeError, "a host is a str, not 80"),
        ("", ValueError, "the path of a Unix socket must not be empty"),
        (b"", ValueError, "the path of a Unix socket must not be empty"),
        ("/tmp/a\0b", ValueError, "has no NUL"),
        (HALF, ValueError, "is no path of a file"),
        (5, TypeError, "an address is"),
    ],
)
def test_what_is_no_address_is_refused(alone, call, address, error, message):
    def main():
        with pytest.raises(error, match=message):
            call(address)

    alone(main)
