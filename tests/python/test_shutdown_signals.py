"""What a signal ends: every actor, the process by its number; what handles, refuses or holds it up."""

from __future__ import annotations

import re
import signal

import pytest

PARKED = """
def work(tx):
    try:
        tx.send("ready")
        smarm.receive()
    finally:
        print("unwound", flush=True)
"""
BUSY = """
def work(tx):
    try:
        tx.send("ready")
        n = 0
        while True:
            n += 1
    finally:
        print("unwound", flush=True)
"""
ALLOCATING = """
def work(tx):
    try:
        tx.send("ready")
        while True:
            [dict(a=[n]) for n in range(100)]
    finally:
        print("unwound", flush=True)
"""
REFUSING = """
def work(tx):
    try:  # the exit may come right after the main actor has heard of this one
        tx.send("ready")
        smarm.receive()
    except BaseException:
        pass
    while True:
        try:
            smarm.receive()
        except BaseException:
            pass
"""
BLOCKED = """
def work(tx):
    import os
    read, write = os.pipe()
    try:  # the exit may come right after the main actor has heard of this one
        tx.send("ready")
    except BaseException:
        pass
    while True:
        try:
            os.read(read, 1)
        except BaseException:
            pass
"""

PROGRAM = """
import smarm, sys
{work}
def main():
    try:
        tx, rx = smarm.channel()
        for index in range({count}):
            smarm.spawn(work, tx, on=index % {workers})
        for _ in range({count}):
            rx.recv()
        print("ready", flush=True)
        {wait}
    finally:
        print("main unwound", flush=True)
smarm.run(main, workers={workers}, shutdown_timeout={timeout})
print("not reached")
"""


def program(work, *, wait="smarm.receive()", count=6, workers=3, timeout=60.0):
    return PROGRAM.format(work=work, wait=wait, count=count, workers=workers, timeout=timeout)


def run_and_send(start, tmp_path, text, number):
    (tmp_path / "app.py").write_text(text)
    running = start("app.py")
    running.wait_for("ready")
    running.send(number)
    return running.finish()


@pytest.mark.parametrize("work", [PARKED, BUSY, ALLOCATING], ids=["parked", "busy", "allocating"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_unwinds_every_actor_and_ends_the_process_by_it(start, tmp_path, work, number):
    result = run_and_send(start, tmp_path, program(work), number)
    assert result.code == -number
    lines = result.out.splitlines()
    assert lines.count("unwound") == 6
    assert lines.count("main unwound") == 1
    assert "not reached" not in lines
    if number == signal.SIGINT:
        assert result.err.endswith("KeyboardInterrupt\n")
        assert "in main" in result.err
    else:
        assert result.err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_a_busy_main(start, tmp_path, number):
    text = program(PARKED, wait="while True: pass")
    result = run_and_send(start, tmp_path, text, number)
    assert result.code == -number
    assert result.out.splitlines().count("unwound") == 6
    assert result.out.splitlines().count("main unwound") == 1


@pytest.mark.parametrize(
    "wait", ["import time; time.sleep(1000)", "smarm.sleep(1000)", "import threading; threading.Event().wait()"]
)
def test_ctrl_c_reaches_a_sleeping_main(start, tmp_path, wait):
    result = run_and_send(start, tmp_path, program(PARKED, wait=wait), signal.SIGINT)
    assert result.code == -signal.SIGINT
    assert result.out.splitlines().count("unwound") == 6


def test_main_may_handle_ctrl_c_and_return(start, tmp_path):
    text = """
import smarm
def main():
    try:
        print("ready", flush=True)
        smarm.sleep(1000)
    except KeyboardInterrupt:
        print("handled")
    return smarm.spawn(abs, -1).join()
print(smarm.run(main, workers=2))
"""
    result = run_and_send(start, tmp_path, text, signal.SIGINT)
    assert (result.code, result.out, result.err) == (0, "ready\nhandled\n1\n", "")


def test_a_main_that_has_handled_ctrl_c_goes_on_for_longer_than_the_timeout(start, tmp_path):
    # Raised in the program itself: main has handled it before the thread that watches signals has heard of it.
    text = """
import signal, smarm
def main():
    for _ in range(5):
        try:
            signal.raise_signal(signal.SIGINT)
            smarm.receive()
        except KeyboardInterrupt:
            smarm.sleep(0.3)
    return "went on"
print("ready", flush=True)
print(smarm.run(main, workers=1, shutdown_timeout=0.1))
"""
    (tmp_path / "app.py").write_text(text)
    result = start("app.py").finish()
    assert (result.code, result.out, result.err) == (0, "ready\nwent on\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("then", ["", "; 1 / 0"])
def test_a_signal_in_the_last_call_of_main_is_not_lost(start, tmp_path, number, then):
    text = f"""
import ctypes, smarm
raise_signal = getattr(ctypes.CDLL(None), "raise")  # after which Python does not look for signals by itself
def main(number):
    raise_signal(number){then}
print("ready", flush=True)
smarm.run(main, {int(number)}, workers=1)
print("not reached")
"""
    (tmp_path / "app.py").write_text(text)
    result = start("app.py").finish()
    assert (result.code, result.out) == (-number, "ready\n")
    assert result.err.endswith("KeyboardInterrupt\n") if number == signal.SIGINT else result.err == ""


def test_refusing_actors_are_given_up_within_the_timeout_and_the_process_ends(start, tmp_path):
    result = run_and_send(start, tmp_path, program(REFUSING, timeout=0.5), signal.SIGTERM)
    assert result.code == -signal.SIGTERM
    assert "gave up 6 actors" in result.err
    assert result.out.splitlines().count("main unwound") == 1


def test_actors_blocked_in_c_code_are_given_up_and_the_process_ends(start, tmp_path):
    # Not on the main lane, which runs main itself.
    text = program(
        BLOCKED.replace("def work(tx):", "def work(tx):\n    assert smarm.worker_index()"), count=2, timeout=0.5
    )
    text = text.replace("on=index % 3", "on=1 + index")
    result = run_and_send(start, tmp_path, text, signal.SIGTERM)
    assert result.code == -signal.SIGTERM
    assert "gave up 2 actors" in result.err


def test_ctrl_c_with_refusing_actors_still_exits_by_the_signal(start, tmp_path):
    result = run_and_send(start, tmp_path, program(REFUSING, timeout=0.5), signal.SIGINT)
    assert result.code == -signal.SIGINT
    assert "gave up 6 actors" in result.err


def test_a_second_ctrl_c_ends_the_process_at_once(start, tmp_path):
    text = """
import smarm
def stubborn():
    while True:
        try:
            smarm.receive()
        except BaseException:
            print("asked", flush=True)
def main():
    smarm.spawn(stubborn)
    smarm.yield_now()
    print("ready", flush=True)
    smarm.receive()
smarm.run(main, workers=1, shutdown_timeout=3000)
"""
    (tmp_path / "app.py").write_text(text)
    running = start("app.py")
    running.wait_for("ready")
    running.send(signal.SIGINT)
    running.wait_for("asked")
    running.send(signal.SIGINT)
    assert running.finish().code in (130, -signal.SIGINT)


def test_handlers_of_the_program_are_left_alone(start, tmp_path):
    text = """
import signal, smarm
def main():
    caught = []
    signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    print("ready", flush=True)
    while not caught:
        smarm.sleep(0.001)
    print("caught", caught[0] == signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *_: None)
smarm.run(main, workers=2)
"""
    result = run_and_send(start, tmp_path, text, signal.SIGTERM)
    assert (result.code, result.out, result.err) == (0, "ready\ncaught True\n", "")


def test_a_handler_of_the_program_runs_while_main_is_busy(start, tmp_path):
    text = """
import signal, smarm
caught = []
signal.signal(signal.SIGUSR1, lambda number, frame: caught.append(number))
def main():
    print("ready", flush=True)
    while not caught:
        pass
    print("caught")
smarm.run(main, workers=2)
"""
    result = run_and_send(start, tmp_path, text, signal.SIGUSR1)
    assert (result.code, result.out, result.err) == (0, "ready\ncaught\n", "")


# ---- what keeps the main actor from hearing of a signal ---------------------------------------------------------------

WEDGED = """
    import os, sys
    import smarm

    def block():
        print("blocks", flush=True)
        os.read(os.pipe()[0], 1)

    def refuse():
        with smarm.shield():
            print("blocks", flush=True)
            while True:
                pass

    def main():
        if sys.argv[1] == "lane":
            smarm.spawn(block, on="local", name="stubborn").join()
        elif sys.argv[1] == "main":
            refuse()
        else:
            smarm.spawn(block, on=1, name="stubborn").join()

    smarm.run(main, workers=2, shutdown_timeout=0.3)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_program_whose_main_lane_is_held_by_c_code(start, write, number):
    program = start(write(WEDGED), "lane")
    program.wait_for("blocks")
    program.send(number)
    result = program.finish()
    assert result.code == 128 + number
    assert re.search(rf"smarm: {number.name} came \d+\.\d s ago, and the program does not end", result.err)
    assert re.search(r"<pid 1\.1> 'stubborn': running, at .*app\.py:\d+ in block\n", result.err)


def test_a_signal_ends_a_program_whose_main_actor_does_not_let_it_in(start, write):
    program = start(write(WEDGED), "main")
    program.wait_for("blocks")
    program.send(signal.SIGTERM)
    result = program.finish()
    assert result.code == 128 + signal.SIGTERM
    assert re.search(r"<pid 0\.1> 'main': .*, at .*app\.py:\d+ in refuse\n", result.err)


LAST_WORDS = """
    import io, os, sys, time
    import smarm

    class Slow:
        def __del__(self):
            while True:
                time.sleep(0.01)

    def main():
        if sys.argv[1] == "finaliser":
            kept = Slow()  # by the traceback of what ends main
        if sys.argv[1] == "output":
            read_end, full = os.pipe()
            os.set_blocking(full, False)
            try:
                while True:
                    os.write(full, bytes(4096))
            except BlockingIOError:
                os.set_blocking(full, True)
            sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(full, "w", closefd=False)))
            sys.stdout.write("never read")
        print("waits", file=sys.__stdout__, flush=True)
        smarm.receive()

    smarm.run(main, workers=2, shutdown_timeout=0.3)
"""


@pytest.mark.parametrize("last", ["finaliser", "output"])
def test_a_signal_ends_a_program_that_does_not_come_to_an_end_after_its_last_actor(start, write, last):
    program = start(write(LAST_WORDS), last)
    program.wait_for("waits")
    program.send(signal.SIGTERM)
    result = program.finish()
    assert result.code == 128 + signal.SIGTERM
    assert re.search(r"smarm: SIGTERM came \d+\.\d s ago.*\n  no actor: a finaliser, or output that nobody", result.err)


def test_actors_that_are_given_up_are_named(start, write):
    program = start(write(WEDGED), "worker")
    program.wait_for("blocks")
    program.send(signal.SIGTERM)
    result = program.finish()
    assert result.code == -signal.SIGTERM
    assert re.search(r"gave up 1 actor .*:\n  <pid 1\.1> 'stubborn': running, at .*app\.py:\d+ in block\n", result.err)
