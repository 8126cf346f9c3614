"""Eight producers, one consumer; via="channel" (capacity 0: unbounded) or "mailbox"; cross=1: on another worker than it."""

import time

import smarm
from bench.common import rate
from bench.smarm.program import run


def produce_to_channel(sender, n):
    send = sender.send
    for i in range(n):
        send(i)


def produce_to_mailbox(consumer, n):
    send = smarm.send
    for i in range(n):
        send(consumer, i)


def consume(receive, n):
    for _ in range(n):
        receive()


def measure(n=1_000_000, producers=8, capacity=1024, via="channel", cross=0):
    where = 1 if cross else "local"
    if cross:
        smarm.spawn(abs, -1, on=1).join()  # the other worker has started
    start = time.perf_counter()
    if via == "channel":
        sender, receiver = smarm.channel(capacity or None)
        consumer = smarm.spawn(lambda: consume(receiver.recv, n))
        produce, target = produce_to_channel, sender
    else:
        consumer = smarm.spawn(lambda: consume(smarm.receive, n))
        produce, target = produce_to_mailbox, consumer.pid
    handles = [smarm.spawn(produce, target, n // producers, on=where) for _ in range(producers)]
    smarm.join_all([consumer, *handles])
    return rate(n, time.perf_counter() - start, "msgs/s")


if __name__ == "__main__":
    run(measure, workers=2)
