"""The stdlib as witness: CPython's own tests inside an actor, against the same tests under plain python.

    ./dev witness [--on worker|main] [--save] [MODULE...]

Each module runs in processes of its own (see one_module.py): under plain python, in a bare own-GIL subinterpreter, and in an
actor of a worker.  A test that ends otherwise in the actor than under plain python is tried again, and then reported: with the
explanation that explanations.py has for it, or as one that has none, which makes the command fail.  --save writes
results/VERSION.json, from which page.py makes docs/reference/compatibility.md.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import explanations  # noqa: E402

MODULES = [
    "test_queue",
    "test_threading",
    "test_context",
    "test_decimal",
    "test_socket",
    "test_ssl",
    "test_asyncio.test_locks",
    "test_asyncio.test_queues",
    "test_asyncio.test_tasks",
    "test_json",
    "test_pickle",
    "test_sqlite3",
    "test_logging",
    "test_functools",
    "test_generators",
    "test_exceptions",
    "test_weakref",
    "test_gc",
]
MOST_RESTARTS = 40  # of a module that crashes or hangs
TRIES = 3  # of a test that ended differently
AT_THE_START, AT_THE_END = "(before the first test)", "(after the last test)"  # where a process died
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Process:
    """One run of one_module.py, ended when it has written nothing for `patience` seconds."""

    def __init__(self, mode, module, report, log, selection, patience):
        report.unlink(missing_ok=True)
        report.touch()
        self.report, self.patience = report, patience
        environment = {name: value for name, value in os.environ.items() if not re.match(r"PYTHON|SMARM_", name)}
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            str(HERE / "one_module.py"),
            mode,
            module,
            str(report),
            json.dumps(selection),
        ]
        # In a directory of its own: tests make files in theirs.
        directory = report.parent / f"{report.stem}.cwd"
        directory.mkdir(exist_ok=True)
        with open(log, "a") as output:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def finish(self):
        """Return (outcomes, how it ended): "end", "crash (...)" or "hang", the last two of the test that had started."""
        size, since = -1, time.monotonic()
        hung = False
        while self.process.poll() is None:
            time.sleep(0.05)
            now = os.stat(self.report).st_size
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > self.patience:
                hung = True
                os.kill(self.process.pid, signal.SIGQUIT)  # smarm says what its actors do
                time.sleep(2)
                self._end(signal.SIGABRT)  # faulthandler says what the threads do
                break
        self._end(signal.SIGKILL)
        code = self.process.wait()
        entries = [json.loads(line) for line in self.report.read_text().splitlines()]
        outcomes, running = {}, None
        for test, outcome, *why in entries:
            if outcome == "start":
                running = test
            else:
                running = None if test == running else running
                if outcome != "end":
                    outcomes[test] = (outcome, *why)
        complete = bool(entries) and entries[-1][1] == "end"
        if not hung and complete and code == 0:
            return outcomes, None
        how = ("hang", "") if hung else ("crash", f"exit code {code}")
        ended = [test for test, outcome, *_ in entries if outcome != "start" and test]
        if complete or not (running or ended):
            culprit = AT_THE_END if complete else AT_THE_START
        else:
            culprit = running or ended[-1]  # what it set off comes a moment later
        outcomes[culprit] = how
        return outcomes, culprit

    def _end(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            if number != signal.SIGKILL:
                self._end(signal.SIGKILL)


def run_tests(mode, module, directory, patience, selection=None, name=None):
    """Return {test: (outcome, why)} of the whole module, going on after crashes and hangs."""
    name = name or f"{module}-{mode}"
    log = directory / f"{name}.log"
    log.unlink(missing_ok=True)
    outcomes, without = {}, []
    for _ in range(MOST_RESTARTS):
        chosen = dict(selection or {}, without=without)
        got, culprit = Process(mode, module, directory / f"{name}.report", log, chosen, patience).finish()
        outcomes |= got
        if culprit in (None, AT_THE_START, AT_THE_END) or selection is not None:
            break
        without = list(outcomes)
    return outcomes


def differences(plain, ours):
    """Return the tests that ended differently."""
    return sorted(test for test in plain.keys() | ours.keys() if _kind(plain, test) != _kind(ours, test))


def _kind(outcomes, test):
    outcome = outcomes.get(test, ("not run",))[0]
    return "failed" if outcome == "error" else outcome


def _same_failure(bare, ours, test):
    """Whether the test ended in both in the same way, by the same kind of exception."""
    if _kind(bare, test) != _kind(ours, test):
        return False
    reasons = [outcomes.get(test, ("", ""))[1].partition(":")[0] for outcomes in (bare, ours)]
    return reasons[0] == reasons[1]


def examine(module, on, directory, patience):
    """Run one module everywhere and return what there is to say."""
    plain = run_tests("plain", module, directory, patience)
    ours = run_tests(on, module, directory, patience)
    different = differences(plain, ours)
    bare = run_tests("bare", module, directory, patience) if different and on == "worker" else {}
    sometimes = {}
    for attempt in range(1, TRIES):
        retried = [test for test in different if test in plain and test in ours and test not in sometimes]
        retried = [test for test in retried if _kind(bare, test) != _kind(ours, test)]
        if not retried:
            break
        again = run_tests(on, module, directory, patience, {"only": retried}, f"{module}-{on}-again{attempt}")
        for test in retried:
            if _kind(again, test) == _kind(plain, test):
                sometimes[test] = attempt
    found = []
    for test in different:
        outcome, *why = ours.get(test, ("not run", ""))
        found.append(
            {
                "test": test.removeprefix(f"test.{module}."),
                "plain": plain.get(test, ("not run",))[0],
                "actor": outcome,
                "why": _without_places("".join(why)),
                "bare": _same_failure(bare, ours, test),
                "sometimes": test in sometimes,
            }
        )
    return {"module": module, "tests": len(plain), "differences": found}


def _without_places(text):
    """Leave out of an error's text what differs from machine to machine."""
    text = re.sub(r"0x[0-9a-f]{6,}|\b\d{9,}\b", "...", text)
    return re.sub(r"[\w./-]*/(?=[\w.-]+)", "", text.partition("\\n")[0])[:100]


def show(result):
    """Print one module's result; return whether everything is explained."""
    module, found = result["module"], result["differences"]
    bare = sum(difference["bare"] for difference in found)
    print(
        f"{module}: {result['tests']} tests, {len(found)} differ, {bare} of them in a bare subinterpreter, too",
        flush=True,
    )
    complete = True
    for difference in found:
        if difference["bare"]:
            continue
        reason = explanations.find(module, difference)
        complete &= reason is not None
        often = " (sometimes)" if difference["sometimes"] else ""
        print(
            f"  {difference['test']}: {difference['plain']}, in an actor {difference['actor']}{often}: {difference['why']}"
        )
        print(f"      {reason or 'NOT EXPLAINED'}", flush=True)
    return complete


def main():
    parser = argparse.ArgumentParser(prog="./dev witness", description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="test_queue ...; all by default")
    parser.add_argument(
        "--on", choices=("worker", "main"), default="worker", help="an actor of a worker, or the main actor"
    )
    parser.add_argument("--save", action="store_true", help="keep the results for the documentation")
    parser.add_argument("--patience", type=float, default=120, help="seconds without any news that mean a hang")
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("build/witness"), help="where logs go")
    arguments = parser.parse_args()
    directory = (arguments.directory / f"{VERSION}-{arguments.on}").resolve()
    directory.mkdir(parents=True, exist_ok=True)
    complete, results = True, {}
    for module in arguments.modules or MODULES:
        result = examine(module, arguments.on, directory, arguments.patience)
        complete &= show(result)
        results[module] = result
    if arguments.save:
        saved = HERE / "results" / f"{VERSION}.json"
        saved.parent.mkdir(exist_ok=True)
        before = json.loads(saved.read_text()) if saved.exists() else {}
        merged = before | results
        saved.write_text(json.dumps({name: merged[name] for name in MODULES if name in merged}, indent=1) + "\n")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
