"""An actor's exception: at the joiner, or on stderr when nobody joins."""

from __future__ import annotations

import re
import sys
import traceback

import in_workers
import pytest

import smarm

# ---- at the joiner ---------------------------------------------------------------------------------------------------


def test_a_failure_reaches_the_joiner_with_cause_and_remote_traceback(alone):
    def main():
        handle = smarm.spawn(in_workers.fail, "broken", name="worker bee")
        with pytest.raises(smarm.ActorFailed) as caught:
            handle.join()
        return handle.pid, caught.value

    pid, error = alone(main)
    assert isinstance(error, smarm.SmarmError)
    assert (error.pid, error.name) == (pid, "worker bee")
    assert re.fullmatch(
        rf"actor {pid} 'worker bee', spawned at {re.escape(__file__)}:\d+, failed: ValueError: broken", str(error)
    )
    assert type(error.__cause__) is ValueError
    assert error.__cause__.args == ("broken",)
    assert error.remote_traceback.startswith("Traceback (most recent call last):\n")
    assert "in fail\n" in error.remote_traceback
    assert error.remote_traceback.endswith("ValueError: broken\n")


def test_the_remote_traceback_is_printed_with_the_local_one(alone):
    def main():
        try:
            smarm.spawn(in_workers.fail, "broken").join()
        except smarm.ActorFailed:
            return traceback.format_exc()

    text = alone(main)
    assert "Traceback in the failed actor:" in text
    assert "in fail" in text
    assert "in main" in text


def test_causes_notes_and_groups_travel(alone):
    def fail():
        try:
            raise KeyError("first")
        except KeyError as error:
            problem = ValueError("second")
            problem.add_note("look here")
            raise ExceptionGroup("both", [problem, OSError(2, "missing", "file")]) from error

    def main():
        with pytest.raises(smarm.ActorFailed) as caught:
            smarm.spawn(fail).join()
        return caught.value.__cause__

    group = alone(main)
    assert isinstance(group, ExceptionGroup)
    assert isinstance(group.__cause__, KeyError)
    first, second = group.exceptions
    assert first.__notes__ == ["look here"]
    assert (type(second), second.errno, second.filename) == (FileNotFoundError, 2, "file")


def test_an_exception_that_cannot_travel_is_described(alone):
    def main():
        with pytest.raises(smarm.ActorFailed, match="Unpicklable: not for you") as caught:
            smarm.spawn(in_workers.fail_with_lock, "not for you").join()
        return caught.value

    error = alone(main)
    assert error.__cause__ is None
    assert "in fail_with_lock" in error.remote_traceback


class Rude(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")

    __repr__ = __str__


def test_an_exception_that_cannot_be_printed_is_named(alone):
    def fail():
        raise Rude

    def main():
        with pytest.raises(smarm.ActorFailed, match="Rude") as caught:
            smarm.spawn(fail).join()
        return caught.value.remote_traceback

    assert "Rude" in alone(main)


def test_a_failure_passes_through_several_actors(alone):
    def relay(depth):
        if depth == 0:
            raise LookupError("deepest")
        smarm.spawn(relay, depth - 1).join()

    def main():
        with pytest.raises(smarm.ActorFailed) as caught:
            smarm.spawn(relay, 3).join()
        chain = []
        error = caught.value
        while error is not None:
            chain.append(type(error))
            error = error.__cause__
        return chain

    assert alone(main) == [smarm.ActorFailed] * 4 + [LookupError]


def test_a_failure_that_main_does_not_handle_ends_the_program_with_both_tracebacks(run_app):
    result = run_app("""
        import smarm
        def inner():
            raise LookupError("inside")
        def main():
            smarm.spawn(inner).join()
        smarm.run(main, workers=2)
    """)
    assert result.code == 1
    assert result.err.count("LookupError: inside") >= 1
    assert "in inner" in result.err
    assert "in main" in result.err
    assert "nobody joined it" not in result.err


# ---- nobody joins ----------------------------------------------------------------------------------------------------

UNOBSERVED = """
    import sys, smarm
    def fail(message):
        raise ValueError(message)
    def main():
        {main}
    smarm.run(main, workers={workers})
"""


def unobserved(run_app, main, workers=1):
    """Run a program and return the reports on its stderr: (pid, name, line, message) of each."""
    result = run_app(UNOBSERVED.format(main=main.replace("\n", "\n        "), workers=workers))
    assert result.code == 0, result.err
    reports = re.findall(
        r"^smarm: actor (<pid \d+\.\d+>)(?: '([^']*)')?, spawned at \S+app\.py:(\d+), failed, and nobody joined it:\n"
        r"Traceback \(most recent call last\):\n(?:  .*\n)+ValueError: (.*)\n",
        result.err,
        re.MULTILINE,
    )
    assert len(reports) == result.err.count("smarm:"), result.err
    return reports


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_that_nobody_joins_is_printed_once(run_app, workers):
    reports = unobserved(
        run_app,
        """
handle = smarm.spawn(fail, "lonely", name="bee")
pid = handle.pid
del handle
while smarm.process_info(pid): smarm.yield_now()
print(pid)
""",
        workers,
    )
    [(_, name, line, message)] = reports
    assert (name, line, message) == ("bee", "7", "lonely")


def test_a_failure_whose_handle_is_dropped_later_is_printed_then(run_app):
    reports = unobserved(
        run_app,
        """
handle = smarm.spawn(fail, "late")
while smarm.process_info(handle.pid): smarm.yield_now()
print("ended", file=sys.stderr)
del handle
""",
    )
    assert [report[3] for report in reports] == ["late"]


def test_a_failure_that_was_joined_is_not_printed(run_app):
    assert (
        unobserved(
            run_app,
            """
for n in range(3):
    handle = smarm.spawn(fail, "seen")
    try:
        handle.join()
    except smarm.ActorFailed:
        pass
    del handle
""",
        )
        == []
    )


def test_a_failure_that_is_joined_later_is_not_printed_before(run_app):
    assert (
        unobserved(
            run_app,
            """
handle = smarm.spawn(fail, "seen late")
while smarm.process_info(handle.pid): smarm.yield_now()
try:
    handle.join(timeout=0)
except smarm.ActorFailed:
    pass
""",
        )
        == []
    )


def test_a_failure_is_printed_when_the_handle_lives_until_the_end_of_main(run_app):
    reports = unobserved(
        run_app,
        """
handle = smarm.spawn(fail, "at the end")
while smarm.process_info(handle.pid): smarm.yield_now()
""",
    )
    assert [report[3] for report in reports] == ["at the end"]


def test_a_failure_whose_handle_lives_until_the_end_of_the_process_is_reported_whole(run_app):
    result = run_app("""
        import smarm
        def fail():
            raise ValueError("at the very end")
        def main():
            global handle
            handle = smarm.spawn(fail)
            while smarm.process_info(handle.pid):
                smarm.yield_now()
        smarm.run(main, workers=1)
    """)
    assert result.code == 0
    assert result.err.count("nobody joined it") == 1
    assert re.match(r"smarm: actor <pid 1\.\d+>, spawned at .*app\.py:\d+, failed, and nobody joined it:\n", result.err)
    assert result.err.endswith('in fail\n    raise ValueError("at the very end")\nValueError: at the very end\n')


def test_handles_that_an_exception_of_main_keeps_are_reported_whole(run_app):
    result = run_app("""
        import smarm
        def fail(number):
            raise ValueError(f"number {number}")
        def main():
            handles = [smarm.spawn(fail, number, on="local") for number in range(3)]
            for handle in handles:
                handle.join()
        smarm.run(main, workers=1)
    """)
    assert result.code == 1
    assert result.err.count("nobody joined it:\nTraceback") == 2
    assert all(f"ValueError: number {number}\n" in result.err for number in range(3))


@pytest.mark.parametrize("how", ["exit", "kill", "end"])
def test_an_exit_while_a_failure_is_described_does_not_shorten_its_report(run_app, how):
    result = run_app(
        """
        import sys
        import smarm
        class Slow(Exception):
            def __str__(self):
                smarm.send(boss, "being described")
                smarm.sleep(0.01)  # an exit would be raised here
                return "the whole message"
        def fail(pid):
            global boss
            boss = pid
            raise Slow
        def main():
            handle = smarm.spawn(fail, smarm.self(), on=1)
            smarm.receive()
            if sys.argv[1] == "end":
                return
            (smarm.kill if sys.argv[1] == "kill" else lambda pid: smarm.exit(pid, "now"))(handle.pid)
            ended = smarm.monitor(handle.pid)
            del handle
            smarm.receive(ended)
        if __name__ == "__main__":
            smarm.run(main, workers=2)
        """,
        how,
    )
    assert result.code == 0
    assert re.search(r"actor <pid \d+\.\d+>, spawned at .*, failed, and nobody joined it:\nTraceback", result.err)
    assert "raise Slow" in result.err
    assert "Slow: the whole message" in result.err


@pytest.mark.parametrize("on", ["local", 1])
def test_a_failure_without_a_free_descriptor_is_told_whole_to_joiners_and_on_stderr(run_app, on):
    result = run_app(
        """
        import os, resource, sys
        import smarm
        def use_them_up():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            try:
                while True:
                    os.open("/dev/null", os.O_RDONLY)
            except OSError as error:
                return error.errno
        def fail(message):
            try:
                raise ExceptionGroup("some", [KeyError("member"), ExceptionGroup("of them", [OSError("inner")])])
            except ExceptionGroup as error:
                error.add_note("a note")
                raise ValueError(message) from error
        def main():
            on = int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1]
            smarm.spawn(int, on=on).join()
            smarm.spawn(use_them_up, on=on).join()
            for message in ("first", "second"):
                handle = smarm.spawn(fail, message, on=on)
                try:
                    handle.join()
                except smarm.ActorFailed as error:
                    print(str(error).rpartition("failed: ")[2], "in fail" in error.remote_traceback)
            ended = smarm.spawn(fail, "reported", on=on, monitor=True).monitor
            smarm.receive(ended)
        if __name__ == "__main__":
            smarm.run(main, workers=2)
        """,
        str(on),
    )
    assert result.code == 0
    assert result.out == "ValueError: first True\nValueError: second True\n"
    assert re.search(
        r'failed, and nobody joined it:\nTraceback .*\n(.*\n)*  File ".*app.py", line \d+, in fail\n', result.err
    )
    assert "ValueError: reported\n" in result.err
    for part in ("KeyError: 'member'", "OSError: inner", "ExceptionGroup: some", "a note", "the direct cause of"):
        assert part in result.err


def test_a_join_that_timed_out_has_not_seen_the_failure(run_app):
    reports = unobserved(
        run_app,
        """
handle = smarm.spawn(fail, "unseen")
try:
    handle.join(timeout=0)
except smarm.Timeout:
    pass
except smarm.ActorFailed:
    print("seen")
pid = handle.pid
del handle
while smarm.process_info(pid): smarm.yield_now()
""",
    )
    assert [report[3] for report in reports] == ["unseen"]


def test_many_failures_on_all_workers_are_each_printed_once_and_not_torn(run_app):
    reports = unobserved(
        run_app,
        """
pids = [smarm.spawn(fail, f"number {n}", on=n % 3).pid for n in range(30)]
for pid in pids:
    while smarm.process_info(pid): smarm.sleep(0.001)
""",
        workers=3,
    )
    assert sorted(report[3] for report in reports) == sorted(f"number {n}" for n in range(30))


def test_a_program_without_stderr_survives_a_failure(succeed):
    out = succeed("""
        import sys, smarm
        def fail():
            raise ValueError
        def main():
            sys.stderr = None
            pid = smarm.spawn(fail).pid
            while smarm.process_info(pid):
                smarm.yield_now()
            print("alive")
        smarm.run(main, workers=1)
    """)
    assert out == "alive\n"


def test_a_report_that_fails_does_not_hurt(run_app):
    result = run_app("""
        import sys, smarm
        class Broken:
            def write(self, text):
                raise OSError("broken stderr")
            def flush(self):
                pass
        def fail():
            raise ValueError
        def main():
            kept, sys.stderr = sys.stderr, Broken()
            pid = smarm.spawn(fail).pid
            while smarm.process_info(pid):
                smarm.yield_now()
            sys.stderr = kept
            print("alive")
        smarm.run(main, workers=1)
    """)
    assert (result.code, result.out) == (0, "alive\n")
    assert "in fail\n    raise ValueError\nValueError\n" in result.err  # where the process writes by itself


# ---- what is not an error --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, 0, 1, "text"])
def test_sys_exit_ends_the_actor_only(alone, code, capfd):
    def main():
        handle = smarm.spawn(sys.exit, code)
        return handle.join()

    assert alone(main) is None
    assert capfd.readouterr().err == ""


def test_keyboard_interrupt_in_an_actor_is_its_failure(alone):
    def fail():
        raise KeyboardInterrupt("by hand")

    def main():
        with pytest.raises(smarm.ActorFailed) as caught:
            smarm.spawn(fail).join()
        return caught.value.__cause__

    assert type(alone(main)) is KeyboardInterrupt


def test_an_actor_that_raises_actor_exit_was_stopped(alone, capfd):
    def stop():
        raise smarm.ActorExit

    def main():
        handle = smarm.spawn(stop)
        with pytest.raises(smarm.ActorKilled):
            handle.join()

    alone(main)
    assert capfd.readouterr().err == ""


def test_actor_exit_cannot_be_swallowed_by_except_exception():
    assert issubclass(smarm.ActorExit, BaseException)
    assert not issubclass(smarm.ActorExit, Exception)


def test_every_error_is_below_smarm_error():
    from smarm import _errors

    for name in vars(_errors):
        error = getattr(_errors, name)
        if isinstance(error, type) and issubclass(error, Exception):
            assert issubclass(error, smarm.SmarmError)
    assert issubclass(smarm.Timeout, TimeoutError)
    assert issubclass(smarm.ActorKilled, smarm.ActorFailed)
    assert issubclass(smarm.NotSendable, TypeError)
    assert issubclass(smarm.ConfigError, ValueError)
    assert issubclass(smarm.NoRuntime, RuntimeError)


def test_a_failure_in_another_worker_is_no_different(succeed):
    out = succeed("""
        import smarm
        class Custom(Exception):
            def __init__(self, code, text):
                super().__init__(code, text)
                self.code = code
        def fail():
            raise Custom(7, "far away")
        def main():
            handle = smarm.spawn(fail, on=1, name="far")
            try:
                handle.join()
            except smarm.ActorFailed as error:
                print(error.name, type(error.__cause__) is Custom, error.__cause__.code)
                print("in fail" in error.remote_traceback)
        if __name__ == "__main__":
            smarm.run(main, workers=2)
    """)
    assert out == "far True 7\nTrue\n"


def test_an_argument_that_cannot_be_made_again_is_the_actors_failure(succeed):
    out = succeed("""
        import smarm
        class Bomb:
            def __reduce__(self):
                return explode, ()
        def explode():
            raise LookupError("boom")
        def work(it):
            print("never")
        def main():
            try:
                smarm.spawn(work, Bomb(), on=1).join()
            except smarm.ActorFailed as error:
                print(type(error.__cause__).__name__, error.__cause__)
        smarm.run(main, workers=2)
    """)
    assert out == "LookupError boom\n"


def test_a_deep_chain_of_causes_does_not_crash(alone):
    def fail():
        error = None
        for number in range(2000):
            following = ValueError(number)
            following.__cause__ = error
            error = following
        raise error

    def main():
        with pytest.raises(smarm.ActorFailed, match="ValueError: 1999"):
            smarm.spawn(fail).join()

    alone(main)


def test_an_exception_that_is_longer_than_a_message_may_be_still_says_its_type():
    def fail():
        raise KeyError("x" * 5000)

    def main():
        with pytest.raises(smarm.ActorFailed, match="failed: KeyError"):
            smarm.spawn(fail).join()

    smarm.run(main, workers=1, message_size=1024)
