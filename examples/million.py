"""Park many actors and print what one costs: python examples/million.py [ACTORS]   (1,000,000 need about 6 GB)"""

import sys
import time

import smarm


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def wait_for_message():
    return smarm.receive()


def main(actors):
    before, start = resident(), time.perf_counter()
    handles = [smarm.spawn(wait_for_message, on="local") for _ in range(actors)]
    while smarm.statistics().workers[0].ready:
        smarm.yield_now()
    created = time.perf_counter() - start
    each = (resident() - before) / actors
    with open("/proc/self/maps") as file:
        mappings = sum(1 for _ in file)
    print(
        f"{actors:,} parked actors in {created:.1f} s: {each:,.0f} bytes each, {mappings} memory mappings in the process"
    )
    start = time.perf_counter()
    for handle in handles:
        smarm.send(handle.pid, None)
    for handle in handles:
        handle.join()
    print(f"woken and joined in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    smarm.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, workers=1)
