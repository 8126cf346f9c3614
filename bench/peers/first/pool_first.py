"""As bench/smarm/first_result.py, with multiprocessing.Pool."""

import multiprocessing
import time


def work(number):
    return number


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        next(pool.imap(work, [1]))
        print(time.monotonic())
