"""Eight producers, one consumer; via="channel" (capacity 0: unbounded) or "mailbox"."""

import time

import smarm
from bench.common import rate
from bench.smarm.program import run


def over_channel(n, producers, capacity):
    sender, receiver = smarm.channel(capacity or None)

    def produce():
        send = sender.send
        for i in range(n // producers):
            send(i)

    def consume():
        receive = receiver.recv
        for _ in range(n):
            receive()

    return [smarm.spawn(consume)] + [smarm.spawn(produce) for _ in range(producers)]


def over_mailbox(n, producers, _capacity):
    def produce(consumer):
        send = smarm.send
        for i in range(n // producers):
            send(consumer, i)

    def consume():
        receive = smarm.receive
        for _ in range(n):
            receive()

    consumer = smarm.spawn(consume)
    return [consumer] + [smarm.spawn(produce, consumer.pid) for _ in range(producers)]


def measure(n=1_000_000, producers=8, capacity=1024, via="channel"):
    start = time.perf_counter()
    smarm.join_all((over_channel if via == "channel" else over_mailbox)(n, producers, capacity))
    return rate(n, time.perf_counter() - start, "msgs/s")


if __name__ == "__main__":
    run(measure)
