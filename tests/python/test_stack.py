"""An actor's stack: its size per spawn, Python's limits, what happens when C code uses it up, pages given back."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap

import smarm


def depth_of_json():
    """Return how deep a list can be nested before json gives up."""
    low, high = 1, 200_000
    while low < high:
        middle = (low + high + 1) // 2
        try:
            json.loads("[" * middle + "]" * middle)
            low = middle
        except RecursionError:
            high = middle - 1
    return low


def test_a_larger_stack_allows_deeper_recursion_in_c():
    def main():
        small = smarm.spawn(depth_of_json, on="local", stack_size=256 * 1024).join()
        large = smarm.spawn(depth_of_json, on="local", stack_size=4 * 1024 * 1024).join()
        return small, large

    small, large = smarm.run(main, workers=1)
    assert 50 < small < large


def test_every_recursion_in_python_code_is_a_recursion_error():
    def main():
        def recurse():
            return recurse()

        def by_sorting(_=None):
            return sorted([1, 2], key=by_sorting)

        class Adds:
            def __add__(self, other):
                return self + other

        def by_adding():
            return Adds() + 1

        nested = []
        for _ in range(100_000):
            nested = [nested]

        caught = []
        for function in (recurse, by_sorting, by_adding, lambda: repr(nested), lambda: json.dumps(nested)):
            handle = smarm.spawn(function, stack_size=256 * 1024)
            try:
                handle.join()
            except smarm.ActorFailed as error:
                caught.append(type(error.__cause__))
        while nested:  # taking it apart at once would recurse in C, too
            nested = nested.pop()
        return caught

    assert smarm.run(main, workers=1) == [RecursionError] * 5


OVERFLOW = """
    import smarm

    def digs():
        import ctypes

        library = ctypes.PyDLL(None)
        library.regcomp(ctypes.create_string_buffer(256), b"(" * 5_000_000, 1)   # recurses in C for each parenthesis

    def main():
        smarm.spawn(digs, on={on}, name="digger").join()

    smarm.run(main, workers=2)
"""


def run_to_its_end(program, *options):
    """Run it without a core file. Not with preexec_fn, for which this process would be forked: OpenBLAS ends its threads then, and
    starts them again in a later test's runtime, as if that test had left them behind."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMARM_")}
    return subprocess.run(
        ["sh", "-c", 'ulimit -c 0; exec "$@"', "sh", sys.executable, *options, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


def check_report(done):
    assert done.returncode == -signal.SIGSEGV
    report = r"smarm: stack overflow: C code has used up the \d+ KiB of actor <pid 1\.\d+> 'digger'; .*stack_size.*\n"
    assert re.search(report + r'  File ".*", line 8, in digs\n', done.stderr), done.stderr


def test_c_code_that_uses_the_stack_up_is_reported_with_its_actor_and_line():
    check_report(run_to_its_end(OVERFLOW.format(on='"local"')))


def test_so_it_is_on_another_worker():
    check_report(run_to_its_end(OVERFLOW.format(on=1)))


def test_faulthandler_still_has_its_say():
    done = run_to_its_end(OVERFLOW.format(on='"local"'), "-X", "faulthandler")
    check_report(done)
    assert "Fatal Python error: Segmentation fault" in done.stderr


def test_other_faults_are_not_ours():
    done = run_to_its_end(
        """
        import ctypes
        import smarm

        smarm.run(lambda: ctypes.string_at(1), workers=1)
        """
    )
    assert done.returncode == -signal.SIGSEGV
    assert done.stderr == ""


def test_a_segmentation_fault_that_somebody_sends_ends_the_process():
    done = run_to_its_end(
        """
        import os
        import signal
        import smarm

        def main():
            os.kill(os.getpid(), signal.SIGSEGV)
            smarm.receive()

        smarm.run(main, workers=1)
        """
    )
    assert (done.returncode, done.stderr) == (-signal.SIGSEGV, "")


def test_the_handler_is_gone_after_run():
    done = run_to_its_end(
        """
        import ctypes
        import smarm

        class Action(ctypes.Structure):
            _fields_ = [("handler", ctypes.c_void_p), ("rest", ctypes.c_char * 256)]

        def handler():
            action = Action()
            assert ctypes.CDLL(None).sigaction(11, None, ctypes.byref(action)) == 0
            return action.handler

        before = handler()
        inside = smarm.run(handler, workers=1)
        print(inside != before, handler() == before)
        """
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_parked_actors_whose_stacks_ran_deep_give_pages_back():
    def main():
        nested = "[" * 300 + "]" * 300

        def deep():
            json.loads(nested)
            smarm.receive()

        actors = [smarm.spawn(deep, stack_size=1024 * 1024) for _ in range(50)]
        while smarm.statistics().workers[0].stacks_trimmed < len(actors):
            smarm.sleep(0.01)
        for actor in actors:  # and they work as before
            smarm.send(actor.pid, "go on")
        smarm.join_all(actors)
        return smarm.statistics().workers[0].stacks_trimmed

    assert smarm.run(main, workers=1) == 50
