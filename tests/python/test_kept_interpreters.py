"""Interpreters of workers that outlast their run: what the next run finds in them, and how they end.

Those that have loaded a private copy of an extension module do, here of one of the tests' own.
"""

from __future__ import annotations

import textwrap

import pytest

KEEP = """
    import os, sys, smarm
    def number(keep=True):
        import _interpreters
        if keep:
            import smarm_test_pybind
        return _interpreters.get_current()[0]
    def everywhere(function, *arguments, workers=2):
        def main():
            return [smarm.spawn(function, *arguments, on=n).join() for n in range(1, workers)]
        return smarm.run(main, workers=workers, extensions="private")
"""


def program(*parts: str) -> str:
    return "".join(textwrap.dedent(part) for part in (KEEP, *parts))


def test_an_interpreter_that_is_kept_is_the_next_runs(succeed):
    out = succeed(program("print(len({*everywhere(number), *everywhere(number), *everywhere(number)}))"))
    assert out == "1\n"


def test_an_interpreter_that_does_not_ask_for_it_ends_with_its_run(succeed):
    out = succeed(program("print(len({*everywhere(number, False), *everywhere(number, False)}))"))
    assert out == "2\n"


def test_runs_may_have_more_workers_or_fewer_than_those_before(succeed):
    out = succeed(program("print([len(everywhere(number, workers=n)) for n in (2, 4, 1, 3, 4)], number())"))
    assert out == "[1, 3, 0, 2, 3] 0\n"


def test_no_run_makes_an_interpreter_while_one_is_idle(succeed):
    out = succeed(
        program("""
    seen = set()
    for workers in (3, 2, 3, 2, 1, 3):
        seen.update(everywhere(number, workers=workers))
    print(len(seen))
    """)
    )
    assert out == "2\n"


@pytest.mark.parametrize("edited", ["script", "module"])
def test_the_program_is_loaded_anew(succeed, edited):
    out = succeed(
        program("""
    import importlib, pathlib
    edited = sys.argv[1]
    folder = pathlib.Path(__file__).parent
    own = folder / "app_helper.py"
    COUNT = [0]
    def look():
        number()
        import app_helper
        COUNT[0] += 1
        app_helper.COUNT[0] += 1
        return COUNT[0], app_helper.COUNT[0], app_helper.TEXT, VERSION
    VERSION = "first"
    if __name__ == "__main__":
        for text in ("first", "second, longer"):
            own.write_text(f"COUNT = [0]\\nTEXT = {text!r}\\n")
            print(everywhere(look))
            if edited == "script":
                script = pathlib.Path(__file__)
                script.write_text(script.read_text().replace('VERSION = "first"', 'VERSION = "second"'))
    """),
        edited,
    )
    version = "second" if edited == "script" else "first"
    assert out == f"(1, 1, 'first', 'first')\n(1, 1, 'second, longer', '{version}')\n".replace("(", "[(").replace(
        ")", ")]"
    )


def test_what_is_installed_stays_as_it_is_left(succeed):
    out = succeed(
        program("""
    def count():
        number()
        import string
        string.runs = getattr(string, "runs", 0) + 1
        return string.runs
    print(everywhere(count), everywhere(count))
    """)
    )
    assert out == "[1] [2]\n"


def test_what_is_known_of_the_process_is_told_anew(succeed):
    out = succeed(
        program("""
    import io
    def spoil():
        number()
        sys.path.append("/nowhere"); sys.argv.append("more"); sys.setrecursionlimit(500); sys.stdout = io.StringIO()
    def look():
        return "/nowhere" in sys.path, sys.argv[1:], sys.getrecursionlimit(), sys.stdout is sys.__stdout__
    everywhere(spoil)
    sys.argv.append("from main")
    sys.setrecursionlimit(2000)
    print(everywhere(look))
    """)
    )
    assert out == "[(False, ['from main'], 2000, True)]\n"


def test_objects_of_the_program_are_freed_when_its_run_ends(succeed):
    out = succeed(
        program("""
    class Box:
        def __init__(self): self.itself = self
        def __del__(self): os.write(1, b"freed ")
    KEPT = []
    def encode(box): return 1
    def decode(_): return Box()
    def fill():
        number()
        KEPT.append(Box())
    smarm.register_codec(Box, encode, decode)
    everywhere(fill)
    os.write(1, b"run ended ")
    everywhere(fill)
    os.write(1, b"run ended\\n")
    """)
    )
    assert out == "freed run ended freed run ended\n"


def test_a_registered_type_travels_in_every_run(succeed):
    out = succeed(
        program("""
    class Locked:
        def __init__(self, value): self.value, self.lock = value, __import__("_thread").allocate_lock()
    def encode(locked): return locked.value
    def decode(value): return Locked(value)
    smarm.register_codec(Locked, encode, decode)
    def take(locked):
        number()
        return type(locked) is Locked and locked.value
    print(everywhere(take, Locked(3)), everywhere(take, Locked(4)))
    """)
    )
    assert out == "[3] [4]\n"


def test_an_interpreter_with_a_thread_that_lives_is_not_kept(succeed):
    out = succeed(
        program("""
    from concurrent.futures import ThreadPoolExecutor
    POOL = ThreadPoolExecutor(1)
    def leave_a_thread():
        return POOL.submit(number).result()
    print(len({*everywhere(leave_a_thread), *everywhere(leave_a_thread)}))
    """)
    )
    assert out == "2\n"


def test_an_interpreter_whose_output_is_closed_is_not_kept(succeed):
    out = succeed(
        program("""
    def close():
        sys.stdout.close()
        return number()
    def speak(): print("heard")
    everywhere(close)
    everywhere(speak)
    """)
    )
    assert out == "heard\n"


AT_EXIT = """
    import atexit
    def leave():
        number()
        atexit.register(os.write, 1, b"worker's exit function\\n")
"""


def test_exit_functions_of_a_kept_interpreter_run_at_the_processs_exit(succeed):
    out = succeed(program(AT_EXIT, "everywhere(leave); everywhere(number); os.write(1, b'runs are over\\n')"))
    assert out == "runs are over\nworker's exit function\n"


def test_exit_functions_of_a_kept_interpreter_run_before_sigterm_ends_the_process(run_app):
    result = run_app(
        program(
            AT_EXIT,
            """
    import signal
    everywhere(leave)
    def main():
        os.kill(os.getpid(), signal.SIGTERM)
        smarm.sleep(60)
    smarm.run(main, workers=1)
    """,
        )
    )
    assert (result.code, result.out) == (-15, "worker's exit function\n")


def test_a_run_in_an_exit_function_ends_what_it_makes(succeed):
    out = succeed(
        program("""
    import atexit
    if __name__ == "__main__":
        atexit.register(lambda: os.write(1, b"%d\\n" % len(everywhere(number))))
        everywhere(number)
    """)
    )
    assert out == "1\n"


FORK = """
    import subprocess, warnings
    warnings.simplefilter("ignore")
    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    def fork_before_exec():
        return subprocess.run(["true"], preexec_fn=os.getpid).returncode
"""


def test_the_process_can_fork_between_runs(succeed):
    out = succeed(program(FORK, "everywhere(number); print(fork()); everywhere(number); print(fork_before_exec())"))
    assert out == "7\n0\n"


def test_an_actor_can_fork_while_the_kept_interpreters_are_idle(succeed):
    out = succeed(program(FORK, "everywhere(number); print(smarm.run(fork, workers=1), len(everywhere(number)))"))
    assert out == "7 1\n"


def test_a_forked_child_has_runs_of_its_own(succeed):
    out = succeed(
        program(
            FORK,
            """
    everywhere(number)
    if os.fork() == 0:
        print("child", len(everywhere(number)), flush=True)
        sys.exit()
    os.wait()
    print("parent", len(everywhere(number)))
    """,
        )
    )
    assert out == "child 1\nparent 1\n"


def test_an_interpreter_outlasts_runs_that_fail(succeed):
    out = succeed(
        program("""
    def fail():
        raise ValueError(number())
    seen = set()
    for _ in range(3):
        try: everywhere(fail)
        except smarm.ActorFailed as error: seen.add(error.__cause__.args[0])
    print(len(seen))
    """)
    )
    assert out == "1\n"


def test_many_runs_leave_as_many_threads_interpreters_and_descriptors_as_one(succeed):
    out = succeed(
        program("""
    def count():
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    everywhere(number)
    before = count()
    seen = {n for _ in range(50) for n in everywhere(number)}
    print(len(seen), count() == before)
    """)
    )
    assert out == "1 True\n"
