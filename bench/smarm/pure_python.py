"""A plain Python program inside an actor: alone on the worker, or beside `tickers` actors that wake every 10 ms."""

import smarm
from bench.pure_python import BENCHMARKS, best_of
from bench.smarm.program import run


def measure(benchmark="calls", tickers=0, repeats=7):
    def tick():
        while True:
            smarm.sleep(0.01)

    for _ in range(tickers):
        smarm.spawn(tick)
    elapsed = smarm.spawn(best_of, BENCHMARKS[benchmark], repeats, on="local").join()
    return {"value": elapsed, "unit": "s", "preemptions": smarm.statistics().workers[0].preemptions}


if __name__ == "__main__":
    run(measure)
