"""Executor and map outside of any runtime, and the ends of programs that use them."""

from __future__ import annotations

import signal
import textwrap
import time

import pytest

IMPORTS = """
    import os, signal, sys, threading, time
    import smarm

    def square(number):
        return number * number

"""


def program(text):
    return textwrap.dedent(IMPORTS) + textwrap.dedent(text)


def guarded(text):
    return program('if __name__ == "__main__":\n' + textwrap.indent(textwrap.dedent(text), "    "))


def test_map_and_executor_work_without_a_runtime(succeed):
    text = """
        print(list(smarm.map(square, range(5))))
        with smarm.Executor() as executor:
            print(executor.submit(square, 5).result())
        print(sum(smarm.map(square, range(1000))))
    """
    assert succeed(guarded(text)) == "[0, 1, 4, 9, 16]\n25\n332833500\n"


def test_they_use_every_cpu_and_not_the_programs_own_interpreter(succeed):
    text = """
        barrier = None
        with smarm.Executor() as executor:
            places = {executor.submit(smarm.worker_index).result() for _ in range(100)}
            print(0 in places, executor._max_workers == len(os.sched_getaffinity(0)))
    """
    assert succeed(guarded(text)) == "False True\n"


def test_the_variable_for_workers_counts_here_too(succeed):
    text = """
        with smarm.Executor(placement=0) as executor:
            print(executor.submit(smarm.worker_count).result())
    """
    assert succeed(guarded(text), env={"SMARM_WORKERS": "5"}) == "5\n"


def test_a_run_of_the_program_takes_its_place(succeed):
    text = """
        print(list(smarm.map(square, range(3))))
        print(smarm.run(lambda: list(smarm.map(square, range(3))), workers=2))
        print(list(smarm.map(square, range(3))))
    """
    assert succeed(guarded(text)) == "[0, 1, 4]\n" * 3


def test_a_run_beside_one_that_is_in_use_is_refused(succeed):
    text = """
        executor = smarm.Executor()
        executor.submit(square, 1).result()
        try:
            smarm.run(print)
        except smarm.AlreadyRunning as error:
            print(error)
        executor.shutdown()
        smarm.run(print, "then")
    """
    first, second = succeed(guarded(text)).splitlines()
    assert first.startswith("smarm.Executor outside of a runtime is still in use")
    assert second == "then"


def test_what_was_submitted_is_done_when_the_program_ends(succeed):
    text = """
        executor = smarm.Executor(1)
        for number in range(3):
            executor.submit(print, number, flush=True)
    """
    assert succeed(guarded(text)) == "0\n1\n2\n"


def test_functions_of_a_script_are_found_when_it_has_come_to_its_end(succeed):
    """A worker that starts then still finds the file, whose name Python takes out of __main__."""
    text = """
        def tell(number):
            print(square(number), flush=True)

        if __name__ == "__main__":
            smarm.Executor(1).submit(tell, 3)
    """
    assert succeed(program(text)) == "9\n"


def test_a_failure_at_the_programs_end_does_not_hang_it(run_app):
    result = run_app(
        guarded("""
        executor = smarm.Executor(1)
        executor.submit(square, 1).result()
        raise LookupError("the program's own")
    """)
    )
    assert result.code == 1
    assert result.err.endswith("LookupError: the program's own\n")


def test_sys_exit_inside_of_its_block_keeps_the_code(run_app):
    result = run_app(
        guarded("""
        with smarm.Executor() as executor:
            executor.submit(square, 1).result()
            sys.exit(7)
    """)
    )
    assert (result.code, result.err) == (7, "")


def test_threads_use_one_at_the_same_time(succeed):
    text = """
        executor = smarm.Executor()
        got = []
        def use(first):
            got.append(sum(executor.submit(square, number).result() for number in range(first, first + 100)))
        threads = [threading.Thread(target=use, args=(100 * each,)) for each in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sum(got) == sum(number * number for number in range(400)))
        executor.shutdown()
    """
    assert succeed(guarded(text)) == "True\n"


@pytest.mark.parametrize(
    "work",
    [
        "list(smarm.map(wait, [1, 2], chunk=1))",
        "with smarm.Executor() as executor: executor.submit(wait, 1).result()",
        "smarm.run(lambda: list(smarm.map(wait, [1, 2], chunk=1)), workers=2)",
        "smarm.run(in_block, workers=2)",
    ],
)
def test_ctrl_c_ends_all(start, write, work):
    text = f"""
        def wait(number):
            print("runs", flush=True)
            try:
                time.sleep(100)
            finally:
                print("ended", flush=True)

        def in_block():
            with smarm.Executor(1) as executor:
                executor.submit(wait, 1).result()

        if __name__ == "__main__":
            try:
                {work}
            except KeyboardInterrupt:
                print("interrupted", flush=True)
    """
    child = start(write(program(text)))
    child.wait_for("runs")
    child.send(signal.SIGINT)
    result = child.finish()
    assert result.code in (0, -signal.SIGINT), result
    assert "interrupted\n" in result.out
    assert result.out.count("ended\n") == result.out.count("runs\n")


def test_ctrl_c_reaches_the_program_while_a_runtime_is_in_another_thread(start, write):
    """A runtime that is not on the process's main thread leaves its signals alone."""
    child = start(
        write(
            guarded("""
        smarm.Executor().submit(square, 1).result()
        try:
            print("ready", flush=True)
            time.sleep(100)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
        )
    )
    child.wait_for("ready")
    child.send(signal.SIGINT)
    result = child.finish()
    assert (result.code, result.out, result.err) == (0, "ready\ninterrupted\n", "")


def test_ctrl_c_while_the_program_waits_for_its_end(start, write):
    child = start(
        write(
            guarded("""
        executor = smarm.Executor(1)
        executor.submit(print, "runs", flush=True)
        executor.submit(time.sleep, 100)
    """)
        )
    )
    child.wait_for("runs")
    child.send(signal.SIGINT)
    result = child.finish()
    assert "KeyboardInterrupt" in result.err


def test_another_ctrl_c_does_not_wait_for_c_code(start, write):
    child = start(
        write(
            program("""
        def hold():
            print("runs", flush=True)
            sum(range(10**11))

        if __name__ == "__main__":
            smarm.Executor(1).submit(hold)
    """)
        )
    )
    child.wait_for("runs")
    while child._process.poll() is None:
        child.send(signal.SIGINT)
        time.sleep(0.05)
    assert child.finish().code == 128 + signal.SIGINT


def test_a_worker_that_c_code_holds_is_named_at_the_end(run_app):
    """What cannot be stopped is given up with a sentence: actor, function, item and worker."""
    text = """
        def hold(number):
            print("runs", flush=True)
            sum(range(10**11))  # C code, without end

        def main():
            smarm.spawn(square, 1, on=1).join()  # the worker is there
            with smarm.timeout(1.0), smarm.Executor(1, placement=1) as executor:
                executor.submit(hold, 17).result()

        if __name__ == "__main__":
            try:
                smarm.run(main, workers=2, kill_patience=0.2, shutdown_timeout=0.2)
            except smarm.Timeout:
                print("timed out", flush=True)
            os._exit(0)  # the thread of that worker does not end
    """
    result = run_app(program(text))
    assert "timed out\n" in result.out
    assert "smarm: worker 1 does not come back from hold(17), which actor <pid " in result.err


def test_a_map_names_the_item_that_holds_a_worker(run_app):
    text = """
        def hold(number):
            if number == 3:
                sum(range(10**11))
            return number

        def main():
            import smarm.work.manager
            smarm.work.manager.LOOKS_EVERY = 0.2
            for result in smarm.map(hold, range(5), chunk=1, concurrency=1, placement=1, timeout=1.0, on_error="return"):
                print(repr(result), flush=True)
                if isinstance(result, smarm.Timeout):
                    return

        if __name__ == "__main__":
            smarm.run(main, workers=2, kill_patience=0.2, shutdown_timeout=0.2)
            os._exit(0)
    """
    result = run_app(program(text))
    assert result.out.startswith("0\n1\n2\nTimeout(")
    assert "worker 1 does not come back from hold(3), item 3, which actor <pid " in result.err


def test_nothing_of_it_is_loaded_before_it_is_used(succeed):
    text = """
        print([name for name in sys.modules if name.startswith("smarm.work") or name in ("concurrent.futures", "threading")])
        smarm.run(lambda: smarm.spawn(square, 3, on=1).join(), workers=2)
        print([name for name in sys.modules if name.startswith("smarm.work")])
    """
    first, second = succeed(guarded(text).replace("threading, time", "time")).splitlines()
    assert (first, second) == ("[]", "[]")


def test_workers_load_little_of_it(succeed):
    text = """
        with smarm.Executor(1) as executor:
            names = executor.submit(modules).result()
        print([name for name in names if name.startswith("smarm.work.")])
        print("concurrent.futures" in names, "typing" in names)
    """
    text = guarded(text).replace("threading, time", "time")
    lines = succeed(
        text.replace("if __name__", "def modules():\n    return sorted(sys.modules)\n\nif __name__")
    ).splitlines()
    assert lines == ["['smarm.work.functions', 'smarm.work.slots']", "False False"]
