"""As bench/smarm/first_result.py, with InterpreterPoolExecutor."""

import time
from concurrent.futures import InterpreterPoolExecutor

if __name__ == "__main__":
    with InterpreterPoolExecutor(2) as executor:
        next(executor.map(abs, [1]))
        print(time.monotonic())
