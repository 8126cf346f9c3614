"""A script whose first result comes from a worker; prints when."""

import time

import smarm


def work(number):
    return number


next(smarm.map(work, [1]))
print(time.monotonic())
