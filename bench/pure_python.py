"""Python programs that know nothing of actors; `python -m bench.pure_python NAME` times one in a plain interpreter."""

import json
import re
import sys
import time

from bench.common import report


def calls(n=30):
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    return fib(n)


def floats(n=1_500_000):
    x, y, total = 0.5, 0.25, 0.0
    for _ in range(n):
        x, y = x * 0.99 + y * 0.01, y * 0.98 + x * 0.02
        total += x * y
    return total


def containers(n=250_000):
    counts = {}
    for i in range(n):
        counts[i % 1009] = [*counts.get(i % 1009, [])[-3:], i]
    return sum(sum(values) for values in counts.values())


def strings(n=150_000):
    parts = [f"{i:05d}-{i * 7 % 101}".upper().replace("-", "/") for i in range(n)]
    return len("".join(parts).split("/"))


class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, by):
        return Point(self.x + by, self.y - by)


def objects(n=500_000):
    point = Point(0, 0)
    for _ in range(n):
        point = point.moved(1)
    return point.x


def library(n=6000):
    total = 0
    pattern = re.compile(r"(\w+)=(\d+)")
    for i in range(n):
        text = json.dumps({"numbers": list(range(30)), "name": f"a={i} b={i + 1}", "nested": {"x": [1.5, None, True]}})
        value = json.loads(text)
        total += sum(int(number) for _, number in pattern.findall(value["name"])) + len(
            sorted(value["numbers"], key=lambda v: -v)
        )
    return total


BENCHMARKS = {function.__name__: function for function in (calls, floats, containers, strings, objects, library)}


def best_of(function, repeats=7):
    """The best of several is what the program costs; the rest is the machine."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    report({"value": best_of(BENCHMARKS[sys.argv[1]]), "unit": "s"})
