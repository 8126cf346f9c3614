"""Descriptors that are closed, replaced or used again under those who wait for them, with or without smarm's knowledge."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import subprocess
import sys
import threading

import pytest

import smarm
from smarm import io

libc = ctypes.CDLL(None)

WAIT = {
    "recv": lambda fd: receive(fd),
    "io.wait_readable": lambda fd: io.wait_readable(fd),
    "io.read": lambda fd: io.read(fd, 10),
    "select.select": lambda fd: select.select([fd], [], []),
    "select.select for all": lambda fd: select.select([fd], [], [fd]),  # asks now and then
    "poll": lambda fd: poll(fd),
    "smarm.select": lambda fd: smarm.select(smarm.readable(fd)),
}
OF_THE_LIBRARY = {"recv", "select.select", "select.select for all", "poll"}


def receive(fd):
    sock = socket.socket(fileno=fd)
    try:
        return sock.recv(10)
    finally:
        sock.detach()


def poll(fd):
    it = select.poll()
    it.register(fd, select.POLLIN)
    it.poll()


def wait_for(fd, how):
    WAIT[how](fd)


def end_of_wait(fd, how):
    try:
        wait_for(fd, how)
    except (smarm.Closed, OSError) as error:
        return isinstance(error, smarm.Closed), isinstance(error, OSError)


def replace(fd):
    other = os.open(os.devnull, os.O_RDONLY)
    os.dup2(other, fd)
    os.close(other)


END = {
    "os.close": os.close,
    "os.dup2": replace,
    "os.dup2 by name": lambda fd: os.dup2(fd=0, fd2=fd, inheritable=False),
    "os.closerange": lambda fd: os.closerange(fd, fd + 1),
    "socket.close": lambda fd: socket.socket(fileno=fd).close(),
    "socket.close function": lambda fd: socket.close(fd),
    "C": lambda fd: libc.close(fd),
    "C dup2": lambda fd: libc.dup2(0, fd),
    "a thread": lambda fd: in_thread(os.close, fd),
}


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def close_all(*fds):
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


# What waits for several asks the system itself, beside what the descriptor's end says.
SEVERAL = {"select.select", "select.select for all", "poll", "smarm.select"}
ASKED = {"os.close", "os.dup2", "C", "C dup2"}


@pytest.mark.parametrize(
    ("how", "end"), [(how, end) for how in WAIT for end in END if how not in SEVERAL or end in ASKED]
)
def test_waits_end_with_closed(on, wait_until_parked, how, end):
    one, other = (it.detach() for it in socket.socketpair())

    def main():
        waiter = smarm.spawn(end_of_wait, one, how, on=on)
        wait_until_parked(waiter.pid, "one of several things" if how == "smarm.select" else "a file descriptor")
        END[end](one)
        assert waiter.join(timeout=60) == (True, how in OF_THE_LIBRARY)

    smarm.run(main, workers=2)
    close_all(one, other)


def again(fd):
    """Make a pair of which one end has the number; return it and the other end."""
    one, other = socket.socketpair()
    if other.fileno() == fd:
        one, other = other, one
    if one.fileno() != fd:
        os.dup2(one.fileno(), fd)
        one.close()
        one = socket.socket(fileno=fd)
    return one, other


@pytest.mark.parametrize("old_lives_on", [False, True])
@pytest.mark.parametrize("close", ["os.close", "C"])
def test_the_next_owner_of_a_number_gets_its_own(on, wait_until_parked, close, old_lives_on):
    one, other = (it.detach() for it in socket.socketpair())
    copy = os.dup(one) if old_lives_on else -1

    def main():
        old = smarm.spawn(wait_for, one, "recv", on=on)
        wait_until_parked(old.pid, "a file descriptor")  # not on a lock, while it loads the script
        END[close](one)
        mine, peer = again(one)
        with mine, peer:
            new = smarm.spawn(lambda: mine.recv(10), on="local")
            wait_until_parked(new.pid, "a file descriptor")
            os.write(other, b"for the old one") if old_lives_on else None
            with pytest.raises(smarm.ActorFailed) as failed:
                old.join(timeout=60)
            assert isinstance(failed.value.__cause__, smarm.Closed)
            peer.send(b"mine")
            assert new.join(timeout=60) == b"mine"

    smarm.run(main, workers=2)
    close_all(other, copy)


def test_detach_ends_the_waits_of_its_object_and_no_other(alone, wait_until_parked):
    def main():
        one, other = socket.socketpair()
        also = socket.socket(fileno=one.fileno())
        with other:
            its = smarm.spawn(lambda: one.recv(10), on="local")
            others = smarm.spawn(lambda: also.recv(10), on="local")
            wait_until_parked(its.pid)
            wait_until_parked(others.pid)
            one.detach()
            with pytest.raises(smarm.ActorFailed) as failed:
                its.join(timeout=60)
            assert isinstance(failed.value.__cause__, smarm.Closed)
            other.send(b"x")
            assert others.join(timeout=60) == b"x"
            also.close()

    alone(main)


def test_a_failed_dup2_ends_no_wait(alone, wait_until_parked):
    def main():
        one, other = socket.socketpair()
        with one, other:
            waiter = smarm.spawn(lambda: one.recv(10), on="local")
            wait_until_parked(waiter.pid)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.dup2(10_000, one.fileno())
            assert os.dup2(one.fileno(), one.fileno()) == one.fileno()
            other.send(b"x")
            assert waiter.join(timeout=60) == b"x"

    alone(main)


def test_closing_twice_says_so(alone):
    def main():
        fd = os.open(os.devnull, os.O_RDONLY)
        os.close(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.close(fd)
        with pytest.raises(TypeError):
            os.close("x")
        with pytest.raises(TypeError):
            os.close()
        one, other = socket.socketpair()
        one.close()
        one.close()
        other.close()

    alone(main)


STANDARD_STREAMS = """
import os, sys
import smarm

def say(who):
    print("into nothing")
    print("into nothing", file=sys.stderr)
    used = [fd for fd in range(3) if is_open(fd)]
    os.write(9, f"{who}: {sys.stdout} {sys.stderr} {used}\\n".encode())

def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True

def main():
    say("main")
    smarm.spawn(say, "worker", on=1).join()
    with open(os.devnull) as first:  # gets a number of the standard streams
        assert first.fileno() == 0
        with open("out", "w") as mine:
            assert mine.fileno() == 1
            smarm.spawn(say, "later worker", on=2).join()
    assert os.path.getsize("out") == 0

smarm.run(main, workers=3)
"""


def test_the_runtime_takes_no_number_of_the_standard_streams(tmp_path):
    (tmp_path / "app.py").write_text(STANDARD_STREAMS)
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" app.py 9>&1 <&- >&- 2>&-', sys.executable],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    assert done.stdout.decode().splitlines() == [
        "main: None None []",
        "worker: None None []",
        "later worker: None None [0, 1]",
    ]
