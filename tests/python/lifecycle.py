"""Runtimes made and ended one after another in one process: python lifecycle.py ROUNDS

Prints one line of JSON per round: what the process has when no runtime is there.
"""

from __future__ import annotations

import gc
import json
import os
import sys

from conftest import count_interpreters, count_thread_states

import smarm


def exchange(rx):
    smarm.send(rx.recv(timeout=60), smarm.worker_index())


def main():
    tx, rx = smarm.channel()
    handle = smarm.spawn(exchange, rx, on=1)
    tx.send(smarm.self())
    assert smarm.receive(timeout=60) == 1
    handle.join(timeout=60)


def held():
    gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "resident": resident,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "interpreters": count_interpreters(),
        "thread_states": count_thread_states(),
    }


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        smarm.run(main, workers=2)
        print(json.dumps(held()), flush=True)
