"""Work over all cores: calls of an Executor, items of map, the first result of a process.

outside=1: outside of any runtime, as a script that has never heard of one would.
"""

import sys

import smarm
from bench.common import parameters, report
from bench.smarm.program import run
from bench.work import Futures, measure_first
from bench.work import measure as measure_work


class Ours(Futures):
    """The Executor, and smarm.map in the place of its own."""

    def map(self, function, items):
        return smarm.map(function, items)


def measure(kind="tiny", n=100_000, arrays="bytearray"):
    with smarm.Executor() as executor:
        return measure_work(Ours(executor), kind, n, arrays)


if __name__ == "__main__":
    arguments = parameters(sys.argv[1:])
    if arguments.get("kind") == "first":
        report(measure_first("bench/smarm/first_result.py", arguments.get("repeats", 11)))
    elif arguments.pop("outside", 0):
        report(measure(**arguments))
    else:
        options = {"extensions": "private"} if arguments.get("arrays") == "numpy" else {}
        run(measure, workers=2, **options)
