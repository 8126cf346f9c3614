"""Wall time of starting a program until it has ended, milliseconds: python -m bench.start_up COMMAND..."""

import statistics
import subprocess
import sys
import time

from bench.common import report


def one_start(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1e3


def measure(command, repeats=15):
    one_start(command)  # byte code and page cache
    return {"value": statistics.median(one_start(command) for _ in range(repeats)), "unit": "ms"}


if __name__ == "__main__":
    report(measure(sys.argv[1:]))
