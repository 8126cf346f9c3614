"""numpy on workers, from private copies, in run after run: no more memory, mappings and threads than after a few."""

import pytest

PROGRAM = """
    import os
    import smarm

    def work():
        import numpy as np
        return float(np.linalg.inv(np.eye(50) * 2).sum())

    def main():
        return [smarm.spawn(work, on=n).join() for n in (1, 2)]

    def measure():
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        with open("/proc/self/maps") as file:
            return pages * os.sysconf("SC_PAGE_SIZE"), len(file.readlines()), len(os.listdir("/proc/self/task"))

    if __name__ == "__main__":
        measured = []
        for number in range(201):
            assert smarm.run(main, workers=3, extensions="private") == [25.0, 25.0]
            measured.append(measure())
        (memory, mappings, threads), last = measured[20], measured[-1]
        assert last[0] - memory < 5_000_000, measured
        assert last[1] - mappings < 10, measured
        assert last[2] == threads, measured
        print("flat")
"""


@pytest.mark.packages("numpy")
def test_two_hundred_runs_take_no_more_than_twenty(succeed):
    assert succeed(PROGRAM) == "flat\n"
