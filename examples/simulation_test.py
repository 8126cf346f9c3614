"""A test that tries many interleavings: pytest examples/simulation_test.py, or python examples/simulation_test.py

The bank's transfer reads, works and writes: another transfer in between is lost.  With the lock it is not.
"""

from collections.abc import Callable

import smarm
from smarm.testing import SeedFailed, explore


def transfers(lock: Callable[[], smarm.Mutex] | None) -> None:
    """Let two actors transfer money at the same time, and check what is there."""
    balance = {"ada": 100, "grace": 0}
    mutex = lock() if lock else None

    def move(amount: int) -> None:
        left, right = balance["ada"], balance["grace"]
        smarm.sleep(0.001)  # a slow ledger
        balance["ada"], balance["grace"] = left - amount, right + amount

    def transfer(amount: int) -> None:
        if mutex is None:
            move(amount)
        else:
            with mutex.hold(timeout=1):
                move(amount)

    smarm.join_all([smarm.spawn(transfer, amount) for amount in (10, 20)])
    assert balance == {"ada": 70, "grace": 30}, balance


def test_transfers_with_the_lock_are_never_lost() -> None:
    explore(transfers, smarm.Mutex, seeds=range(50))


def test_without_the_lock_a_seed_shows_it() -> None:
    try:
        explore(transfers, None, seeds=range(50))
    except SeedFailed as failed:
        print(f"seed {failed.seed}: {failed.__cause__}")
    else:
        raise AssertionError("no interleaving lost a transfer")


if __name__ == "__main__":
    test_transfers_with_the_lock_are_never_lost()
    test_without_the_lock_a_seed_shows_it()
    print("both are as they should be")
