"""Two actors on two workers send a value to and fro; via="channel" or "mailbox".

size=N: bytes of that length; keys=N: a dict of that many, 1 KB pickled with 40.
"""

import time

import smarm
from bench.common import rate, record
from bench.smarm.program import run


def echo_channel(receiver, sender, n):
    for _ in range(n):
        sender.send(receiver.recv())


def echo_mailbox(other, n):
    for _ in range(n):
        smarm.send(other, smarm.receive())


def measure(n=100_000, via="channel", size=0, keys=0):
    value = record(keys) if keys else bytes(size) if size else 1
    if via == "channel":
        to_other, at_other = smarm.channel()
        to_main, at_main = smarm.channel()
        other = smarm.spawn(echo_channel, at_other, to_main, n + 1, on=1)
        send, receive = to_other.send, at_main.recv
    else:
        other = smarm.spawn(echo_mailbox, smarm.self(), n + 1, on=1)
        pid = other.pid
        send, receive = lambda value: smarm.send(pid, value), smarm.receive
    send(value)
    receive()  # the other worker has started
    start = time.perf_counter()
    for _ in range(n):
        send(value)
        receive()
    elapsed = time.perf_counter() - start
    other.join()
    return rate(n, elapsed, "round trips/s", us_each_way=elapsed / n / 2 * 1e6)


if __name__ == "__main__":
    run(measure, workers=2)
