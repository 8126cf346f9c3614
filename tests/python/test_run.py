"""smarm.run: main's value and exception, one runtime at a time, and every call outside of one."""

from __future__ import annotations

import signal
import sys
import threading
import traceback

import pytest

import smarm


def test_the_quick_taste_word_for_word(succeed):
    out = succeed("""
        import smarm
        def worker(rx):
            for _ in range(3):
                print("got", rx.recv())
        def main():
            tx, rx = smarm.channel()
            h = smarm.spawn(worker, rx)      # another core
            for v in (1, 2, 3):
                tx.send(v)
            h.join()
        smarm.run(main)                      # or: smarm-host app.py
    """)
    assert out == "got 1\ngot 2\ngot 3\n"


# ---- main ------------------------------------------------------------------------------------------------------------


def test_run_gives_main_its_arguments_and_returns_its_value(alone):
    assert alone(lambda a, b: [b, a], 1, 2) == [2, 1]
    assert smarm.Runtime(workers=1).run(max, 3, 7) == 7


def test_mains_arguments_and_value_are_the_very_objects(alone):
    lock = threading.Lock()  # could not be sent
    assert alone(lambda it: it, lock) is lock


def test_mains_exception_is_raised_as_it_is(alone):
    error = ValueError("mine")
    error.add_note("a note")

    def deep():
        raise error

    def main():
        deep()

    with pytest.raises(ValueError, match="mine") as caught:
        alone(main)
    assert caught.value is error
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["main", "deep"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), smarm.ActorExit("mine")])
def test_what_is_no_exception_leaves_run_too(alone, error):
    def main():
        raise error

    with pytest.raises(type(error)) as caught:
        alone(main)
    assert caught.value is error


def test_an_exit_code_becomes_the_processes(run_app):
    result = run_app("""
        import sys, smarm
        smarm.run(sys.exit, 7)
    """)
    assert (result.code, result.out, result.err) == (7, "", "")


def test_an_exception_of_main_looks_like_pythons_own(run_app):
    result = run_app("""
        import smarm
        def main():
            1 / 0
        smarm.run(main)
    """)
    assert result.code == 1
    assert result.err.startswith("Traceback (most recent call last):\n")
    assert result.err.endswith("ZeroDivisionError: division by zero\n")
    assert "in main" in result.err


def test_the_program_goes_on_after_run(succeed):
    out = succeed("""
        import smarm
        print(smarm.run(lambda: "inside", workers=1))
        print(smarm.run(lambda: smarm.spawn(abs, -5).join(), workers=2))
        print("after")
    """)
    assert out == "inside\n5\nafter\n"


@pytest.mark.parametrize("main", [None, 42, "main", [print], object()])
def test_main_must_be_callable(main):
    with pytest.raises(TypeError, match="run.*" + type(main).__name__):
        smarm.run(main)


def test_run_needs_a_main():
    with pytest.raises(TypeError):
        smarm.run()


def test_a_runtime_can_run_one_program_after_the_other(alone):
    runtime = smarm.Runtime(workers=1)
    pids = {runtime.run(smarm.self) for _ in range(20)}
    assert all(isinstance(pid, smarm.Pid) for pid in pids)


def test_actors_that_live_when_main_ends_are_unwound_before_run_returns(alone, wait_until_parked):
    unwound = []

    def park():
        try:
            smarm.receive()
        finally:
            unwound.append(smarm.self())

    def main():
        handles = [smarm.spawn(park) for _ in range(10)]
        for handle in handles:
            wait_until_parked(handle.pid)
        assert unwound == []
        return {handle.pid for handle in handles}

    assert alone(main) == set(unwound)
    assert len(unwound) == 10


def test_actors_are_unwound_when_main_fails_too(alone, wait_until_parked):
    unwound = []

    def park():
        try:
            smarm.receive()
        except smarm.ActorExit as error:
            unwound.append(error)
            raise

    def main():
        wait_until_parked(smarm.spawn(park).pid)
        raise LookupError("main failed")

    with pytest.raises(LookupError):
        alone(main)
    assert len(unwound) == 1


# ---- one at a time ---------------------------------------------------------------------------------------------------


def test_run_inside_run_is_refused_and_the_outer_one_goes_on(alone):
    def main():
        with pytest.raises(smarm.AlreadyRunning, match="spawn"):
            smarm.run(abs, -1)
        return smarm.spawn(abs, -2).join()

    assert alone(main) == 2


def test_run_in_another_thread_is_refused_while_one_runs(alone):
    def main():
        caught = []

        def body():
            try:
                smarm.run(abs, -1)
            except smarm.AlreadyRunning as error:
                caught.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return len(caught)

    assert alone(main) == 1


def test_run_in_an_actor_of_another_worker_is_refused(succeed):
    out = succeed("""
        import smarm
        def again():
            try:
                smarm.run(abs, -1)
            except smarm.SmarmError as error:
                return type(error).__name__
        def main():
            print(smarm.spawn(again, on=1).join())
        smarm.run(main, workers=2)
    """)
    assert out in ("AlreadyRunning\n", "NoRuntime\n")


def test_run_works_in_a_thread_that_is_not_the_main_one():
    values = []

    def body():
        values.append(smarm.run(lambda: smarm.spawn(abs, -3).join(), workers=1))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert values == [3]
    assert signal.getsignal(signal.SIGINT) is before


def test_run_leaves_the_signal_handlers_as_they_were(succeed):
    out = succeed("""
        import os, signal, smarm
        for _ in range(2):
            smarm.run(lambda: None, workers=1)
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                print("as before")
        def mine(number, frame):
            print("mine", number)
        signal.signal(signal.SIGINT, mine)
        smarm.run(lambda: None, workers=1)
        os.kill(os.getpid(), signal.SIGINT)
    """)
    assert out == "as before\nas before\nmine 2\n"


# ---- without a runtime -----------------------------------------------------------------------------------------------

CALLS = {
    "spawn": lambda: smarm.spawn(print),
    "channel": lambda: smarm.channel(),
    "self": lambda: smarm.self(),
    "send": lambda: smarm.send(None, 1),
    "receive": lambda: smarm.receive(),
    "sleep": lambda: smarm.sleep(0),
    "yield_now": lambda: smarm.yield_now(),
    "statistics": lambda: smarm.statistics(),
    "processes": lambda: smarm.processes(),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_need_a_runtime_say_so(name):
    with pytest.raises(smarm.NoRuntime) as caught:
        CALLS[name]()
    assert isinstance(caught.value, RuntimeError)
    assert isinstance(caught.value, smarm.SmarmError)
    if name not in ("statistics", "processes"):
        assert f"smarm.{name}()" in str(caught.value)
        assert "smarm.run(main)" in str(caught.value)


def test_ends_and_handles_that_outlive_their_runtime_say_so(alone):
    tx, rx = alone(smarm.channel)
    handle = alone(lambda: smarm.spawn(abs, -1))
    for call in (lambda: tx.send(1), rx.recv, lambda: next(rx), handle.join):
        with pytest.raises(smarm.NoRuntime):
            call()
    tx.close()
    rx.close()
    assert "Sender" in repr(tx)
    assert isinstance(handle.pid, smarm.Pid)


def test_calls_in_a_plain_thread_of_an_actor_need_a_runtime_too(alone):
    def main():
        caught = []

        def body():
            try:
                smarm.spawn(abs, -1)
            except smarm.NoRuntime as error:
                caught.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return len(caught)

    assert alone(main) == 1


def test_worker_index_is_none_outside_and_the_workers_inside(alone):
    assert smarm.worker_index() is None
    assert alone(smarm.worker_index) == 0


def test_run_does_not_change_the_recursion_limit_or_the_switch_interval(alone):
    before = sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile()
    assert alone(lambda: (sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile())) == before
    assert (sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile()) == before
