"""An actor that runs trio ends by cancellation, as a program does with a KeyboardInterrupt."""

from __future__ import annotations

import pytest
import trio

import smarm

PATIENCE = 60.0


async def sleeping(started, log):
    try:
        started()
        await trio.sleep(PATIENCE)
    finally:
        log.append("left")


async def polling(started, log):
    try:
        started()
        while True:
            await trio.sleep(0)
    finally:
        log.append("left")


async def computing(started, log):
    try:
        started()
        while True:
            pass
    finally:
        log.append("left")


async def with_children(started, log):
    async with trio.open_nursery() as inner, trio.open_nursery() as nursery:
        inner.start_soon(sleeping, int, log)
        nursery.start_soon(polling, int, log)
        nursery.start_soon(sleeping, started, log)


async def in_a_thread(started, log):
    try:
        await trio.to_thread.run_sync(int)
        started()
        await trio.sleep(PATIENCE)
    finally:
        log.append("left")


async def cleaning_up(started, log):
    try:
        started()
        await trio.sleep(PATIENCE)
    finally:
        with trio.CancelScope(shield=True):
            for _ in range(3):
                await trio.sleep(0.01)
            log.append("left")


PROGRAMS = [sleeping, polling, computing, with_children, in_a_thread, cleaning_up]


def main(program, how):
    sender, receiver = smarm.channel()
    log = []

    def limited():
        with smarm.timeout(0.1):
            trio.run(program, int, log)

    if how == "deadline":
        handle = smarm.spawn(limited, on="local")
    else:
        handle = smarm.spawn(lambda: trio.run(program, lambda: sender.send(None), log), on="local")
        receiver.recv(timeout=PATIENCE)
        smarm.sleep(0.01)
        smarm.kill(handle.pid) if how == "kill" else smarm.exit(handle.pid, "enough")
    try:
        handle.join(timeout=PATIENCE)
        return "returned", log
    except smarm.ActorKilled as error:
        return error.reason, log
    except smarm.ActorFailed as error:
        return type(error.__cause__), log


@pytest.mark.parametrize("how", ["exit", "deadline"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_main_task_is_cancelled(program, how, capfd):
    end, log = smarm.run(main, program, how, workers=1)
    assert end == {"exit": "enough", "deadline": smarm.Timeout}[how]
    assert log == ["left"] * (3 if program is with_children else 1)
    assert capfd.readouterr().err == ""


# A kill is given to the main task again after kill_patience; what waits behind a shield of trio's is left to end.
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_kill_ends_it(program, capfd):
    end, log = smarm.run(main, program, "kill", workers=1, kill_patience=0.2)
    assert (end, set(log)) == ("killed", {"left"})
    assert capfd.readouterr().err == ""


def test_a_task_that_goes_on_is_killed_again():
    async def stubborn(started, log):
        started()
        for _ in range(3):
            try:
                await trio.sleep(PATIENCE)
            except smarm.ActorExit:
                log.append("told")

    end, log = smarm.run(main, stubborn, "kill", workers=1, kill_patience=0.1)
    assert (end, log) == ("returned", ["told"] * 3)


def test_an_actor_is_told_after_a_main_task_that_ends_meanwhile():
    def work(log, started):
        async def program():
            started()
            with trio.CancelScope(shield=True):
                await trio.sleep(0.1)

        trio.run(program)
        log.append("ended")
        smarm.sleep(PATIENCE)

    def start():
        log = []
        sender, receiver = smarm.channel()
        handle = smarm.spawn(lambda: work(log, lambda: sender.send(None)), on="local")
        receiver.recv()
        smarm.exit(handle.pid, "enough")
        with pytest.raises(smarm.ActorKilled):
            handle.join(timeout=PATIENCE)
        return log

    assert smarm.run(start, workers=1) in ([], ["ended"])
