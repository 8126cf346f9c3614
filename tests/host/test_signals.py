"""Ctrl-C and SIGTERM: what the program sees of them, and how the process ends."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
Start = Callable[..., subprocess.Popen[str]]

HOST = str(pathlib.Path(sys.executable).parent / "smarm-host")
LONG_ENOUGH = 120

# The last line of each blocks, computes or waits for ever.
BUSY = {
    "computing": "while True: pass",
    "reading": "input()",
    "sleeping": "time.sleep(1e6)",
    "in a subprocess": "subprocess.run(['cat'], stderr=subprocess.DEVNULL)",
    "parked": "smarm.sleep(1e6)",
    "receiving": "smarm.receive()",
    "waiting for a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "joining": "smarm.spawn(smarm.sleep, 1e6).join()",
}
# Before: a KeyboardInterrupt in the middle of an import can get lost in it, under python, too.
IMPORT = "import asyncio, subprocess, sys, threading, time, smarm\n"
READY = IMPORT + "print('ready', flush=True)\n"


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end, with standard input open all the time, and return exit code and output."""
    code = child.wait(timeout=LONG_ENOUGH)
    out, err = child.communicate()
    return code, out, err


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_ctrl_c_ends_the_process_by_sigint(start: Start, busy: str) -> None:
    child = start(READY + busy)
    child.send_signal(signal.SIGINT)
    code, out, err = finish(child)
    assert (code, out) == (-signal.SIGINT, "")
    assert err.startswith('Traceback (most recent call last):\n  File "')
    assert "app.py" in err.splitlines()[1]
    assert err.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_sigterm_ends_the_process_by_sigterm_after_cleaning_up(start: Start, busy: str) -> None:
    child = start(f"{IMPORT}try:\n    print('ready', flush=True)\n    {busy}\nfinally:\n    print('finally')")
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (-signal.SIGTERM, "finally\n", "")


WAITERS = """
import smarm
def wait(ready):
    try:
        ready.send(None)
        smarm.sleep(1e6)
    finally:
        print("finally", flush=True)
def main():
    tx, rx = smarm.channel()
    for place in ("local", 1):
        smarm.spawn(wait, tx, on=place)
        rx.recv()
    print("ready", flush=True)
    smarm.sleep(1e6)
if __name__ == "__main__":
    import sys
    main() if len(sys.argv) > 1 else smarm.run(main, workers=2)
"""


@pytest.mark.parametrize("program", [HOST, sys.executable], ids=["host", "python"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_actors_run_their_finally_blocks(start: Start, number: signal.Signals, program: str) -> None:
    child = start(WAITERS, program=program)
    child.send_signal(number)
    code, out, err = finish(child)
    assert (code, out) == (-number, "finally\nfinally\n")
    assert err.endswith("KeyboardInterrupt\n" if number == signal.SIGINT else "")


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_ctrl_c_can_be_caught_again_and_again(start: Start, busy: str) -> None:
    child = start(f"""
{IMPORT}
for _ in range(3):
    try:
        print("ready", flush=True)
        {busy}
    except KeyboardInterrupt:
        print("caught", flush=True)
print("end")
""")
    assert child.stdout is not None
    child.send_signal(signal.SIGINT)
    for _ in range(2):
        assert [child.stdout.readline() for _ in range(2)] == ["caught\n", "ready\n"]
        child.send_signal(signal.SIGINT)
    assert finish(child) == (0, "caught\nend\n", "")


def test_ctrl_c_cancels_an_event_loop_in_the_main_actor(start: Start) -> None:
    child = start("""
import asyncio
async def wait():
    try:
        print("ready", flush=True)
        await asyncio.sleep(1e6)
    finally:
        print("finally")
asyncio.run(wait())
""")
    child.send_signal(signal.SIGINT)
    code, out, err = finish(child)
    assert (code, out, err.splitlines()[-1]) == (-signal.SIGINT, "finally\n", "KeyboardInterrupt")


def test_ctrl_c_comes_to_the_main_actor_not_to_the_one_that_runs(start: Start) -> None:
    child = start("""
import smarm
def compute():
    print("ready", flush=True)
    try:
        while True: smarm.check()
    except BaseException as error:
        print(type(error).__name__)
        raise
smarm.spawn(compute, on="local")
try:
    smarm.sleep(1e6)
except KeyboardInterrupt:
    print("main")
""")
    child.send_signal(signal.SIGINT)
    assert finish(child) == (0, "main\nActorExit\n", "")


def test_a_second_sigterm_does_not_wait_for_cleanup(start: Start) -> None:
    child = start("""
import smarm
try:
    print("ready", flush=True)
    smarm.sleep(1e6)
finally:
    print("cleaning up", flush=True)
    while True: pass
""")
    assert child.stdout is not None
    child.send_signal(signal.SIGTERM)
    assert child.stdout.readline() == "cleaning up\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=LONG_ENOUGH) in (128 + signal.SIGTERM, -signal.SIGTERM)


@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_the_program_s_own_handlers_are_called_and_raise_in_the_main_actor(start: Start, busy: str) -> None:
    child = start(
        IMPORT
        + """
import signal
def stop(number, frame):
    print("handled", signal.Signals(number).name)
    sys.exit(5)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
"""
        + busy
    )
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (5, "handled SIGTERM\n", "")


def test_handlers_are_the_usual_ones_again_after_run(python: Run) -> None:
    text = """
import signal, smarm
def show(): return [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)]
before = show()
smarm.run(print, "run")
print(show() == before, flush=True)
signal.raise_signal(signal.SIGTERM)
"""
    assert python("-c", text) == (-signal.SIGTERM, "run\nTrue\n", "")


def test_an_ignored_ctrl_c_stays_ignored(start: Start) -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = start(READY + "input()\nprint('not interrupted')")
    finally:
        signal.signal(signal.SIGINT, old)
    child.send_signal(signal.SIGINT)
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    assert finish(child) == (0, "not interrupted\n", "")


def test_a_forked_child_ends_by_the_signal(host: Run) -> None:
    text = """
import os, signal
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, b"x")
    while True: signal.pause()
os.read(read, 1)
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert host("-W", "ignore", "-c", text) == (0, f"{-signal.SIGTERM}\n", "")


ASYNCIO = """
import asyncio, sys
async def main():
    try:
        print("ready", flush=True)
        await asyncio.sleep(1e6)
    except asyncio.CancelledError:
        await asyncio.sleep(0)
        print("cancelled", flush=True)
        raise
try:
    asyncio.run(main())
except BaseException as error:
    print(repr(error), flush=True)
    raise
"""


@pytest.mark.parametrize("program", [HOST, sys.executable], ids=["host", "python"])
def test_ctrl_c_cancels_the_main_task_of_asyncio_as_under_python(start: Start, program: str) -> None:
    child = start(ASYNCIO, program=program)
    child.send_signal(signal.SIGINT)
    code, out, err = finish(child)
    assert (code, out) == (-signal.SIGINT, "cancelled\nKeyboardInterrupt()\n")
    assert err.splitlines()[-1] == "KeyboardInterrupt"


def test_sigterm_cancels_the_main_task_of_asyncio(start: Start) -> None:
    child = start(ASYNCIO)
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (-signal.SIGTERM, "cancelled\nActorExit('killed')\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [HOST, sys.executable], ids=["host", "python"])
def test_an_event_loops_own_handlers_work_as_under_python(start: Start, program: str, number: signal.Signals) -> None:
    child = start(
        """
import asyncio, signal
async def main():
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print("ready", flush=True)
    await stop.wait()
asyncio.run(main())
print("served")
""",
        program=program,
    )
    child.send_signal(number)
    assert finish(child) == (0, "served\n", "")


# As uvicorn does: its handlers note the signal, and it is raised again when the server has ended.
SERVER = """
import signal, time
caught = []
previous = {number: signal.signal(number, lambda number, frame: caught.append(number)) for number in (2, 15)}
print("ready", flush=True)
while not caught:
    time.sleep(0.01)
print("served", flush=True)
for number, handler in previous.items():
    signal.signal(number, handler)
signal.raise_signal(caught[0])
time.sleep(1e6)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [HOST, sys.executable], ids=["host", "python"])
def test_a_signal_that_is_raised_again_ends_the_process_by_it(
    start: Start, program: str, number: signal.Signals
) -> None:
    child = start(SERVER, program=program)
    child.send_signal(number)
    code, out, _ = finish(child)
    assert (code, out) == (-number, "served\n")


@pytest.mark.parametrize("program", [HOST, sys.executable], ids=["host", "python"])
def test_the_program_has_the_wake_up_descriptor_for_itself(start: Start, program: str) -> None:
    child = start(
        """
import os, signal, socket
ours, pythons = socket.socketpair()
pythons.setblocking(False)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.set_wakeup_fd(pythons.fileno()) == -1
signal.signal(signal.SIGUSR1, lambda number, frame: None)
print("ready", flush=True)
print(ours.recv(1))
assert signal.set_wakeup_fd(-1) == pythons.fileno()
""",
        program=program,
    )
    child.send_signal(signal.SIGUSR1)
    assert finish(child) == (0, "b'\\n'\n", "")
