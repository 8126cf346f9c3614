"""Memory per parked actor that waits for its mailbox or a channel of its own, and the time to make and to wake all."""

import time

import smarm
from bench.smarm.program import run, settle


def wait_for_message():
    smarm.receive()


def wait_for_channel(receiver):
    receiver.recv()


def measure(n=100_000, via="mailbox", stack=None):
    before, start = smarm.statistics(), time.perf_counter()
    if via == "mailbox":
        handles = [smarm.spawn(wait_for_message, on="local", stack_size=stack) for _ in range(n)]
    else:
        channels = [smarm.channel() for _ in range(n)]
        handles = [smarm.spawn(wait_for_channel, receiver, on="local", stack_size=stack) for _, receiver in channels]
    settle()
    created = time.perf_counter() - start
    after = smarm.statistics()
    resident = (after.resident_bytes - before.resident_bytes) / n
    tables = (after.page_table_bytes - before.page_table_bytes) / n
    with open("/proc/self/maps") as file:
        mappings = sum(1 for _ in file)
    start = time.perf_counter()
    if via == "mailbox":
        for handle in handles:
            smarm.send(handle.pid, None)
    else:
        for sender, _ in channels:
            sender.send(None)
    smarm.join_all(handles)
    woken = time.perf_counter() - start
    return {
        "value": resident + tables,
        "unit": "bytes/task",
        "resident_bytes": resident,
        "page_table_bytes": tables,
        "create_s": created,
        "wake_all_s": woken,
        "mappings": mappings,
    }


if __name__ == "__main__":
    run(measure)
