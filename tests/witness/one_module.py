"""Run one of CPython's own test modules in this process and write down how each test ended.

    python one_module.py MODE MODULE REPORT [SELECTION]

MODE is where it runs: ``plain`` (here), ``bare`` (an own-GIL subinterpreter without smarm), ``worker`` (an actor of a worker)
or ``main`` (the main actor); the last two are preempted as often as can be, beside an actor that wants to run all the time.
REPORT gets a
JSON list a line: [test, "start"] and [test, outcome, why].  SELECTION is a JSON object: {"only": [tests]} or {"without": [tests]}.

A process can die or hang in a test; the report then ends with its start, and the caller goes on without that test.
"""

import json
import os
import sys
import traceback
import unittest

TIME_SLICE = 1e-6  # seconds: below what the operating system's timers can tell apart
STACK_SIZE = 8 * 1024 * 1024  # bytes: a thread's usual stack, which these tests were written for


def run_module(name, report_path, selection, daemons=True):
    """Run the module's tests in the interpreter that calls."""
    if not daemons:
        _make_daemon_threads_plain()
    with open(report_path, "a", encoding="utf-8", errors="backslashreplace") as report:

        def write(*entry):
            report.write(json.dumps(entry) + "\n")
            report.flush()

        try:
            tests = _load(name)
        except unittest.SkipTest as skipped:
            write(name, "skipped", str(skipped))
        except BaseException as error:
            traceback.print_exc()
            write(name, "error", _first_line(error))
        else:
            _choose(tests, selection).run(_recorder(write))
        write("", "end")


def _make_daemon_threads_plain():
    """Let tests start daemon threads where CPython has none: they would fail before they have tested anything."""
    import threading

    start = threading._start_joinable_thread
    threading._start_joinable_thread = lambda *arguments, daemon=True, **more: start(*arguments, daemon=False, **more)
    threading.current_thread().daemon  # noqa: B018 - made, not a daemon, before that is allowed
    threading._daemon_threads_allowed = lambda: True


def _load(name):
    from test import support

    support.use_resources = ()  # no network, no tests that take minutes
    support.verbose = 0
    return unittest.defaultTestLoader.loadTestsFromName(f"test.{name}")


def _choose(tests, selection):
    """Return a suite of the chosen ones that keeps the fixtures of classes and modules."""
    only, without = selection.get("only"), selection.get("without", ())
    kept = unittest.TestSuite()

    def walk(suite):
        for test in suite:
            if isinstance(test, unittest.TestSuite):
                walk(test)
            elif test.id() not in without and (only is None or test.id() in only):
                kept.addTest(test)

    walk(tests)
    return kept


def _first_line(error):
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}"[:300]


def _recorder(write):
    """Return a TestResult that writes each test's start and end."""

    class Recorder(unittest.TestResult):
        def startTest(self, test):
            super().startTest(test)
            self.ending = ["passed", ""]
            write(test.id(), "start")

        def stopTest(self, test):
            super().stopTest(test)
            write(test.id(), *self.ending)

        def _note(self, test, outcome, why=""):
            if isinstance(test, unittest.TestCase) or not hasattr(self, "ending"):
                self.ending = [outcome, why]
            if not isinstance(test, unittest.TestCase):  # the fixture of a class or a module
                write(test.id(), outcome, why)

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            if getattr(self, "ending", ["passed"])[0] == "passed":
                self._note(test, "skipped", reason)

        def _failed(self, test, kind, error):
            self._note(test, kind, _first_line(error[1]))
            traceback.print_exception(error[1])

        def addError(self, test, err):
            super().addError(test, err)
            self._failed(test, "error", err)

        def addFailure(self, test, err):
            super().addFailure(test, err)
            self._failed(test, "failed", err)

        def addSubTest(self, test, subtest, err):
            super().addSubTest(test, subtest, err)
            if err is not None:
                self._failed(test, "failed" if issubclass(err[0], AssertionError) else "error", err)

        def addExpectedFailure(self, test, err):
            super().addExpectedFailure(test, err)
            self._note(test, "expected failure")

        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test)
            self._note(test, "unexpected success")

    return Recorder()


def run_in_bare_interpreter(*arguments):
    """Run it in an interpreter such as a worker's, without smarm."""
    try:
        import _interpreters
    except ImportError:
        import _xxsubinterpreters as _interpreters
    interpreter = _interpreters.create("isolated")
    code = f"import sys\nsys.path[:] = {sys.path!r}\nimport one_module\none_module.run_module(*{arguments!r}, daemons=False)\n"
    _interpreters.run_string(interpreter, code)


def end():
    """End the process, whatever threads the tests have left behind."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def compete():
    """Want to run all the time."""
    import smarm

    while True:
        smarm.yield_now()


def run_in_worker(*arguments):
    import smarm

    def main():
        tests = smarm.spawn(run_module, *arguments, False, on=1, stack_size=STACK_SIZE, name="tests")
        smarm.spawn(compete, on=1, name="competitor")
        while True:
            try:
                tests.join()
                break
            except KeyboardInterrupt:  # a test that interrupts the main thread means this one
                traceback.print_exc()
        end_runtime()

    smarm.run(main, workers=2, time_slice=TIME_SLICE, stall_threshold=0)


def run_in_main_actor(*arguments):
    import smarm

    def main():
        smarm.spawn(compete, on="main", name="competitor")
        run_module(*arguments)
        end_runtime()

    smarm.run(main, workers=1, time_slice=TIME_SLICE, stall_threshold=0)


def end_runtime():
    import smarm

    print("preemptions:", sum(worker.preemptions for worker in smarm.statistics().workers))
    end()


if __name__ == "__main__":
    mode, *arguments = sys.argv[1:4]
    arguments.append(json.loads(sys.argv[4]) if len(sys.argv) > 4 else {})
    import one_module  # workers import it by this name

    if mode == "plain":
        one_module.run_module(*arguments)
    elif mode == "bare":
        one_module.run_in_bare_interpreter(*arguments)
    elif mode == "worker":
        one_module.run_in_worker(*arguments)
    else:
        one_module.run_in_main_actor(*arguments)
    end()
