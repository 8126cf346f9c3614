"""An exit or deadline that ends where nobody can catch it is raised again, silently."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import math
import sys
import threading
import time

import pytest
import stuck_clean_up

import smarm

PATIENCE = 60.0


def spin(seconds=600.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def in_del(started):
    class Watched:
        def __del__(self):
            started()
            smarm.sleep(600)

    while True:
        Watched()


def in_handle(started):
    def callback():
        started()
        spin()

    async def main():
        asyncio.get_running_loop().call_soon(callback)
        while True:
            await asyncio.sleep(0.01)

    asyncio.run(main())


async def compute(started):
    started()
    spin()


def in_task_that_is_kept(started):
    async def main():
        task = asyncio.create_task(compute(started))
        while True:
            await asyncio.sleep(0.01)
            assert task

    asyncio.run(main())


def in_task_that_is_dropped(started):
    async def main():
        asyncio.create_task(compute(started))  # noqa: RUF006
        while True:
            await asyncio.sleep(0.01)

    asyncio.run(main())


def in_task_that_is_awaited(started):
    async def main():
        await asyncio.create_task(compute(started))

    asyncio.run(main())


def in_asyncio_group(started):
    async def main():
        async with asyncio.TaskGroup() as group, asyncio.TaskGroup() as inner:
            group.create_task(asyncio.sleep(600))
            inner.create_task(compute(started))

    asyncio.run(main())


def in_future(started):
    future = concurrent.futures.Future()
    try:
        started()
        spin()
    except BaseException as error:
        future.set_exception(error)
    smarm.sleep(600)


def in_thread_hook(started):
    try:
        started()
        spin()
    except BaseException:
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), None)))
    smarm.sleep(600)


PLACES = [in_del, in_future, in_thread_hook]
# A kill is raised at each wait of a loop that cancels its tasks, too, so that asyncio complains of what it could not finish.
LOOPS = [in_handle, in_task_that_is_kept, in_task_that_is_dropped, in_task_that_is_awaited, in_asyncio_group]
CASES = [(place, how) for place in PLACES for how in ("exit", "kill", "deadline")] + [
    (place, how) for place in LOOPS for how in ("exit", "deadline")
]


def end_of(handle):
    try:
        handle.join(timeout=PATIENCE)
    except smarm.ActorKilled as error:
        return error.reason
    except smarm.ActorFailed as error:
        return type(error.__cause__)


@pytest.mark.parametrize(("place", "how"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_it_is_raised_again(place, how, capfd):
    def main():
        sender, receiver = smarm.channel()

        def started():
            with smarm.shield():
                sender.send(None)

        def limited():
            with smarm.timeout(0.05):
                place(started)

        handle = smarm.spawn(limited if how == "deadline" else lambda: place(started), on="local")
        receiver.recv(timeout=PATIENCE)
        if how != "deadline":
            assert (smarm.exit(handle.pid, "enough") if how == "exit" else smarm.kill(handle.pid)) is True
        end = end_of(handle)
        del handle
        gc.collect()
        return end

    expected = {"exit": "enough", "kill": "killed", "deadline": smarm.Timeout}
    assert smarm.run(main, workers=1) == expected[how]
    assert capfd.readouterr().err == ""


def test_a_hook_of_the_program_sees_the_programs_own_exceptions_only():
    def main():
        seen = []
        sys.unraisablehook = lambda unraisable: seen.append(unraisable.exc_type)

        class Faulty:
            def __del__(self):
                raise ValueError

        class Exiting:
            def __del__(self):
                raise smarm.ActorExit("of its own accord")

        def parks(started):
            Faulty()
            Exiting()
            in_del(started)

        sender, receiver = smarm.channel()
        handle = smarm.spawn(lambda: parks(lambda: sender.send(None)), on="local")
        receiver.recv(timeout=PATIENCE)
        smarm.exit(handle.pid, "enough")
        assert end_of(handle) == "enough"
        return seen

    previous = sys.unraisablehook
    try:
        assert smarm.run(main, workers=1) == [ValueError, smarm.ActorExit]
    finally:
        sys.unraisablehook = previous


def test_what_a_program_swallows_itself_is_not_raised_again():
    def main():
        def swallow(started):
            try:
                started()
                smarm.sleep(600)
            except smarm.ActorExit as error:
                reason = error.reason
            return reason

        sender, receiver = smarm.channel()
        handle = smarm.spawn(lambda: swallow(lambda: sender.send(None)), on="local")
        receiver.recv(timeout=PATIENCE)
        smarm.exit(handle.pid, "enough")
        return handle.join(timeout=PATIENCE)

    assert smarm.run(main, workers=1) == "enough"


# ---- while it unwinds --------------------------------------------------------------------------------------------------


LOCKS = {
    "Lock": threading.Lock,
    "RLock": threading.RLock,
    "Mutex": smarm.Mutex,
    "Semaphore": lambda: smarm.Semaphore(1),
}


def take(lock):
    if isinstance(lock, (smarm.Mutex, smarm.Semaphore)):
        lock.acquire(timeout=math.inf)
    else:
        lock.acquire()


@pytest.mark.parametrize("kind", LOCKS)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("first", ["exit", "kill", "deadline"])
def test_a_lock_is_taken_while_an_exit_unwinds_whatever_comes_next(kind, nested, first):
    """The clean-up waits for its lock although a deadline and a kill follow, also under an except inside it."""

    def main():
        lock = LOCKS[kind]()
        sender, receiver = smarm.channel()
        log = []

        def clean_up():
            sender.send("cleaning up")
            take(lock)
            log.append("got it")
            lock.release()

        def body():
            try:
                sender.send("ready")
                smarm.sleep(600)
            finally:
                if nested:
                    try:
                        raise KeyError
                    except KeyError:
                        clean_up()
                else:
                    clean_up()

        def victim():
            with smarm.timeout(0.05 if first == "deadline" else None):
                body()

        take(lock)
        handle = smarm.spawn(victim, on="local")
        assert receiver.recv(timeout=PATIENCE) == "ready"
        if first != "deadline":
            (smarm.kill if first == "kill" else lambda pid: smarm.exit(pid, "enough"))(handle.pid)
        assert receiver.recv(timeout=PATIENCE) == "cleaning up"
        smarm.sleep(0.02)
        smarm.kill(handle.pid)
        smarm.sleep(0.02)
        lock.release()
        end_of(handle)
        return log

    assert smarm.run(main, workers=1) == ["got it"]


@pytest.mark.parametrize("kind", stuck_clean_up.WAYS)
def test_a_lock_that_stays_taken_holds_a_kill_up_for_kill_patience_only(kind):
    def main():
        handle = smarm.spawn(stuck_clean_up.be_stuck, kind, smarm.self(), on="local")
        assert smarm.receive(timeout=PATIENCE) == "held"
        smarm.kill(handle.pid)
        return end_of(handle)

    # What leaves the block of an RLock that it has not got back says so.
    expected = RuntimeError if kind == "Condition of an RLock" else "killed"
    assert smarm.run(main, workers=1, kill_patience=0.1) == expected
