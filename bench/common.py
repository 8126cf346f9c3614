"""What every Python program here shares: arguments, the JSON line, memory, primes, lateness.

A program is run as `python -m bench.smarm.ring actors=1000 laps=100` in the root of the checkout and prints one JSON
line {"value": ..., "unit": ..., "extra": {...}}; the driver reads the last line that starts with a brace.
"""

import json
import os
import sys
import time

PAGE = os.sysconf("SC_PAGE_SIZE")


def parameters(arguments):
    """{"n": 1000} for ["n=1000"]."""
    return {key: int(value) if value.isdigit() else value for key, value in (a.split("=", 1) for a in arguments)}


def report(result):
    """Print a measurement; its keys other than value and unit are extras."""
    line = {"value": result.pop("value"), "unit": result.pop("unit"), "extra": {**result, "cpu_s": time.process_time()}}
    print(json.dumps(line), flush=True)


def main(benchmarks):
    """For files with several: prog BENCHMARK [key=value ...]. A server that was told to stop returns None."""
    result = benchmarks[sys.argv[1]](**parameters(sys.argv[2:]))
    if result is not None:
        report(result)


def rate(count, seconds, unit, **extra):
    return {"value": count / seconds, "unit": unit, "count": count, "seconds": seconds, **extra}


def record(keys):
    """A dict like a row of a table; with 40 keys it is 1 KB pickled."""
    return {f"field_{i:02}": (i * 1001, f"value {i}", i / 7)[i % 3] for i in range(keys)}


def rss():
    """Resident bytes of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


def memory():
    """Resident bytes of this process and the page tables that map them: both are taken by what waits."""
    with open("/proc/self/status") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith(("VmRSS:", "VmPTE:")))


def pss(pids):
    """Proportional bytes of several processes: what they share is divided between them."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            total += next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return total


def is_prime(n):
    if n < 2:
        return False
    if n % 2 == 0:
        return n == 2
    d = 3
    while d * d <= n:
        if n % d == 0:
            return False
        d += 2
    return True


def count_primes(first, end):
    """The same trial division in every language."""
    total = 0
    for n in range(first, end):
        if is_prime(n):
            total += 1
    return total


def ranges(limit, parts):
    return [(limit * i // parts, limit * (i + 1) // parts) for i in range(parts)]


PRIMES_BELOW = {2_000: 303, 2_000_000: 148933}


def primes_result(total, limit, seconds, **extra):
    assert PRIMES_BELOW.get(limit, total) == total, total
    return {"value": seconds, "unit": "s", "primes": total, **extra}


def percentile(ordered, part):
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def lateness(seconds):
    """Milliseconds: p50, p99 and max of a list of seconds."""
    ordered = sorted(seconds)
    return {
        "late_p50_ms": percentile(ordered, 0.5) * 1e3,
        "late_p99_ms": percentile(ordered, 0.99) * 1e3,
        "late_max_ms": ordered[-1] * 1e3,
        "late_samples": len(ordered),
    }


def spin(end):
    """A loop that never yields until perf_counter() is `end`; returns how far it counted."""
    done = 0
    while time.perf_counter() < end:
        i = 0
        while i < 10_000:
            i += 1
        done += i
    return done


def hog(seconds):
    return spin(time.perf_counter() + seconds)


class Ticks:
    """One task that ticks: tick k is due at start + k * period. Every tick that has come due is counted when the task
    gets to run, so that a stall is charged to all the ticks it covered."""

    def __init__(self, start, period, seconds, late):
        self.start, self.period, self.late = start, period, late
        self.last = int(seconds / period)
        self.k = 1

    def wait(self, now):
        """Seconds until the next tick, or None when all are done."""
        while self.k <= self.last:
            due = self.start + self.k * self.period
            if due > now:
                return due - now
            self.late.append(now - due)
            self.k += 1
        return None
