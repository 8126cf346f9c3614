"""Threads that are no actors get the interpreter of a busy worker now and then."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

import smarm


def counting_thread(counts):
    """Start a plain thread that counts how often it got the interpreter; return its off switch."""
    stop = threading.Event()

    def run():
        while not stop.is_set():
            counts.append(None)
            time.sleep(0)  # gives the GIL away, and wants it back

    _thread.start_new_thread(run, ())
    return stop


def where():
    return smarm.worker_index()


def yield_for_ever():
    while True:
        smarm.yield_now()


@pytest.mark.parametrize("actors", [1, 2, 100])
def test_a_plain_thread_is_not_starved_by_actors_that_switch_all_the_time(alone, actors, wait_until):
    def main():
        counts = []
        stop = counting_thread(counts)
        for _ in range(actors - 1):
            smarm.spawn(yield_for_ever, on="local")
        wait_until(lambda: len(counts) >= 200)
        stop.set()

    alone(main)


def test_blocking_calls_make_progress_beside_actors_that_switch_all_the_time(alone):
    def main():
        for _ in range(2):
            smarm.spawn(yield_for_ever, on="local")
        return [smarm.block_on_io(lambda number: number * number, number) for number in range(50)]

    assert alone(main) == [number * number for number in range(50)]


def test_a_worker_starts_beside_a_main_lane_that_switches_all_the_time():
    """On 3.13 a worker imports some modules with the main interpreter's GIL."""

    def main():
        smarm.spawn(yield_for_ever, on="main")
        return smarm.spawn(where, on=1).join()

    for _ in range(5):
        assert smarm.run(main, workers=2) == 1
