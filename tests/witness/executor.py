"""CPython's tests of executors and futures, on smarm.Executor: prints what became of each as one line of JSON.

    python tests/witness/executor.py outside|main|worker|thread

``outside`` of any runtime, in the main actor, in an actor of another worker, or in a plain thread beside a runtime.
"""

import json
import os
import select
import sys
import threading
import unittest

import smarm
import smarm.work.future

NAMES = {
    "ExecutorTest": "executor",
    "WaitTests": "test_wait",
    "AsCompletedTests": "test_as_completed",
    "ExecutorShutdownTest": "test_shutdown",
    "InitializerMixin": "test_init",
    "FailingInitializerMixin": "test_init",
}


class PipeEvent:
    """What a test and its calls wait for, wherever they are (since 3.14 the tests ask for such a thing)."""

    def __init__(self):
        self.reads, self.writes = os.pipe()

    def set(self):
        os.write(self.writes, b"!")

    def wait(self):
        select.select([self.reads], [], [])


def classes():
    """Make test cases of CPython's mixins, as its own util.create_executor_tests does."""
    import importlib

    from test.test_concurrent_futures import test_future, test_shutdown, util

    def run_with_ours(*command, **more):
        text = command[-1].replace("from concurrent.futures import Executor", "from smarm import Executor")
        return run(*command[:-1], text, **more)

    run, test_shutdown.assert_python_ok = test_shutdown.assert_python_ok, run_with_ours
    for name, module in NAMES.items():
        mixin = getattr(importlib.import_module(f"test.test_concurrent_futures.{module}"), name)
        bases = (mixin,) if issubclass(mixin, util.ExecutorMixin) else (mixin, util.ExecutorMixin)
        ours = {"executor_type": smarm.Executor, "create_event": lambda self: PipeEvent(), "__module__": __name__}
        yield type(name, (*bases, util.BaseTestCase), ours)

    # And of futures: with ours in the place of the standard library's.
    def create_future(state=util.PENDING, exception=None, result=None):
        future = smarm.work.future.Future()
        future._state, future._exception, future._result = state, exception, result
        return future

    for name in ("PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "EXCEPTION", "SUCCESSFUL"):
        shape = getattr(util, f"{name}_FUTURE")
        setattr(test_future, f"{name}_FUTURE", create_future(shape._state, shape._exception, shape._result))
    test_future.Future, test_future.create_future = smarm.work.future.Future, create_future
    yield test_future.FutureTests


class Outcomes(unittest.TestResult):
    """{test: outcome}, what it says where that is not success."""

    def __init__(self):
        super().__init__()
        self.all = {}

    def _note(self, test, outcome):
        self.all[".".join(test.id().split(".")[-2:])] = outcome

    def addSuccess(self, test):
        self._note(test, "passed")

    def addSkip(self, test, reason):
        self._note(test, f"skipped: {reason}")

    def addFailure(self, test, error):
        self._note(test, f"failed: {self._exc_info_to_string(error, test)}")

    addError = addFailure


def run_all():
    """Run them all, here."""
    from test import support

    support.use_resources = {"walltime", "cpu"}
    suite = unittest.TestSuite()
    for case in classes():
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    outcomes = Outcomes()
    suite.run(outcomes)
    return outcomes.all


def in_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(run_all()))
    thread.start()
    smarm.block_on_io(thread.join)
    return results[0]


def in_worker():
    return smarm.spawn(run_all, on=1).join()


EXPLAINED = {
    "worker": {
        "ExecutorShutdownTest.test_hang_gh94440": "it handles a signal, which is for the main interpreter",
    },
    "thread": {
        "ExecutorShutdownTest.test_hang_gh94440": "it handles a signal, which is for the main thread",
    },
}
"""The tests that end otherwise, by place, and why; docs/how-to/work-over-all-cores.md has them, too."""

PLACES = {"outside": run_all, "main": run_all, "worker": in_worker, "thread": in_thread}

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    place = sys.argv[1]
    outcomes = run_all() if place == "outside" else smarm.run(PLACES[place], workers=3)
    print("\n" + json.dumps(outcomes))  # some of them print, too
