"""Every blocking call refuses what is no time, at once and by name, and takes a huge time for never."""

import os
import socket

import pytest

import smarm
from smarm import Child, Server, Supervisor, io, net

NOT_A_TIME = [float("nan"), -1, -1e-9, float("-inf"), -(10**400)]
NOT_A_NUMBER = ["soon", [], b"1", 1j]
FOR_EVER = [float("inf"), 1e300, 10**400]


class Waits(Server):
    def handle_call(self, request, caller):
        return self.NO_REPLY if request == "wait" else request


def waits():
    smarm.receive()


class Calls:
    """Calls that would wait (``waiting``), and calls that need not (``ready``), each of a timeout."""

    def __init__(self):
        mutex = self.mutex = smarm.Mutex()
        handed = smarm.channel()

        def holds():
            mutex.acquire(timeout=1)
            handed[0].send("holds")
            smarm.receive()
            mutex.release()

        self.holder = smarm.spawn(holds)
        handed[1].recv()
        semaphore = self.semaphore = smarm.Semaphore(1)
        semaphore.acquire(timeout=1)
        own = self.own = smarm.Mutex()
        condition = self.condition = smarm.Condition(own)
        full, self.full_receiver = smarm.channel(1)
        full.send(1)
        self.empty_sender, empty = smarm.channel()
        self.readable, self.writable = os.pipe()
        self.waiter = smarm.spawn(waits)
        self.server = Waits.start()
        self.left, self.right = map(net.Connection, map(socket.socket.detach, socket.socketpair()))
        self.listener = net.listen(("127.0.0.1", 0))
        self.supervisor = Supervisor([Child("one", waits)]).start()

        def with_own(function):
            with own.hold(timeout=1):
                return function()

        def enter(manager):
            with manager:
                pass

        self.waiting = {
            "sleep": lambda t: smarm.sleep(t),
            "receive": lambda t: smarm.receive(timeout=t),
            "receive with a type": lambda t: smarm.receive(int, timeout=t),
            "call": lambda t: smarm.call(self.server.pid, "wait", timeout=t),
            "ServerRef.call": lambda t: self.server.call("wait", timeout=t),
            "block_on_io": lambda t: smarm.block_on_io(os.read, self.readable, 1, timeout=t),
            "join": lambda t: self.waiter.join(timeout=t),
            "join_all": lambda t: smarm.join_all([self.waiter], timeout=t),
            "Sender.send": lambda t: full.send(2, timeout=t),
            "Receiver.recv": lambda t: empty.recv(timeout=t),
            "Mutex.acquire": lambda t: mutex.acquire(timeout=t),
            "Mutex.hold": lambda t: enter(mutex.hold(timeout=t)),
            "Mutex.repair": lambda t: enter(mutex.repair(timeout=t)),
            "Semaphore.acquire": lambda t: semaphore.acquire(timeout=t),
            "Semaphore.hold": lambda t: enter(semaphore.hold(timeout=t)),
            "Event.wait": lambda t: smarm.Event().wait(timeout=t),
            "Condition.wait": lambda t: with_own(lambda: condition.wait(timeout=t)),
            "Condition.wait_for": lambda t: with_own(lambda: condition.wait_for(lambda: False, timeout=t)),
            "Barrier.wait": lambda t: smarm.Barrier(2).wait(timeout=t),
            "Once.run": lambda t: smarm.Once().run(lambda: None, timeout=t),
            "timeout": lambda t: enter(smarm.timeout(t)),
            "send_after": lambda t: smarm.send_after(t, self.waiter.pid, "no").cancel(),
            "interval": lambda t: smarm.interval(t, self.waiter.pid, "no").cancel(),
            "time_limit": lambda t: smarm.spawn(waits, on="local", time_limit=t),
            "wait_readable": lambda t: io.wait_readable(self.readable, timeout=t),
            "wait_writable": lambda t: io.wait_writable(self.writable, timeout=t),
            "read": lambda t: io.read(self.readable, 1, timeout=t),
            "write": lambda t: io.write(self.writable, b"", timeout=t),
            "accept": lambda t: self.listener.accept(timeout=t),
            "connect": lambda t: net.connect(self.listener.address, timeout=t).close(),
            "Connection.recv": lambda t: self.left.recv(1, timeout=t),
            "Connection.recv_into": lambda t: self.left.recv_into(bytearray(1), timeout=t),
            "Connection.sendall": lambda t: self.left.sendall(b"", timeout=t),
            "Server.start": lambda t: Waits.start(timeout=t).stop(),
            "ServerRef.stop": lambda t: self.server.stop(timeout=t),
            "Supervisor.start": lambda t: Supervisor([]).start(timeout=t).stop(),
            "which_children": lambda t: self.supervisor.which_children(timeout=t),
            "count_children": lambda t: self.supervisor.count_children(timeout=t),
            "start_child": lambda t: self.supervisor.start_child(Child("two", waits), timeout=t),
            "terminate_child": lambda t: self.supervisor.terminate_child("one", timeout=t),
            "restart_child": lambda t: self.supervisor.restart_child("one", timeout=t),
            "delete_child": lambda t: self.supervisor.delete_child("one", timeout=t),
            "SupervisorRef.stop": lambda t: self.supervisor.stop(timeout=t),
        }

    def make_ready(self):
        """Make every call of ``waiting`` one that need not wait, except those that are there to wait."""
        smarm.send(self.holder.pid, "release")
        self.holder.join()
        self.semaphore.release()
        smarm.send(self.waiter.pid, "end")
        self.full_receiver.recv()
        self.empty_sender.send(1)
        os.write(self.writable, b"1" * 10)
        self.right.sendall(b"1" * 10)

    def close(self):
        for connection in (self.left, self.right, self.listener):
            connection.close()
        for fd in (self.readable, self.writable):
            os.close(fd)


def test_what_is_no_time_is_refused():
    def main():
        calls = Calls()
        for name, call in calls.waiting.items():
            for value in NOT_A_TIME:
                with pytest.raises(ValueError, match=r"negative|NaN|nan|time"):
                    pytest.fail(f"{name} accepted {value}: {call(value)}")
            for value in NOT_A_NUMBER:
                with pytest.raises(TypeError):
                    pytest.fail(f"{name} accepted {value}: {call(value)}")
        # Nothing has been taken, sent or ended by any of them.
        assert calls.supervisor.count_children().active == 1
        assert calls.server.call("still there") == "still there"
        assert calls.waiter.pid in smarm.processes()
        calls.close()

    smarm.run(main, workers=1)


COMPLETES = [
    "receive",
    "join",
    "join_all",
    "Receiver.recv",
    "Sender.send",
    "Mutex.acquire",
    "Semaphore.acquire",
    "Once.run",
    "timeout",
    "send_after",
    "interval",
    "block_on_io",
    "wait_readable",
    "wait_writable",
    "read",
    "write",
    "connect",
    "Connection.recv",
    "Connection.recv_into",
    "Connection.sendall",
    "ServerRef.call",
    "Server.start",
    "ServerRef.stop",
    "Supervisor.start",
    "which_children",
    "SupervisorRef.stop",
]


@pytest.mark.parametrize("name", COMPLETES)
def test_a_huge_time_is_never(name):
    def main():
        for value in FOR_EVER:
            calls = Calls()
            calls.make_ready()
            if name == "receive":
                smarm.send(smarm.self(), "a message")
            if name == "ServerRef.call":
                assert calls.server.call("echo", timeout=value) == "echo"
            else:
                calls.waiting[name](value)
            calls.close()

    smarm.run(main, workers=1)
