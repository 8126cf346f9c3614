"""As bench/smarm/first_result.py, with joblib."""

import time


def work(number):
    return number


if __name__ == "__main__":
    from joblib import Parallel, delayed

    Parallel(n_jobs=2)(delayed(work)(number) for number in [1])
    print(time.monotonic())
