"""64 MiB go from core to core and back; every one-way transfer is a pass. via="buffer" (moved), "frozen" (shared) or "bytes"."""

import time

import smarm
from bench.smarm.program import run


def bounce(receiver, sender, rounds):
    for _ in range(rounds):
        data = receiver.recv()
        assert data[0] == data[-1] == 7
        sender.send(data)


def payload(size, via):
    data = b"\7" * size
    if via == "bytes":
        return data
    return smarm.Buffer(data).freeze() if via == "frozen" else smarm.Buffer(data)


def measure(mib=64, passes=40, via="buffer", size=0):
    size = size or mib << 20
    rounds = passes // 2
    data = payload(size, via)
    to_other, at_other = smarm.channel()
    to_main, at_main = smarm.channel()
    other = smarm.spawn(bounce, at_other, to_main, rounds + 1, on=1)
    to_other.send(data)
    data = at_main.recv()  # the other worker has started
    copies = smarm.statistics().buffers.payload_copies
    start = time.perf_counter()
    for _ in range(rounds):
        to_other.send(data)
        data = at_main.recv()
        assert data[0] == data[-1] == 7
    elapsed = time.perf_counter() - start
    copies = smarm.statistics().buffers.payload_copies - copies
    other.join()
    return {
        "value": size * passes / elapsed / 1e9,
        "unit": "GB/s",
        "per_pass_us": elapsed / passes * 1e6,
        "copies": copies / passes,
    }


if __name__ == "__main__":
    run(measure, workers=2)
