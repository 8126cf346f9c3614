"""smarm.aio: async code in actors."""

from __future__ import annotations

import asyncio

import pytest

import smarm

PATIENCE = 60.0


async def double(number):
    await asyncio.sleep(0)
    return 2 * number


async def wait_for_ever(log=None):
    try:
        await asyncio.sleep(1000)
    finally:
        if log is not None:
            log.append("left")


async def tell(pid):
    smarm.send(pid, "entered")
    try:
        await asyncio.sleep(1000)
    finally:
        smarm.send(pid, "left")


def plain():
    return 1


def test_the_value_of_an_async_function_is_returned():
    assert smarm.run(smarm.aio.run, double, 4, workers=1) == 8


def test_a_coroutine_is_run_too():
    assert smarm.run(lambda: smarm.aio.run(double(4)), workers=1) == 8


def test_an_actor_of_any_worker_runs_one():
    def main():
        handles = [smarm.spawn(smarm.aio.run, double, number, on=number % 2) for number in range(10)]
        return [handle.join(timeout=PATIENCE) for handle in handles]

    assert smarm.run(main, workers=2) == [2 * number for number in range(10)]


def test_an_exit_cancels_the_main_task():
    def main():
        handle = smarm.spawn(smarm.aio.run, tell, smarm.self(), on="local")
        assert smarm.receive(timeout=PATIENCE) == "entered"
        smarm.exit(handle.pid, "enough")
        with pytest.raises(smarm.ActorKilled, match="enough"):
            handle.join(timeout=PATIENCE)
        return smarm.receive(timeout=PATIENCE)

    assert smarm.run(main, workers=1) == "left"


def test_the_end_of_a_timeout_block_cancels_the_main_task():
    def main():
        log = []
        with pytest.raises(smarm.Timeout), smarm.timeout(0.01):
            smarm.aio.run(wait_for_ever, log)
        return log

    assert smarm.run(main, workers=1) == ["left"]


def test_what_is_no_async_function_is_refused():
    def main():
        with pytest.raises(TypeError, match=r"needs an `async def`, and <function plain .*> returned int"):
            smarm.aio.run(plain)
        with pytest.raises(TypeError, match="needs an `async def` and its arguments, or a coroutine, not int"):
            smarm.aio.run(5)
        coroutine = double(1)
        with pytest.raises(TypeError, match="not a coroutine with arguments"):
            smarm.aio.run(coroutine, 1)
        coroutine.close()

    smarm.run(main, workers=1)


def test_a_running_loop_is_to_be_awaited_in():
    async def inside():
        with pytest.raises(RuntimeError, match="write `await` there"):
            smarm.aio.run(double, 1)

    smarm.run(smarm.aio.run, inside, workers=1)


@pytest.mark.parametrize("call", [smarm.run, lambda function: smarm.run(smarm.spawn, function)])
def test_where_a_plain_function_is_wanted_the_message_names_it(call):
    with pytest.raises(TypeError, match=r"; \S*wait_for_ever is an `async def`: .*smarm\.aio\.run, \.\.\.\)"):
        call(wait_for_ever)


@pytest.mark.parametrize("call", [smarm.run, lambda coroutine: smarm.run(lambda: smarm.spawn(coroutine), workers=1)])
def test_where_a_coroutine_is_given_the_message_names_it_too(call):
    coroutine = wait_for_ever()
    with pytest.raises(TypeError, match=r"not coroutine: .*smarm\.aio\.run, function\)"):
        call(coroutine)
    coroutine.close()
