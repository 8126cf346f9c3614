"""smarm.io: descriptors that actors wait for, read, write and close."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import tempfile

import pytest

import smarm
from smarm import io

FD = "a file descriptor"


@pytest.fixture
def pair():
    """Two connected non-blocking sockets."""
    one, other = socket.socketpair()
    one.setblocking(False)
    other.setblocking(False)
    yield one, other
    one.close()
    other.close()


@pytest.fixture
def pipe():
    """The ends of a pipe in blocking mode, closed in the end if the test has not done it."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def fill(sock):
    """Write until there is no room."""
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        pass


def test_a_read_parks_until_there_is_something(alone, pipe, wait_until_parked):
    def main():
        reader = smarm.spawn(lambda: io.read(pipe[0], 100))
        wait_until_parked(reader.pid)
        io.write(pipe[1], b"hello")
        return reader.join()

    assert alone(main) == b"hello"


def test_a_read_gives_what_there_is_and_nothing_at_the_end(alone, pipe):
    def main():
        os.write(pipe[1], b"abc")
        os.close(pipe[1])
        return [io.read(pipe[0], 2), io.read(pipe[0], 2), io.read(pipe[0], 2), io.read(pipe[0], 0)]

    assert alone(main) == [b"ab", b"c", b"", b""]


def test_a_write_parks_until_all_is_written(alone, pipe, wait_until_parked):
    data = os.urandom(1 << 20)

    def main():
        writer = smarm.spawn(lambda: io.write(pipe[1], memoryview(data)))
        wait_until_parked(writer.pid)
        got = bytearray()
        while len(got) < len(data):
            got += io.read(pipe[0], 65536)
        writer.join()
        return bytes(got)

    assert alone(main) == data


def test_waits_take_ints_and_objects_with_fileno(alone, pair, wait_until_parked):
    one, other = pair

    def main():
        io.wait_writable(one)
        io.wait_writable(one.fileno(), timeout=0)
        waiter = smarm.spawn(lambda: io.wait_readable(one))
        wait_until_parked(waiter.pid)
        other.send(b"x")
        waiter.join()
        io.wait_readable(one, 0)

    alone(main)


def test_a_wait_for_room_ends_when_the_peer_has_read(alone, pair, wait_until_parked):
    one, other = pair

    def main():
        fill(one)
        waiter = smarm.spawn(lambda: io.wait_writable(one))
        wait_until_parked(waiter.pid)
        with contextlib.suppress(BlockingIOError):
            while True:
                other.recv(1 << 20)
        waiter.join()

    alone(main)


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_timeouts(alone, pair, timeout):
    one, _ = pair

    def main():
        with pytest.raises(smarm.Timeout):
            io.wait_readable(one, timeout=timeout)
        with pytest.raises(smarm.Timeout):
            io.read(one, 1, timeout)
        fill(one)
        with pytest.raises(smarm.Timeout):
            io.wait_writable(one, timeout=timeout)
        with pytest.raises(smarm.Timeout, match="0 of 3 bytes"):
            io.write(one, b"abc", timeout=timeout)

    alone(main)


def test_a_hung_up_peer_ends_waits(alone, pair, wait_until_parked):
    one, other = pair

    def main():
        reader = smarm.spawn(lambda: io.read(one, 10))
        wait_until_parked(reader.pid)
        other.close()
        assert reader.join() == b""
        io.wait_writable(one)
        with pytest.raises(BrokenPipeError):
            io.write(one, b"x")

    alone(main)


def test_an_error_on_the_socket_is_reported_by_the_call_that_meets_it(alone, wait_until_parked):
    def main():
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            reader = smarm.spawn(lambda: io.read(client, 10))
            wait_until_parked(reader.pid)
            accepted.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )  # close() resets the connection
            accepted.close()
            with pytest.raises(smarm.ActorFailed) as failed:
                reader.join()
            assert isinstance(failed.value.__cause__, ConnectionResetError)

    alone(main)


# ---- close -----------------------------------------------------------------------------------------------------------


def test_close_wakes_every_waiter(alone, pair, wait_until_parked):
    fd = os.dup(pair[0].fileno())

    def outcome(wait):
        try:
            wait(fd)
        except smarm.Closed:
            return "closed"

    def main():
        fill(pair[0])
        waiters = [smarm.spawn(lambda wait=wait: outcome(wait)) for wait in (io.wait_readable, io.wait_writable) * 2]
        for waiter in waiters:
            wait_until_parked(waiter.pid)
        io.close(fd)
        return [waiter.join() for waiter in waiters]

    assert alone(main) == ["closed"] * 4


def wait_elsewhere(fd):
    try:
        io.wait_readable(fd)
    except smarm.Closed:
        return "closed"


def test_close_wakes_waiters_of_other_workers(pair, wait_until_parked):
    def main():
        for _ in range(10):
            fd = os.dup(pair[0].fileno())
            waiters = [smarm.spawn(wait_elsewhere, fd, on=index) for index in (0, 1)]
            for waiter in waiters:
                wait_until_parked(waiter.pid)
            io.close(fd)
            assert [waiter.join() for waiter in waiters] == ["closed"] * 2

    smarm.run(main, workers=2)


def test_the_next_file_of_a_closed_number_is_another(alone, wait_until_parked):
    def main():
        numbers = set()
        for _ in range(5):
            reading, writing = os.pipe()
            numbers.add(reading)
            reader = smarm.spawn(lambda fd=reading: io.read(fd, 1))
            wait_until_parked(reader.pid)
            os.write(writing, b"x")
            assert reader.join() == b"x"
            os.close(reading)  # not by io.close: smarm is not told
            io.close(writing)
        return len(numbers)

    assert alone(main) == 1


def test_an_actor_that_is_stopped_leaves_its_wait(alone, pair, wait_until_parked):
    def main():
        reader = smarm.spawn(lambda: io.read(pair[0], 1))
        wait_until_parked(reader.pid)
        smarm.kill(reader.pid)
        with pytest.raises(smarm.ActorKilled):
            reader.join()
        pair[1].send(b"x")
        assert io.read(pair[0], 1) == b"x"

    alone(main)


def test_waiting_actors_end_with_the_runtime(alone, pair, wait_until_parked):
    def main():
        wait_until_parked(smarm.spawn(lambda: io.read(pair[0], 1)).pid)

    alone(main)


# ---- wrong input -----------------------------------------------------------------------------------------------------

CALLS = [io.wait_readable, io.wait_writable, lambda fd: io.read(fd, 1), lambda fd: io.write(fd, b"x"), io.close]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_open_descriptor(alone, call):
    def main():
        reading, writing = os.pipe()
        os.close(reading)
        os.close(writing)
        for wrong, error in (
            (reading, OSError),
            (-1, ValueError),
            (1 << 40, OverflowError),
            ("x", TypeError),
            (1.5, TypeError),
        ):
            with pytest.raises(error):
                call(wrong)

    alone(main)


def test_closing_twice(alone):
    def main():
        reading, writing = os.pipe()
        io.close(reading)
        io.close(writing)
        with pytest.raises(OSError, match="Bad file descriptor"):
            io.close(reading)

    alone(main)


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, -math.inf, -(10**400)])
def test_timeouts_that_are_none(alone, pair, timeout):
    def main():
        for call in (lambda: io.wait_readable(pair[0], timeout), lambda: io.read(pair[0], 1, timeout=timeout)):
            with pytest.raises(ValueError, match="0 or more"):
                call()
        with pytest.raises(TypeError):
            io.wait_readable(pair[0], "1")

    alone(main)


@pytest.mark.parametrize("timeout", [1e300, math.inf, 10**400, 10**18])
def test_huge_timeouts_are_for_ever(alone, pair, timeout, wait_until_parked):
    def main():
        reader = smarm.spawn(lambda: io.read(pair[0], 1, timeout))
        wait_until_parked(reader.pid)
        pair[1].send(b"x")
        return reader.join()

    assert alone(main) == b"x"


def test_a_regular_file_is_always_ready(alone):
    def main():
        with tempfile.TemporaryFile() as file:
            io.wait_readable(file)
            io.wait_writable(file)
            io.write(file, b"abc" * 100_000)
            file.seek(0)
            assert io.read(file, 3) == b"abc"
            file.seek(0, os.SEEK_END)
            assert io.read(file, 3) == b""

    alone(main)


def test_the_wrong_direction(alone, pipe):
    def main():
        with pytest.raises(OSError, match="Bad file descriptor"):
            io.write(pipe[0], b"x")
        with pytest.raises(OSError, match="Bad file descriptor"):
            io.read(pipe[1], 1)
        with pytest.raises(ValueError, match="0 or more"):
            io.read(pipe[0], -1)
        with pytest.raises(TypeError):
            io.write(pipe[1], "text")

    alone(main)


def test_outside_of_actors(pipe):
    for call in CALLS[:4]:
        with pytest.raises(smarm.NoRuntime):
            call(pipe[0])
