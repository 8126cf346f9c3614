"""As bench/smarm/first_result.py, with ProcessPoolExecutor."""

import time
from concurrent.futures import ProcessPoolExecutor


def work(number):
    return number


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor:
        next(executor.map(work, [1]))
        print(time.monotonic())
