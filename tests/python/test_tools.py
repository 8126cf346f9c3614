"""Tools that people use on programs with actors: see docs/how-to/debug-and-profile.md."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from debug_client import DebugClient

BIN = pathlib.Path(sys.executable).parent

BUSY = """
import smarm

def waits_here():
    smarm.receive()

def spins_here():
    while True:
        pass

def main():
    smarm.spawn(waits_here, on="local", name="waiting")
    smarm.yield_now()
    print("ready", flush=True)
    spins_here()

smarm.run(main, workers=1)
"""


@pytest.fixture
def busy(start, write):
    """A program whose main actor computes while another one is parked."""
    program = start(write(BUSY))
    program.wait_for("ready")
    return program


def output(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


# ---- from outside ------------------------------------------------------------------------------------------------------


def test_faulthandler_refuses_workers(succeed):
    """There SIGQUIT answers: see test_dump.py."""
    out = succeed(
        """
        import smarm

        def main():
            try:
                smarm.spawn(__import__, "faulthandler", on=1).join()
            except smarm.ActorFailed as error:
                print(error.__cause__)

        smarm.run(main, workers=2)
        """
    )
    assert out.startswith("module faulthandler does not support loading in subinterpreters. ")


def test_faulthandler_shows_the_actors_of_the_main_lane(run_app):
    result = run_app(
        """
        import faulthandler, smarm

        def waits_here():
            smarm.receive()

        def dumps():
            faulthandler.dump_traceback()

        def main():
            smarm.spawn(waits_here, on="local")
            smarm.spawn(dumps, on="local").join()

        smarm.run(main, workers=1)
        """
    )
    assert result.code == 0
    for function in ("dumps", "main", "waits_here"):
        assert f" in {function}\n" in result.err


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="py-spy 0.4 reads Pythons up to 3.13 for certain")
def test_py_spy_shows_running_and_parked_actors(busy):
    text = output(BIN / "py-spy", "dump", "--pid", busy.pid)
    busy.kill()
    assert "spins_here (app.py:" in text
    assert "waits_here (app.py:" in text


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_gdb_unwinds_an_actor_to_the_bottom_of_its_stack(busy):
    text = output("gdb", "-p", busy.pid, "-batch", "-ex", "bt")
    busy.kill()
    assert re.search(r"_PyEval_EvalFrame\w*", text)
    assert re.search(r"smarm_start \(\)", text)
    assert "Backtrace stopped" not in text


# ---- from inside -------------------------------------------------------------------------------------------------------

DEBUGGED = """
import smarm

def work(number):
    result = number + 1
    breakpoint()
    return result

def main():
    print("returned", smarm.spawn(work, 41, on=ON).join())

smarm.run(main, workers=2)
"""


@pytest.mark.parametrize("on", ["'local'", "1"])
def test_pdb_steps_through_an_actor(on, start, write):
    name = write(DEBUGGED.replace("ON", on))
    result = start(name, stdin="p number, result\nnext\nwhere\ncontinue\n").finish()
    assert (result.code, result.err) == (0, "")
    assert "(41, 42)" in result.out
    assert "-> return result" in result.out
    assert result.out.endswith("returned 42\n")


LISTENING = """
import debugpy
import smarm

def work(number):
    result = number
    result += 1
    smarm.sleep(0.01)
    return result

def main():
    debugpy.configure(subProcess=False)
    with open("port", "w") as file:
        print(debugpy.listen(("127.0.0.1", 0))[1], file=file)
    print("ready", flush=True)
    debugpy.wait_for_client()
    print([smarm.spawn(work, number, on=on).join() for on in ("local", 1) for number in (1, 2)], flush=True)

smarm.run(main, workers=2)
"""


def test_debugpy_stops_in_the_actors_of_the_main_lane(start, write, tmp_path):
    name = write(LISTENING)
    program = start("-X", "frozen_modules=off", name)
    program.wait_for("ready")
    with DebugClient(int((tmp_path / "port").read_text())) as client:
        client.attach(str(tmp_path / name), line=7)
        for number in (1, 2):
            thread, frame = client.stopped()
            assert (frame["name"], frame["line"], client.value("number", frame)) == ("work", 7, str(number))
            client.send("next", threadId=thread)
            thread, frame = client.stopped()
            assert (frame["line"], client.value("result", frame)) == (8, str(number + 1))
            client.send("continue", threadId=thread)
        program.wait_for("[2, 3, 2, 3]")  # the actors on the other worker do not stop
    assert program.finish().code == 0


PROFILED = """
import sys
import MODULE, pstats, smarm

def leaf(): pass

def work():
    for _ in range(1000): leaf()

def compete():
    while True: leaf(); smarm.yield_now()

def profiled():
    profiler = MODULE.Profile()
    profiler.runcall(work)
    calls = {key[2]: value[0] for key, value in pstats.Stats(profiler).stats.items()}
    return calls["leaf"], calls["work"]

def main():
    if "compete" in sys.argv: smarm.spawn(compete, on=ON)
    print(smarm.spawn(profiled, on=ON).join())

smarm.run(main, workers=2, time_slice=1e-4)
"""


def test_cprofile_counts_the_calls_of_an_actor(on, start, write):
    name = write(PROFILED.replace("ON", repr(on)).replace("MODULE", "cProfile"))
    result = start(name).finish()
    assert (result.code, result.out, result.err) == (0, "(1000, 1)\n", "")
    # It listens to the whole interpreter: other actors are counted, too.
    result = start(name, "compete").finish()
    assert (result.code, result.err) == (0, "")
    assert re.fullmatch(r"\(\d{4,}, 1\)\n", result.out)


def test_profile_counts_its_own_actor_alone(on, start, write):
    name = write(PROFILED.replace("ON", repr(on)).replace("MODULE", "profile"))
    result = start("-W", "ignore", name, "compete").finish()
    assert (result.code, result.out, result.err) == (0, "(1000, 1)\n", "")


COVERED = """
import smarm

def work(number):
    if number < 0:
        return "never"
    return number

def main():
    return smarm.join_all([smarm.spawn(work, 1, on="local"), smarm.spawn(lambda: work(2))])

print(smarm.run(main, workers=1))
"""


def test_coverage_measures_actors(start, write, tmp_path):
    name = write(COVERED)
    result = start("-m", "coverage", "run", name).finish()
    assert (result.code, result.out, result.err) == (0, "[1, 2]\n", "")
    report = start("-m", "coverage", "report", "-m").finish().out
    assert re.search(r"app\.py +\d+ +1 +\d+% +6\n", report), report


def test_new_actors_take_on_the_hooks_of_threads(succeed):
    out = succeed(
        """
        import sys, threading, smarm

        def seen():
            return sys.gettrace() is trace, sys.getprofile() is profile

        def trace(frame, event, argument): return None
        def profile(frame, event, argument): return None

        def main():
            before = smarm.spawn(seen, on="local").join()
            threading.settrace(trace)
            threading.setprofile(profile)
            with_both = smarm.spawn(seen, on="local").join()
            threading.settrace(None)
            threading.setprofile(None)
            print(before, with_both, smarm.spawn(seen, on="local").join())

        smarm.run(main, workers=1)
        """
    )
    assert out == "(False, False) (True, True) (False, False)\n"


def test_a_hook_that_cannot_be_set_fails_the_actor(succeed):
    out = succeed(
        """
        import sys, threading, smarm

        def main():
            threading._trace_hook = lambda *arguments: None
            sys.settrace = None
            try:
                smarm.spawn(int, "1", on="local").join()
            except smarm.ActorFailed as error:
                print(type(error.__cause__).__name__)
            threading._trace_hook = None
            print(smarm.spawn(int, "1", on="local").join())

        smarm.run(main, workers=1)
        """
    )
    assert out == "TypeError\n1\n"


def test_pytest_runs_as_the_main_actor(tmp_path):
    (tmp_path / "test_actors.py").write_text(
        """
import pytest
import smarm

def double():
    sender, value = smarm.receive()
    smarm.send(sender, 2 * value)

@pytest.mark.parametrize("on", ["local", 1])
def test_answers(on):
    smarm.send(smarm.spawn(double, on=on).pid, (smarm.self(), 21))
    assert smarm.receive(timeout=60) == 42

def test_fails():
    assert smarm.spawn(int, "2").join() == 3
"""
    )
    command = [
        BIN / "smarm-host",
        "--workers",
        "2",
        "-m",
        "pytest",
        "-p",
        "no:faulthandler",
        "-p",
        "no:cacheprovider",
        tmp_path,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "assert 2 == 3" in done.stdout
    assert "1 failed, 2 passed" in done.stdout
