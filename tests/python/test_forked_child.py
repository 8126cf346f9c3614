"""os.fork in an actor: the child goes on as a program without a runtime."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.unsanitized(
    reason="the address sanitizer's allocator may be locked by another thread when a process forks"
)

PROLOGUE = """
import os, sys, threading, time, warnings
import smarm

warnings.simplefilter("ignore")

def in_child(function):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        function()
        sys.stdout.flush()
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def compete():
    while True:
        smarm.yield_now()

def run(main):
    def with_others():
        smarm.spawn(compete)
        smarm.spawn(smarm.receive)
        return main()
    smarm.run(with_others, workers=1, time_slice=1e-5)
"""

ACTIONS = {
    "sleeps": "time.sleep(0.001)",
    "computes for many time slices": "sum(range(3_000_000))",
    "starts threads": "t = threading.Thread(target=time.sleep, args=(0.001,)); t.start(); t.join()",
    "takes locks": "lock = threading.RLock(); lock.acquire(); lock.acquire(); lock.release(); lock.release()",
    "collects": "import gc; gc.collect()",
    "starts a program": "import subprocess; subprocess.run(['true'], check=True)",
    "sees no runtime": """
    try: smarm.self()
    except smarm.NoRuntime: pass
    else: os._exit(1)
""",
    "runs a runtime of its own": """
    def main():
        smarm.spawn(smarm.block_on_io, os.getpid).join()
        return [smarm.spawn(int, "3", on=1).join(), smarm.block_on_io(os.getpid)]
    if smarm.run(main, workers=2) != [3, os.getpid()]: os._exit(1)
""",
}


@pytest.mark.parametrize("spawned", [False, True], ids=["main actor", "another actor"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_child_that(action, spawned, succeed):
    call = "smarm.spawn(in_child, act, on='local').join()" if spawned else "in_child(act)"
    body = ACTIONS[action] if "\n" in ACTIONS[action] else f"\n    {ACTIONS[action]}\n"
    out = succeed(f"{PROLOGUE}\ndef act():{body}\nrun(lambda: print({call}))\n")
    assert out == "7\n"


@pytest.mark.parametrize("spawned", [False, True], ids=["main actor", "another actor"])
@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("return 5", 0),
        ("sys.exit(3)", 3),
        ("sys.exit()", 0),
        ("sys.exit('why')", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", 1),
    ],
)
def test_a_child_whose_actor_ends_is_a_program_that_ends(ending, code, spawned, run_app):
    call = "smarm.spawn(fork, on='local').join()" if spawned else "fork()"
    result = run_app(
        PROLOGUE
        + f"""
import atexit

def fork():
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        atexit.register(print, "child: exit function")
        {ending}
    print("parent:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

run(lambda: {call})
"""
    )
    assert (result.code, result.out) == (0, f"child: exit function\nparent: {code}\n")
    expected = {
        "1 / 0": "ZeroDivisionError",
        "sys.exit('why')": "why",
        "raise KeyboardInterrupt": "KeyboardInterrupt",
    }.get(ending, "")
    assert expected in result.err


def test_multiprocessing_forks_in_an_actor(succeed):
    out = succeed(
        PROLOGUE
        + """
import multiprocessing

def work(n):
    time.sleep(0.001)
    return n * n

def main():
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(work(5)))
    process.start()
    print(receiver.recv())
    process.join()
    print(process.exitcode)

run(main)
"""
    )
    assert out == "25\n0\n"
