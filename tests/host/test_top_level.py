"""The program's top level is the main actor, and smarm.run works in it as it does under python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
Write = Callable[..., str]


def test_the_top_level_is_an_actor(host: Run, script: Write) -> None:
    script("""
import smarm
def square(n): return n * n
rx = smarm.channel()[1]
print(smarm.processes() == [smarm.self()], smarm.process_info(smarm.self()).name)
smarm.sleep(0)
print([smarm.spawn(square, n).join() for n in range(4)])
""")
    assert host("app.py") == (0, "True main\n[0, 1, 4, 9]\n", "")


def test_other_actors_are_stopped_when_the_top_level_ends(host: Run, script: Write) -> None:
    script("""
import smarm
def wait(ready):
    try:
        ready.send(None)
        smarm.sleep(1e6)
    finally:
        print("finally")
if __name__ == "__main__":
    tx, rx = smarm.channel()
    for place in ("local", 1):
        smarm.spawn(wait, tx, on=place)
        rx.recv()
    raise SystemExit("the end")
""")
    assert host("--workers", "2", "app.py") == (1, "finally\nfinally\n", "the end\n")


RUN = """
import smarm
def wait(ready):
    try:
        ready.send(None)
        smarm.sleep(1e6)
    finally:
        print("finally")
def main(what):
    tx, rx = smarm.channel()
    for place in ("local", 1):
        smarm.spawn(wait, tx, on=place)
        rx.recv()
    if what == "raise":
        raise ValueError(what)
    if what == "exit":
        raise SystemExit(3)
    return what, smarm.statistics().max_workers
try:
    print(smarm.run(main, {what!r}, workers=2))
except ValueError as error:
    print("caught", error)
print(smarm.run(main, "again", workers=2))
"""


@pytest.mark.parametrize("what", ["return", "raise", "exit"])
def test_run_in_the_top_level_does_what_it_does_under_python(same: Run, script: Write, what: str) -> None:
    script(RUN.format(what=what))
    result = same("app.py")
    assert result.code == (3 if what == "exit" else 0)
    assert result.out.count("finally") == (2 if what == "exit" else 4)


def test_run_inside_run_is_refused_as_under_python(same: Run, script: Write) -> None:
    script("""
import smarm
def main():
    try:
        smarm.run(print)
    except smarm.AlreadyRunning as error:
        print(error)
smarm.run(main)
""")
    assert "already running" in same("app.py").out


def test_run_in_an_actor_is_refused_as_under_python(same: Run, script: Write) -> None:
    script("""
import smarm
def actor():
    try:
        smarm.run(print)
    except smarm.SmarmError as error:
        return type(error).__name__
def main():
    return smarm.spawn(actor).join(), smarm.spawn(actor, on="local").join()
print(smarm.run(main))
""")
    assert same("app.py").code == 0


def test_run_takes_its_arguments_as_under_python(same: Run, script: Write) -> None:
    script("""
import smarm
for args, options in (((), {}), ((5,), {}), ((print,), {"workers": 0}), ((print,), {"wrong": 1})):
    try:
        smarm.run(*args, **options)
    except Exception as error:
        print(type(error).__name__, error)
runtime = smarm.Runtime(workers=2)
print(runtime.run(lambda *args: args, 1, 2), runtime.run(int))
""")
    assert same("app.py").code == 0


def test_a_flag_goes_before_the_program_s_wish(host: Run, script: Write) -> None:
    script("import smarm\ndef main(): return smarm.statistics().max_workers\nprint(smarm.run(main, workers=2))")
    assert host("app.py") == (0, "2\n", "")
    assert host("--workers", "3", "app.py") == (0, "3\n", "")


def test_an_option_that_comes_too_late_is_named_in_a_warning(host: Run, script: Write) -> None:
    script("import smarm\ndef main(): return 1\nprint(smarm.run(main, stack_size=1048576))")
    code, out, err = host("app.py")
    assert (code, out) == (0, "1\n")
    assert "app.py:3: RuntimeWarning: smarm.run(stack_size=1048576) comes too late inside smarm-host" in err
    assert "start it with --stack-size 1048576" in err
    assert host("--stack-size", "131072", "app.py") == (0, "1\n", "")


def test_the_number_of_workers_cannot_change_once_they_run(host: Run, script: Write) -> None:
    script("""
import smarm
def main(): return smarm.statistics().max_workers
def where(): return smarm.worker_index()
def other(): return smarm.spawn(where, on=1).join()
print(smarm.run(main, workers=2), smarm.run(other), smarm.run(main, workers=3))
""")
    code, out, err = host("app.py")
    assert (code, out) == (0, "2 1 2\n")
    assert "smarm.run(workers=3) comes too late" in err


def test_actors_that_do_not_end_are_given_up_and_the_exit_code_stays(host: Run, script: Write) -> None:
    script("""
import atexit, smarm, sys
def stubborn(ready):
    ready.send(None)
    while True:
        try:
            smarm.sleep(1e6)
        except BaseException:
            pass
if __name__ == "__main__":
    atexit.register(print, "at exit")
    tx, rx = smarm.channel()
    for place in ("local", 1):
        smarm.spawn(stubborn, tx, on=place)
        rx.recv()
    print("main ends")
    sys.exit(3)
""")
    code, out, err = host("--workers", "2", "--shutdown-timeout", "0.1", "app.py")
    assert (code, out) == (3, "main ends\nat exit\n")
    assert "gave up" in err


def test_the_main_thread_is_the_main_thread(same: Run) -> None:
    same("-c", """
import threading, signal
print(threading.current_thread() is threading.main_thread(), threading.active_count())
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
print("end")
""")  # fmt: skip


def test_deep_recursion_in_the_top_level_is_a_recursion_error(host: Run) -> None:
    text = """
import sys
sys.setrecursionlimit(10**6)
class Deep:
    def __repr__(self): return repr([self])
try:
    repr(Deep())
except RecursionError:
    print("caught")
"""
    assert host("-c", text) == (0, "caught\n", "")
