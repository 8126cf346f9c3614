"""Exits that come at any instruction: locks, counts, notifications and module locks survive them."""

from __future__ import annotations

import contextlib
import importlib
import queue
import random
import sys
import threading

import in_workers
import pytest
from locks_helpers import PATIENCE

import smarm


def take_plain(lock):
    while True:
        lock.acquire()
        try:
            pass
        finally:
            lock.release()


def take_with(lock):
    while True:
        with lock:
            pass


def take_stacked(lock):
    while True:
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock)


@pytest.mark.parametrize("loop", [take_plain, take_with, take_stacked])
@pytest.mark.parametrize("make", [threading.Lock, threading.RLock, threading.Condition, threading.Semaphore])
def test_an_exit_between_two_instructions_leaves_no_lock_behind(make, loop):
    """The exit comes in the middle of a slice, at any instruction; what was taken must have been released."""
    lock = make()

    def main():
        for _ in range(30):
            handle = smarm.spawn(lambda: loop(lock), on="local")
            smarm.sleep(0.0005)
            smarm.exit(handle.pid, "enough")
            with pytest.raises(smarm.ActorFailed):
                handle.join(timeout=PATIENCE)
            assert lock.acquire(blocking=False)
            lock.release()

    smarm.run(main, workers=1)


def test_an_exit_at_the_end_of_enter_leaves_the_block():
    def main():
        sender, receiver = smarm.channel()
        handle = smarm.spawn(in_workers.enter_slowly, sender, on=1)
        assert receiver.recv(timeout=PATIENCE) == "enters"
        smarm.sleep(0.05)
        smarm.exit(handle.pid, "enough")
        assert receiver.recv(timeout=PATIENCE) == "left"
        with pytest.raises(smarm.ActorFailed):
            handle.join(timeout=PATIENCE)

    smarm.run(main, workers=2)


def test_an_exit_in_an_import_leaves_no_module_lock_behind(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = [f"left_behind_{number}" for number in range(50)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("value = [number for number in range(3000)]\n")
    chance = random.Random(1)

    def main():
        for name in names:
            doomed = [smarm.spawn(importlib.import_module, name, on="local") for _ in range(2)]
            smarm.sleep(chance.random() * 0.001)
            for handle in doomed:
                smarm.exit(handle.pid, "enough")
            after = smarm.spawn(lambda name=name: len(importlib.import_module(name).value), on="local")
            assert after.join(timeout=PATIENCE) == 3000

    smarm.run(main, workers=1)
    for name in names:
        sys.modules.pop(name, None)


def test_a_notification_that_meets_an_exit_is_not_lost(wait_until_parked):
    items = queue.Queue()

    def consume():
        return items.get(timeout=PATIENCE)

    def main():
        first, second = (smarm.spawn(consume, on="local") for _ in range(2))
        wait_until_parked(second.pid, "a lock")
        items.put("one")
        smarm.exit(first.pid, "enough")
        assert first.join(timeout=PATIENCE) == "one"
        items.put("two")
        assert second.join(timeout=PATIENCE) == "two"

    smarm.run(main, workers=1)
