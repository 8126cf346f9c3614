"""When a failure that nobody has joined is reported, although somebody keeps the handle."""

from __future__ import annotations

import sys

import pytest

import smarm

KEPT = """
import sys, smarm
kept = []
def fail():
    return 1 / 0
def main():
    kept.append(smarm.spawn(fail, name="unlucky", on={on}))
    {wait}
smarm.run(main, workers=2)
print("run has returned", flush=True)
"""


@pytest.mark.parametrize("on", ["'local'", "1"])
def test_the_end_of_the_run_reports_whole_what_is_left(run_app, on):
    done = run_app(KEPT.format(on=on, wait="smarm.receive(smarm.monitor(kept[0]))"))
    assert done.out == "run has returned\n"
    report, _, trace = done.err.partition("\n")
    assert "'unlucky', spawned at" in report
    assert "app.py:7, failed, and nobody joined it:" in report
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("ZeroDivisionError: division by zero\n")


def test_a_failure_is_reported_while_the_program_goes_on(run_app):
    wait = """
    class Stream:
        def write(self, text):
            sys.__stderr__.write(text)
            if "ZeroDivisionError" in text:
                smarm.send("main", "reported")
        def flush(self):
            pass
    sys.stderr = Stream()
    smarm.register("main")
    print(smarm.receive())
    for _ in range(2):
        try:
            kept[0].join()
        except smarm.ActorFailed as error:
            print(type(error.__cause__).__name__, sum("was reported" in note for note in error.__notes__))
    """
    done = run_app(KEPT.format(on="'local'", wait=wait))
    assert done.out == "reported\nZeroDivisionError 1\nZeroDivisionError 0\nrun has returned\n"
    assert done.err.count("failed, and nobody joined it") == 1


def test_a_failure_that_was_joined_is_not_reported(succeed):
    succeed(
        KEPT.format(
            on="'local'",
            wait="""
    try:
        kept[0].join()
    except smarm.ActorFailed:
        pass
    """,
        )
    )


def test_join_all_and_task_groups_are_joiners_however_long_the_others_take(succeed):
    out = succeed("""
        import smarm
        def fail():
            return 1 / 0
        def later():
            smarm.sleep(1.5)
        def main():
            try:
                smarm.join_all([smarm.spawn(fail), smarm.spawn(later)])
            except* smarm.ActorFailed:
                print("joined")
            try:
                with smarm.TaskGroup() as group:
                    def stubborn():
                        with smarm.shield():
                            smarm.sleep(1.5)
                    group.spawn(stubborn)
                    smarm.sleep(0.01)
                    group.spawn(fail)
            except* smarm.ActorFailed:
                print("concluded")
        smarm.run(main, workers=1)
    """)
    assert out == "joined\nconcluded\n"


def test_in_a_simulation_it_is_reported_at_the_end(capfd):
    kept = []

    def fail():
        return 1 / 0

    def main():
        kept.append(smarm.spawn(fail))
        smarm.sleep(10)
        sys.stderr.write("at the end\n")
        sys.stderr.flush()

    smarm.testing.simulate(main, seed=1)
    error = capfd.readouterr().err
    assert error.index("at the end") < error.index("failed, and nobody joined it")
