"""Estimate pi by throwing darts on every core, with a live progress bar: python examples/monte_carlo.py [MILLIONS]

The bar is rich's or tqdm's, where one is installed, else a plain line; on standard error, if that is a terminal.
"""

import math
import random
import sys

import smarm

DARTS = 10_000  # in one item


def throw(seed: int) -> int:
    """Return how many of some darts hit the quarter of the circle."""
    darts = random.Random(seed)
    return sum(darts.random() ** 2 + darts.random() ** 2 <= 1 for _ in range(DARTS))


def main(millions: float) -> None:
    rounds = max(1, int(millions * 1_000_000 / DARTS))
    hits = thrown = 0
    for hit in smarm.map(throw, range(rounds), ordered=False, progress=sys.stderr.isatty()):
        hits += hit
        thrown += DARTS
    estimate = 4 * hits / thrown
    print(f"pi is about {estimate:.4f}, {abs(estimate - math.pi):.4f} off, by {thrown:,} darts")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
