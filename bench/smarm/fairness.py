"""Actors that tick beside `while True: pass`, all on one worker: how late they tick, and what that costs the hog.

parked=N: N more actors wait for a message meanwhile.
"""

import time

import smarm
from bench.common import Ticks, lateness, spin
from bench.smarm.program import run, settle


def measure(tickers=100, period_ms=10, seconds=3, parked=0):
    late = []
    for _ in range(parked):
        smarm.spawn(lambda: smarm.receive())
    settle()

    def ticker(start):
        ticks = Ticks(start, period_ms / 1e3, seconds, late)
        while (wait := ticks.wait(time.perf_counter())) is not None:
            smarm.sleep(wait)

    def hog(end):
        return spin(end)

    def busy():
        while True:
            pass

    alone = smarm.spawn(hog, time.perf_counter() + 1).join()  # nobody else wants the worker
    start = time.perf_counter()
    actors = [smarm.spawn(ticker, start) for _ in range(tickers)]
    counting = smarm.spawn(hog, start + seconds)
    smarm.join_all(actors)
    beside = counting.join()
    counted = lateness(late)

    late.clear()  # the same with a hog that never ends and calls nothing
    endless = smarm.spawn(busy)
    start = time.perf_counter()
    smarm.join_all([smarm.spawn(ticker, start) for _ in range(tickers)])
    smarm.kill(endless.pid)
    endless.observe()
    bare = {f"busy_{key}": value for key, value in lateness(late).items()}
    return {
        "value": counted["late_p99_ms"],
        "unit": "ms",
        **counted,
        **bare,
        "hog_iters": beside,
        "hog_share_percent": 100 * (beside / seconds) / alone,
    }


if __name__ == "__main__":
    run(measure)
