"""Wake n waiting actors in random order, one at a time: a resume and a park each, with what the caches miss.

The value is the mean of the visits; loop_us is the mean of a round of the loop, with the next pid, the clock and the list.
"""

import random
import time

import smarm
from bench.common import percentile
from bench.smarm.program import run, settle


def measure(n=100_000, visits=300_000):
    sender, receiver = smarm.channel()

    def node():
        send, receive = sender.send, smarm.receive
        while receive() is not None:
            send(1)

    handles = [smarm.spawn(node) for _ in range(n)]
    settle()
    pids = [handle.pid for handle in handles]
    order = [random.choice(pids) for _ in range(visits)]
    send, receive, now = smarm.send, receiver.recv, time.perf_counter
    times = []
    start = now()
    for pid in order:
        before = now()
        send(pid, 1)
        receive()
        times.append(now() - before)
    elapsed = now() - start
    for pid in pids:
        send(pid, None)
    smarm.join_all(handles)
    times.sort()
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    return {
        "value": sum(times) / visits * 1e6,
        "unit": "us/visit",
        "p50_us": p50 * 1e6,
        "p99_us": p99 * 1e6,
        "loop_us": elapsed / visits * 1e6,
    }


if __name__ == "__main__":
    run(measure)
