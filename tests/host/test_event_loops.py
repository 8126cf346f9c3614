"""Ctrl-C and SIGTERM in programs that run trio, uvicorn, or a loop of asyncio of their own."""

from __future__ import annotations

import pathlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

Start = Callable[..., subprocess.Popen[str]]

HOST = str(pathlib.Path(sys.executable).parent / "smarm-host")
PROGRAMS = pytest.mark.parametrize("program", [HOST, sys.executable], ids=["host", "python"])
LONG_ENOUGH = 120

TRIO = """
import trio
async def child():
    try:
        print("ready", flush=True)
        await trio.sleep(1e6)
    finally:
        print("child left", flush=True)
async def main():
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
    finally:
        print("main left", flush=True)
trio.run(main)
"""

UVICORN = """
import uvicorn
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print("ready", flush=True)
        await receive()
        print("shutdown", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
uvicorn.run(application, port=0, loop="asyncio", lifespan="on")
print("returned", flush=True)
"""

PLAIN_LOOP = """
import asyncio, functools
async def child():
    try:
        await asyncio.sleep(1e6)
    finally:
        print("child left", flush=True)
async def main():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            # Not by the coroutine: what comes while that computes is raised in it.
            asyncio.get_running_loop().call_later(0.05, functools.partial(print, "ready", flush=True))
    finally:
        await asyncio.sleep(0.01)
        print("main left", flush=True)
loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(main())
except BaseException as error:
    print(type(error).__name__, loop.is_running(), flush=True)
    raise
finally:
    loop.close()
"""

OWN_LOOP = """
import asyncio
async def main():
    try:
        print("ready", flush=True)
        await asyncio.sleep(1e6)
    finally:
        print("main left", flush=True)
loop = asyncio.new_event_loop()
task = loop.create_task(main())
try:
    loop.run_until_complete(task)
finally:
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    print("closed", flush=True)
    loop.close()
"""


def finish(child: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    child.send_signal(number)
    out, err = child.communicate(timeout=LONG_ENOUGH)
    return child.returncode, out, err


@PROGRAMS
def test_ctrl_c_cancels_trio_as_under_python(start: Start, program: str) -> None:
    code, out, err = finish(start(TRIO, program=program), signal.SIGINT)
    assert (code, out) == (1, "child left\nmain left\n")  # what leaves a nursery is an exception group
    assert "KeyboardInterrupt" in err
    assert "TrioInternalError" not in err


def test_sigterm_cancels_trio(start: Start) -> None:
    assert finish(start(TRIO, program=HOST), signal.SIGTERM) == (-signal.SIGTERM, "child left\nmain left\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_uvicorn_ends_as_under_python(start: Start, number: signal.Signals) -> None:
    def end(program: str) -> tuple[int, str, str]:
        code, out, err = finish(start(UVICORN, program=program), number)
        return code, out, re.sub(r"\[\d+\]|:\d+ ", "", err)  # pids and ports

    assert end(HOST) == end(sys.executable)


@PROGRAMS
def test_ctrl_c_leaves_a_loop_of_ones_own_as_under_python(start: Start, program: str) -> None:
    code, out, err = finish(start(OWN_LOOP, program=program), signal.SIGINT)
    assert (code, out) == (-signal.SIGINT, "main left\nclosed\n")
    assert err.splitlines()[-1] == "KeyboardInterrupt"


def test_sigterm_cancels_what_a_loop_of_ones_own_runs(start: Start) -> None:
    out = "child left\nmain left\nActorExit False\n"
    result = finish(start(PLAIN_LOOP, program=HOST), signal.SIGTERM)
    assert result == (-signal.SIGTERM, out, "")


def test_ctrl_c_ends_what_a_loop_of_ones_own_runs_as_under_python(start: Start) -> None:
    def end(program: str) -> tuple[int, str]:
        return finish(start(PLAIN_LOOP, program=program), signal.SIGINT)[:2]

    assert end(HOST) == end(sys.executable)


def test_sigterm_leaves_a_loop_of_ones_own_as_ctrl_c_does(start: Start) -> None:
    assert finish(start(OWN_LOOP, program=HOST), signal.SIGTERM) == (-signal.SIGTERM, "main left\nclosed\n", "")
