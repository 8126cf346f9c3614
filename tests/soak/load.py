"""The process that the soak watches: python -m tests.soak.load MINUTES SEED WORKERS TIME_SLICE

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


class Reports:
    """Lines of JSON about this process: one every few seconds, and one at the end."""

    def __init__(self):
        self.start = time.monotonic()
        self.next_report = self.start + INTERVAL

    def seconds(self):
        """Return how long it has been going on."""
        return time.monotonic() - self.start

    def write(self, jobs):
        self.next_report = time.monotonic() + INTERVAL
        print(json.dumps({"seconds": round(self.seconds(), 1), "jobs": jobs} | measure()), flush=True)

    def write_if_due(self, jobs):
        if time.monotonic() >= self.next_report:
            self.write(jobs)


def run_from_arguments(main, **options):
    """Run main(seconds, seed, workers) with what this process was given: MINUTES SEED WORKERS TIME_SLICE."""
    minutes, seed, workers, time_slice = sys.argv[1:]
    smarm.run(
        main,
        60 * float(minutes),
        int(seed),
        int(workers),
        workers=int(workers),
        time_slice=float(time_slice),
        **options,
    )


def main(seconds, seed, workers):
    chance = random.Random(seed)
    reports = Reports()
    jobs = 0
    while reports.seconds() < seconds:
        handles = [
            smarm.spawn(run_job, chance.choice(JOBS).__name__, chance.randrange(2**32), name=f"job {jobs + number}")
            for number in range(AT_ONCE)
        ]
        smarm.join_all(handles, 2 * PATIENCE)
        jobs += AT_ONCE
        reports.write_if_due(jobs)
    reports.write(jobs)


if __name__ == "__main__":
    run_from_arguments(main)
