"""Bytes of 64 MiB go from core to core and back; every one-way transfer is a pass."""

import time

import smarm
from bench.smarm.program import run


def bounce(receiver, sender, rounds):
    for _ in range(rounds):
        data = receiver.recv()
        assert data[0] == data[-1] == 7
        sender.send(data)


def measure(mib=64, passes=40):
    size, rounds = mib << 20, passes // 2
    data = b"\7" * size
    to_other, at_other = smarm.channel()
    to_main, at_main = smarm.channel()
    other = smarm.spawn(bounce, at_other, to_main, rounds, on=1)
    start = time.perf_counter()
    for _ in range(rounds):
        to_other.send(data)
        data = at_main.recv()
        assert data[0] == data[-1] == 7
    elapsed = time.perf_counter() - start
    other.join()
    return {"value": size * passes / elapsed / 1e9, "unit": "GB/s", "per_pass_us": elapsed / passes * 1e6}


if __name__ == "__main__":
    run(measure, workers=2)
