"""Two actors of one worker send a number to and fro; via="channel" or "mailbox"."""

import time

import smarm
from bench.common import rate
from bench.smarm.program import run


def over_channels(n):
    to_pong, at_pong = smarm.channel()
    to_ping, at_ping = smarm.channel()

    def pong():
        for _ in range(n):
            to_ping.send(at_pong.recv())

    def ping():
        for i in range(n):
            to_pong.send(i)
            at_ping.recv()

    return [smarm.spawn(pong), smarm.spawn(ping)]


def over_mailboxes(n):
    def pong():
        send, receive = smarm.send, smarm.receive
        other = receive()
        for _ in range(n):
            send(other, receive())

    def ping(other):
        send, receive = smarm.send, smarm.receive
        send(other, smarm.self())
        for i in range(n):
            send(other, i)
            receive()

    other = smarm.spawn(pong)
    return [other, smarm.spawn(ping, other.pid)]


def measure(n=1_000_000, via="channel"):
    start = time.perf_counter()
    smarm.join_all((over_channels if via == "channel" else over_mailboxes)(n))
    return rate(n, time.perf_counter() - start, "round trips/s")


if __name__ == "__main__":
    run(measure)
