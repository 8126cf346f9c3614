"""The process that the soak watches: python -m tests.soak.load MINUTES SEED

Runs jobs on all workers until the time is over and prints a line of JSON every few seconds.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time

import smarm
from tests.soak.jobs import JOBS, PATIENCE

AT_ONCE = 100  # jobs that run together
INTERVAL = 2.0  # seconds between two lines


def run_job(name, seed):
    """Run the job of that name. Its failure says how to run it alone."""
    job = next(job for job in JOBS if job.__name__ == name)
    try:
        job(random.Random(seed))
    except Exception as error:
        error.add_note(f"this was tests.soak.jobs.{name}(random.Random({seed}))")
        raise


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure():
    """Return what must stay flat, and how much there was to do."""
    statistics = smarm.statistics()
    return {
        "resident": resident(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "python_threads": threading.active_count(),
        "actors": statistics.actors,
        "preemptions": sum(worker.preemptions for worker in statistics.workers),
        "switches": sum(worker.switches for worker in statistics.workers),
    }


def report(start, jobs):
    print(json.dumps({"seconds": round(time.monotonic() - start, 1), "jobs": jobs} | measure()), flush=True)


def main(seconds, seed):
    chance = random.Random(seed)
    start = time.monotonic()
    next_report = start + INTERVAL
    jobs = 0
    while time.monotonic() - start < seconds:
        handles = [
            smarm.spawn(run_job, chance.choice(JOBS).__name__, chance.randrange(2**32), name=f"job {jobs + number}")
            for number in range(AT_ONCE)
        ]
        smarm.join_all(handles, 2 * PATIENCE)
        jobs += AT_ONCE
        if time.monotonic() >= next_report:
            next_report += INTERVAL
            report(start, jobs)
    report(start, jobs)


if __name__ == "__main__":
    smarm.run(main, 60 * float(sys.argv[1]), int(sys.argv[2]), workers=int(sys.argv[3]), time_slice=float(sys.argv[4]))
