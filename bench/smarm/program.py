"""The start of each of our programs: `python -m bench.smarm.NAME [key=value ...]`."""

import sys

import smarm
from bench.common import parameters, report


def run(measure, workers=1, **options):
    """Run measure(**parameters) as the main actor and print what it returns; workers=N is meant for the runtime."""
    arguments = parameters(sys.argv[1:])
    options["workers"] = arguments.pop("workers", workers)
    report(smarm.run(in_main, measure, arguments, **options))


def in_main(measure, arguments):
    return measure(**arguments)


def settle():
    """Let every actor of this worker run until it waits."""
    index = smarm.worker_index()
    smarm.yield_now()
    while smarm.statistics().workers[index].ready:
        smarm.yield_now()
