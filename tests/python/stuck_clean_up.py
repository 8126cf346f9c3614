"""Actors that wait in vain for a lock while they are unwound."""

from __future__ import annotations

import math
import threading

import smarm


def in_finally(*takes):
    """Take one after the other, each in a clean-up of its own, as nested with blocks do."""

    def clean_up(takes):
        try:
            takes[0]()
        finally:
            if takes[1:]:
                clean_up(takes[1:])

    def victim(ready):
        try:
            ready()
            smarm.sleep(600)
        finally:
            clean_up(takes)

    return victim


def lock(kind):
    held = kind()
    return in_finally(held.acquire), held.acquire


def two_locks():
    first, second = threading.Lock(), threading.Lock()

    def hold():
        first.acquire()
        second.acquire()

    return in_finally(first.acquire, second.acquire), hold


def own_lock(held):
    return in_finally(lambda: held.acquire(math.inf)), lambda: held.acquire(math.inf)


def condition(lock):
    """What takes the lock back is Condition.wait."""
    condition = threading.Condition(lock)

    def victim(ready):
        with condition:
            ready()
            condition.wait()

    return victim, condition.acquire


# Each makes two functions: what the actor does, which calls ready() before it waits to be asked to end, and what somebody else
# calls then, who keeps the lock.
WAYS = {
    "Lock": lambda: lock(threading.Lock),
    "RLock": lambda: lock(threading.RLock),
    "two Locks": two_locks,
    "Condition of a Lock": lambda: condition(threading.Lock()),
    "Condition of an RLock": lambda: condition(threading.RLock()),
    "Mutex": lambda: own_lock(smarm.Mutex()),
    "Semaphore": lambda: own_lock(smarm.Semaphore(1)),
}


def be_stuck(kind, boss):
    """Tell the boss "held" when this actor, once it is asked to end, cannot have its lock any more."""
    victim, hold = WAYS[kind]()
    waits = smarm.Event()
    me = smarm.self()

    def keep():
        waits.wait(timeout=60)
        with smarm.shield():
            hold()
            ref = smarm.monitor(me)
            smarm.send(boss, "held")
            smarm.receive(ref)

    smarm.spawn(keep, on="local").observe()
    victim(waits.set)
