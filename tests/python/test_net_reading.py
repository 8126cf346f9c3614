"""Reading by lines and by exact sizes: Connection and TlsConnection have the same readline, lines and read_exactly."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct

import pytest

import smarm
from smarm import net

LOCAL = ("127.0.0.1", 0)


@pytest.fixture(params=["tcp", "tls"])
def ends(request):
    """Return a context manager that makes (sender, reader), to be used in an actor."""
    contexts = request.getfixturevalue("certificate") if request.param == "tls" else None

    @contextlib.contextmanager
    def make():
        with net.listen(LOCAL) as listener:
            sender = net.connect(listener.address)
            reader = listener.accept()
        if contexts is not None:
            server, client = contexts
            plain, wrapped = reader, []
            accepting = smarm.spawn(lambda: wrapped.append(net.wrap_tls(plain, server, server_side=True)))
            sender = net.wrap_tls(sender, client, server_name="localhost", timeout=60)
            accepting.join()
            reader = wrapped.pop()
        with sender, reader:
            yield sender, reader

    return make


def test_lines_come_whole_whatever_pieces_they_arrive_in(alone, ends):
    def main():
        with ends() as (sender, reader):
            sender.sendall(b"one\ntwo\nthr")
            assert [reader.readline(), reader.readline()] == [b"one\n", b"two\n"]
            sender.sendall(b"ee\n\nlast")
            sender.shutdown()
            assert list(reader.lines(timeout=5)) == [b"three\n", b"\n", b"last"]
            assert reader.readline() == b""

    alone(main)


def test_a_long_line_is_one_line(alone, ends):
    line = bytes(range(11, 256)) * 200 + b"\n"

    def main():
        with ends() as (sender, reader):
            writer = smarm.spawn(lambda: sender.sendall(line + b"next\n"), on="local")
            assert reader.readline() == line
            assert reader.readline() == b"next\n"
            writer.join()

    alone(main)


@pytest.mark.parametrize("data", [b"12345\nrest", b"123456789"])
def test_a_line_beyond_the_limit_is_refused_and_not_lost(alone, ends, data):
    def main():
        with ends() as (sender, reader):
            sender.sendall(data)
            with pytest.raises(smarm.TooLong, match="longer than 5 bytes"):
                reader.readline(limit=5)
            assert reader.read_exactly(len(data), timeout=5) == data

    alone(main)


def test_a_line_as_long_as_the_limit_is_taken(alone, ends):
    def main():
        with ends() as (sender, reader):
            sender.sendall(b"1234\n12345")
            assert reader.readline(limit=5) == b"1234\n"
            sender.shutdown()
            assert reader.readline(limit=5) == b"12345"

    alone(main)


def test_a_timeout_loses_nothing(alone, ends):
    def main():
        with ends() as (sender, reader):
            sender.sendall(b"half")
            assert reader.read_exactly(1) == b"h"
            for read in (
                reader.readline,
                lambda timeout: reader.read_exactly(100, timeout),
                lambda timeout: next(reader.lines(timeout=timeout)),
            ):
                with pytest.raises(smarm.Timeout):
                    read(timeout=0)
            sender.sendall(b" and half\n")
            assert reader.readline(timeout=5) == b"alf and half\n"

    alone(main)


def test_exactly_as_many_bytes_come(alone, ends):
    def main():
        with ends() as (sender, reader):
            assert reader.read_exactly(0) == b""
            smarm.spawn(lambda: [sender.sendall(b"%d" % (i % 10)) for i in range(20)], on="local").join()
            assert reader.read_exactly(7) == b"0123456"
            assert reader.recv(1) == b"7"
            buffer = bytearray(2)
            assert reader.recv_into(buffer) in (1, 2)
            with pytest.raises(ValueError, match="0 or more bytes, not -1"):
                reader.read_exactly(-1)

    alone(main)


def test_a_stream_that_ends_early_says_how_much_came(alone, ends):
    def main():
        with ends() as (sender, reader):
            sender.sendall(b"abc")
            sender.shutdown()
            with pytest.raises(smarm.EndOfStream, match="after 3 of 5 bytes") as info:
                reader.read_exactly(5)
            assert info.value.partial == b"abc"
            assert isinstance(info.value, EOFError)
            assert reader.read_exactly(3) == b"abc"

    alone(main)


def test_reading_after_reading_ahead_gives_what_was_read_ahead(alone, ends):
    def main():
        with ends() as (sender, reader):
            sender.sendall(b"line\n" + b"x" * 10)
            assert reader.readline() == b"line\n"
            assert reader.read_exactly(4) + reader.recv(2) == b"x" * 6
            buffer = bytearray(3)
            assert (reader.recv_into(buffer), bytes(buffer)) == (3, b"xxx")
            assert reader.recv(100) == b"x"

    alone(main)


def test_what_was_read_ahead_makes_a_connection_readable(alone, ends):
    """The kernel has nothing more, the connection has: whoever waits by select would wait for ever."""

    def main():
        with ends() as (sender, reader):
            sender.sendall(b"one\ntwo\n")
            lines = []
            for _ in range(2):
                source = smarm.readable(reader)
                assert smarm.select(smarm.mailbox(), source, timeout=5) == (source, reader)
                lines.append(reader.readline())
            assert lines == [b"one\n", b"two\n"]
            sender.sendall(b"three\nfour\n")
            assert reader.readline() == b"three\n"
            smarm.io.wait_readable(reader, timeout=0)
            assert reader.readline() == b"four\n"
            with pytest.raises(smarm.Timeout):
                smarm.io.wait_readable(reader, timeout=0)

    alone(main)


def test_a_reader_that_is_stopped_or_whose_connection_is_closed_ends(alone, ends, wait_until_parked):
    def main():
        with ends() as (_, reader):
            handle = smarm.spawn(lambda: reader.readline(), on="local")
            wait_until_parked(handle.pid)
            smarm.exit(handle.pid, "stop")
            with pytest.raises(smarm.ActorKilled):
                handle.join()
            handle = smarm.spawn(lambda: reader.readline(), on="local")
            wait_until_parked(handle.pid)
            reader.close()
            with pytest.raises(smarm.ActorFailed) as info:
                handle.join()
            assert isinstance(info.value.__cause__, smarm.Closed)

    alone(main)


# ---- serve -----------------------------------------------------------------------------------------------------------


def reset(connection):
    """Close as a machine that vanishes does: the other side gets ECONNRESET."""
    with socket.socket(fileno=connection.detach()) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def serving(handler, **options):
    sender, receiver = smarm.channel()
    smarm.spawn(lambda: net.serve(handler, LOCAL, ready=sender.send, **options), on="local")
    return receiver.recv(timeout=5)


def test_serve_names_its_handlers(alone):
    def handler(connection):
        connection.sendall(smarm.process_info(smarm.self()).name.encode())

    def main():
        with net.connect(serving(handler, name="session")) as client:
            assert client.read_exactly(7, timeout=5) == b"session"

    alone(main)


def test_a_peer_that_vanishes_ends_its_handler_and_what_is_linked_to_it_without_a_report(alone, capfd):
    pids, seen = [], []

    def handler(connection):
        pids.extend([smarm.spawn(smarm.receive, on="local", link=True).pid, smarm.self()])
        try:
            for line in connection.lines():
                connection.sendall(line)
        finally:
            seen.append("cleaned up")

    def main():
        client = net.connect(serving(handler))
        client.sendall(b"hello\n")
        assert client.readline(timeout=5) == b"hello\n"
        refs = [smarm.monitor(pid) for pid in pids]
        reset(client)
        for ref in refs:
            kind, error = smarm.receive(ref, timeout=5).reason
            assert kind == "shutdown"
            assert isinstance(error, ConnectionResetError)

    alone(main)
    assert seen == ["cleaned up"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("how", ["reset", "cut off"])
def test_a_tls_peer_that_vanishes_ends_its_handler_without_a_report(alone, capfd, certificate, how):
    pids = []

    def handler(connection):
        pids.append(smarm.self())
        with net.wrap_tls(connection, certificate[0], server_side=True, timeout=60) as stream:
            for line in stream.lines():
                stream.sendall(line)

    def main():
        plain = net.connect(serving(handler))
        client = net.wrap_tls(plain, certificate[1], server_name="localhost", timeout=60)
        client.sendall(b"hello\n")
        assert client.readline(timeout=5) == b"hello\n"
        ref = smarm.monitor(pids[0])
        reset(plain) if how == "reset" else plain.close()
        kind, error = smarm.receive(ref, timeout=5).reason
        assert kind == "shutdown"
        assert isinstance(error, ConnectionResetError if how == "reset" else ssl.SSLEOFError)

    alone(main)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("mistake", ["another connection", "after shutdown"])
def test_other_connection_errors_of_a_handler_are_reported(alone, capfd, mistake):
    def handler(connection):
        if mistake == "another connection":
            raise ConnectionRefusedError("the database is away")
        connection.shutdown("write")
        connection.sendall(b"too late")

    def main():
        with net.connect(serving(handler)) as client:
            assert client.recv(1, timeout=5) == b""

    alone(main)
    assert "failed, and nobody joined it" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("localhost:80", "('localhost', 80); such a path is './localhost:80'"),
        (":8080", "('', 8080)"),
        (b"10.0.0.1:80", "('10.0.0.1', 80)"),
        ("[::1]:80", "('::1', 80)"),
    ],
)
def test_host_and_port_in_one_text_are_no_path(alone, tmp_path, monkeypatch, address, advice):
    monkeypatch.chdir(tmp_path)

    def main():
        for function in (net.listen, net.connect):
            with pytest.raises(ValueError, match=re.escape(advice)):
                function(address)
        net.listen("./localhost:80").close()

    alone(main)
