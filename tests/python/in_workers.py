"""Functions and classes that tests use in actors of any worker: a module that every interpreter can import."""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from dataclasses import dataclass
from typing import Any

import smarm


def where(*_: object) -> int | None:
    return smarm.worker_index()


def native_thread(*_: object) -> int:
    return threading.get_native_id()


def identity(value: Any) -> Any:
    return value


def add(left: int, right: int) -> int:
    return left + right


def fail(message: str) -> None:
    raise ValueError(message)


def echo(requests: smarm.Receiver, replies: smarm.Sender) -> int:
    """Send back what comes until the channel is closed; return how many that were."""
    count = 0
    for value in requests:
        replies.send(value)
        count += 1
    return count


def count_to(replies: smarm.Sender, last: int) -> None:
    for number in range(last):
        replies.send(number)


def receive_one(requests: smarm.Receiver) -> Any:
    return requests.recv()


def select_forever(*sources: smarm.Receiver) -> None:
    smarm.select(*sources, smarm.mailbox())


def close_with(replies: smarm.Sender, cause: object) -> None:
    replies.close(cause)


def collect(requests: smarm.Receiver) -> list[Any]:
    return list(requests)


def reply_to(pid: smarm.Pid) -> None:
    """Send each message back to the actor `pid`, up to None."""
    while (message := smarm.receive()) is not None:
        smarm.send(pid, message)


def park_then_collect(go: smarm.Receiver) -> list[Any]:
    """Leave the mailbox alone until something comes from `go`, then take all that is in it."""
    go.recv()
    return [smarm.receive() for _ in range(smarm.message_count())]


def send_until_full(pid: smarm.Pid) -> int:
    sent = 0
    try:
        while True:
            smarm.send(pid, [sent])
            sent += 1
    except smarm.MailboxFull:
        return sent


def reply_once() -> None:
    call = smarm.receive(smarm.Call)
    smarm.reply(call, call.request + 1)


def double_calls() -> None:
    """Answer each call with its request twice; "crash" fails, "sleep" waits for ever."""
    while True:
        call = smarm.receive(smarm.Call)
        if call.request == "crash":
            raise ValueError("crash")
        if call.request != "sleep":
            smarm.reply(call, call.request * 2)


def call_in_a_thread(pid: smarm.Pid) -> tuple[Any, Any]:
    """Use a portal from a plain thread of this interpreter."""
    portal = smarm.portal()
    results: list[Any] = []

    def work() -> None:
        results.append(portal.call(pid, "x"))
        results.append(portal.spawn(add, 3, 4).result())

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        smarm.sleep(0.0005)
    thread.join()
    return tuple(results)


def park() -> None:
    smarm.receive()


def tell_and_park(tx: smarm.Sender) -> None:
    tx.send(smarm.self())
    smarm.receive()


def write_byte(descriptor: int) -> int | None:
    """Tell somebody who blocks in a read, without smarm."""
    os.write(descriptor, b"x")
    return smarm.worker_index()


def spawn_and_join(function: Any, *arguments: Any) -> Any:
    return smarm.spawn(function, *arguments, on="local").join()


def import_module(name: str) -> str:
    return __import__(name).__name__


@dataclass
class Point:
    x: int
    y: int


class Unpicklable(Exception):
    """An exception that cannot travel: it holds a lock."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


def fail_with_lock(message: str) -> None:
    raise Unpicklable(message)


def unsendable() -> object:
    return {"rows": [1, threading.Lock()]}


class SlowToEnter:
    """A block whose __enter__ is C code that keeps its worker; it says when it is left."""

    def __init__(self, sender):
        self.sender = sender

    __enter__ = staticmethod(functools.partial(ctypes.PyDLL(None).usleep, 200_000))

    def __exit__(self, *_):
        self.sender.send("left")


def enter_slowly(sender):
    sender.send("enters")
    with SlowToEnter(sender):
        while True:
            pass


def compute_unpreempted(boss, seconds):
    """Say "computing", and go on for ever in two no_preempt blocks, under a deadline if there is one."""
    with smarm.timeout(seconds), smarm.no_preempt(), smarm.no_preempt():
        smarm.send(boss, "computing")
        while True:
            pass
