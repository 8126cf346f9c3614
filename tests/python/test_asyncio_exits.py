"""What an exit, a kill and a deadline do to an actor that runs a loop of asyncio: what the loop runs is cancelled, then they come out of it."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import time

import pytest

import smarm

PATIENCE = 60.0  # seconds; longer is a hang
LONG = 600.0

HOW = pytest.mark.parametrize("how", ["exit", "kill", "deadline"])
EXPECTED = {"exit": "enough", "kill": "killed", "deadline": smarm.Timeout}


def run_in_own_loop(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


RUN = pytest.mark.parametrize("run", [asyncio.run, run_in_own_loop])


def ask(how, pid):
    if how == "exit":
        smarm.exit(pid, "enough")
    elif how == "kill":
        smarm.kill(pid)


def end_of(handle):
    """The reason with which an actor was stopped, or the type of what it failed with, or what it returned."""
    try:
        return handle.join(timeout=PATIENCE)
    except smarm.ActorKilled as error:
        return error.reason
    except smarm.ActorFailed as error:
        return type(error.__cause__)


def end_in_loop(how, run, main):
    """Run main(started) in a loop of an actor of its own, ask the actor to end when it has called started(); how did it?"""
    sender, receiver = smarm.channel()

    def victim():
        with smarm.timeout(0.05 if how == "deadline" else None):
            return run(main(lambda: sender.send(None)))

    handle = smarm.spawn(victim, on="local")
    receiver.recv(timeout=PATIENCE)
    ask(how, handle.pid)
    return end_of(handle)


@HOW
@RUN
def test_main_is_cancelled_first_and_what_it_waits_for_in_its_clean_up_still_runs(how, run, alone):
    def main():
        log = []

        async def serve(stop):
            try:
                await stop.wait()
            except asyncio.CancelledError:
                log.append("cut")
                raise
            log.append("stopped in order")

        async def program(started):
            stop = asyncio.Event()
            server = asyncio.create_task(serve(stop))
            try:
                await asyncio.sleep(0)
                started()
                await asyncio.sleep(LONG)
            finally:
                stop.set()
                await server

        return end_in_loop(how, run, program), log

    assert alone(main) == (EXPECTED[how], ["stopped in order"])


@HOW
def test_what_main_returns_after_it_was_asked_is_returned_by_the_loop(how, alone):
    def main():
        log, asked, scopes = [], [], []

        async def program():
            while not (scopes[0].expired if how == "deadline" else asked):
                pass
            return "value"

        def victim():
            loop = asyncio.new_event_loop()
            with (
                contextlib.closing(loop),
                smarm.timeout(0.01 if how == "deadline" else None, interrupt_after=None) as scope,
            ):
                scopes.append(scope)
                log.append(loop.run_until_complete(program()))
                smarm.check()

        handle = smarm.spawn(victim, on="local")
        while not scopes:
            smarm.yield_now()
        if how == "exit":
            smarm.exit(handle.pid, "enough", interrupt_after=None)
        elif how == "kill":
            smarm.kill(handle.pid, interrupt_after=None)
        asked.append(True)
        return end_of(handle), log

    assert alone(main, time_slice=0.0005) == (EXPECTED[how], ["value"])


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_what_main_returns_in_the_round_in_which_it_would_be_cancelled_is_returned(how, alone):
    def main():
        log, asked, running = [], [], []

        async def program():
            running.append(True)
            while not asked:
                pass
            await asyncio.sleep(0)  # the loop is at a point there, and goes on with this first
            return "value"

        def victim():
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                log.append(loop.run_until_complete(program()))
                smarm.check()

        handle = smarm.spawn(victim, on="local")
        while not running:
            smarm.yield_now()
        if how == "exit":
            smarm.exit(handle.pid, "enough", interrupt_after=None)
        else:
            smarm.kill(handle.pid, interrupt_after=None)
        asked.append(True)
        return end_of(handle), log

    assert alone(main, time_slice=0.0005) == (EXPECTED[how], ["value"])


@HOW
@RUN
def test_what_main_raises_in_its_clean_up_comes_out(how, run, alone):
    def main():
        async def program(started):
            started()
            try:
                await asyncio.sleep(LONG)
            finally:
                raise ValueError

        return end_in_loop(how, run, program)

    assert alone(main) is ValueError


@RUN
def test_a_deadline_cuts_the_clean_up_of_an_exit_and_the_exit_goes_on(run, alone):
    def main():
        log = []

        async def program():
            for _ in range(2):
                try:
                    await asyncio.sleep(LONG)
                except asyncio.CancelledError:
                    log.append("cancelled")

        def victim():
            with contextlib.suppress(smarm.Timeout), smarm.timeout(0.05):
                run(program())
            log.append("went on")

        handle = smarm.spawn(victim, on="local")
        smarm.sleep(0.01)
        smarm.exit(handle.pid, "enough")
        return end_of(handle), log

    assert alone(main) == ("enough", ["cancelled", "cancelled"])


@RUN
def test_a_kill_waits_for_the_tasks_for_kill_patience_only(run, alone):
    def main():
        async def program(started):
            started()
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(LONG)

        return end_in_loop("kill", run, program)

    assert alone(main, kill_patience=0.1) == "killed"


@RUN
def test_who_asks_again_without_patience_does_not_wait_for_the_tasks(run, alone):
    def main():
        async def program(started):
            started()
            try:
                await asyncio.sleep(LONG)
            finally:
                started()
                await asyncio.sleep(LONG)

        sender, receiver = smarm.channel()
        handle = smarm.spawn(lambda: run(program(lambda: sender.send(None))), on="local")
        receiver.recv(timeout=PATIENCE)
        smarm.exit(handle.pid, "enough")
        receiver.recv(timeout=PATIENCE)
        smarm.kill(handle.pid, interrupt_after=0)
        return end_of(handle)

    assert alone(main, kill_patience=LONG, shutdown_timeout=PATIENCE) == "killed"


@HOW
@pytest.mark.parametrize("selector", [selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector])
def test_it_is_the_same_with_every_selector(how, selector, alone):
    def main():
        log = []

        async def program(started):
            try:
                started()
                await asyncio.sleep(LONG)
            finally:
                await asyncio.sleep(0)
                log.append("left")

        def run(coroutine):
            with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector())) as runner:
                runner.run(coroutine)

        return end_in_loop(how, run, program), log

    assert alone(main) == (EXPECTED[how], ["left"])


@HOW
def test_run_forever_is_left_at_once_and_its_tasks_by_the_program(how, alone):
    """As for Ctrl-C under python: nobody but the program knows which task is the main one."""

    def main():
        log = []

        async def forever(started):
            try:
                started()
                await asyncio.sleep(LONG)
            finally:
                await asyncio.sleep(0)
                log.append("task left")

        def run(coroutine):
            loop = asyncio.new_event_loop()
            task = loop.create_task(coroutine)
            try:
                loop.run_forever()
            finally:
                log.append(task.done())
                task.cancel()
                loop.run_until_complete(asyncio.wait([task]))
                loop.close()

        return end_in_loop(how, run, forever), log

    assert alone(main) == (EXPECTED[how], [False, "task left"])


@pytest.mark.filterwarnings(
    "ignore:unclosed", "ignore:Exception ignored in"
)  # CPython 3.13.0 leaves the pipes to the collector
@pytest.mark.parametrize("how", ["exit", "deadline"])
def test_children_that_are_being_started_in_the_background_hold_nobody_up(how, alone):
    def main():
        async def program(started):
            started()
            task = asyncio.create_task(asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1))
            while not any("_connect_pipes" in repr(other) for other in asyncio.all_tasks()):
                await asyncio.sleep(0)
            time.sleep(0.05)  # a point: main is cancelled here, and the task together with what connects its pipes
            return task

        return end_in_loop(how, asyncio.run, program)

    assert alone(main) == EXPECTED[how]
