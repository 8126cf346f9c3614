"""Run everything together for a long time and watch: python -m tests.soak [--minutes N] [--seed S] [--only LOAD]

Four loads share the time: everything at once (load.py), random kills under a supervision tree (kills.py), random deadlines, exits
and kills against every call that takes or gives (cancellation.py), and against asyncio programs, with signals, too (asyncio_programs.py).

A hang (no report for a minute) ends with the dump of all actors, a crash with the native traceback; memory, descriptors,
threads and actors must stay flat.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

HANG = 150.0  # seconds without a report
FLAT = 1.10  # of the memory after the first third of the time
SLACK = 8 << 20  # bytes, for the interpreters' arenas
LOADS = {
    "everything": "tests.soak.load",
    "kills": "tests.soak.kills",
    "cancellation": "tests.soak.cancellation",
    "asyncio": "tests.soak.asyncio_programs",
}


class Failure(Exception):
    """What went wrong, in a sentence."""


def watch(command: list[str]) -> list[dict[str, Any]]:
    """Run the load to its end and return its reports."""
    lines: queue.Queue[str] = queue.Queue()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None

    def read(stream: Any = process.stdout) -> None:
        for line in stream:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    reports: list[dict[str, Any]] = []
    while True:
        try:
            line = lines.get(timeout=HANG)
        except queue.Empty:
            process.send_signal(signal.SIGQUIT)  # every actor with its traceback
            time.sleep(5)
            process.send_signal(signal.SIGABRT)  # every thread's Python stack
            process.wait()
            raise Failure(f"no report for {HANG:g} s: see the dump above") from None
        if not line:
            break
        reports.append(json.loads(line))
        print(" ".join(f"{name}={value}" for name, value in reports[-1].items()), flush=True)
    if process.wait() != 0:
        raise Failure(f"the load ended with code {process.returncode}")
    return reports


def check(reports: list[dict[str, Any]]) -> None:
    """Compare the last third with the second one; the first warms up."""
    third = len(reports) // 3
    if third < 3:
        return
    middle, last = reports[third : 2 * third], reports[2 * third :]

    def median(of: list[dict[str, Any]], name: str) -> float:
        return statistics.median(report[name] for report in of)

    before, after = median(middle, "resident"), median(last, "resident")
    if after > before * FLAT and after > before + SLACK:
        raise Failure(f"memory grew from {before / 1e6:.1f} to {after / 1e6:.1f} MB")
    for name, slack in (("descriptors", 20), ("threads", 8), ("python_threads", 4), ("actors", 40)):
        if median(last, name) > median(middle, name) + slack:
            raise Failure(f"{name} grew from {median(middle, name):g} to {median(last, name):g}")


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=None, help="of the order of the jobs (default: a new one)")
    parser.add_argument("--only", choices=LOADS, help="this load, for all of the time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--time-slice", type=float, default=1e-4, help="seconds; short, so that there is much preemption"
    )
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    loads = [options.only] if options.only else list(LOADS)
    minutes = options.minutes / len(loads)
    for load in loads:
        print(
            f"soak: {load} for {minutes:g} minutes; again with: ./dev soak --minutes {minutes:g} --seed {seed} --only {load}",
            flush=True,
        )
        command = [sys.executable, "-X", "faulthandler", "-m", LOADS[load], str(minutes), str(seed)]
        command += [str(options.workers), str(options.time_slice)]
        try:
            reports = watch(command)
            check(reports)
        except Failure as failure:
            print(f"soak: failed: {failure}", file=sys.stderr)
            return 1
        print(f"soak: {load} passed: {reports[-1]['jobs']} jobs, {reports[-1]['preemptions']} preemptions", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
