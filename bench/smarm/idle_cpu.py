"""Actors that all wait: CPU time that the process uses meanwhile."""

import time

import smarm
from bench.smarm.program import run, settle


def wait_for_message():
    smarm.receive()


def measure(n=10_000, seconds=3):
    handles = [smarm.spawn(wait_for_message) for _ in range(n)]
    handles += [smarm.spawn(wait_for_message, on=index) for index in range(len(smarm.statistics().workers))]
    settle()
    smarm.sleep(0.5)
    before = time.process_time()
    smarm.sleep(seconds)
    used = time.process_time() - before
    for handle in handles:
        smarm.send(handle.pid, None)
    smarm.join_all(handles)
    return {"value": 100 * used / seconds, "unit": "% of one CPU"}


if __name__ == "__main__":
    run(measure, workers=2)
