"""A program that workers cannot load fails at its first spawn, each time, and not where chance takes its actors."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

MODULE = "smarm_test_pybind"
WAYS = 'run with extensions="private", or spawn the actor with on="main"'
HINT = f"The extension module {MODULE} loads in the main interpreter only: {WAYS}."

SCRIPT = f"""
    import functools, sys, threading
    import smarm
    import {MODULE}
    def double(number):
        return 2 * number
    def refused(function, *arguments, **options):
        try:
            return smarm.spawn(function, *arguments, **options).join()
        except ImportError as error:
            return str(error), error.__notes__
"""

WITHOUT = SCRIPT.replace(f"    import {MODULE}\n", "")


@pytest.fixture
def run(tmp_path: pathlib.Path) -> Callable[..., str]:
    """Run this text as the rest of a script that imports a module which refuses workers; return what it prints."""

    def run(text: str, beginning: str = SCRIPT, **files: str) -> str:
        for name, content in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(content))
        app = tmp_path / "app.py"
        app.write_text(textwrap.dedent(beginning) + textwrap.dedent(text))
        kept = {name: value for name, value in os.environ.items() if not re.match("PYTHON|SMARM_", name)}
        done = subprocess.run(
            [sys.executable, app], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=kept
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def said(module: str) -> str:
    return f"{(f'only the main worker can load {module}, which the actor needs. {HINT}', [HINT])}\n"


def test_the_first_spawn_is_refused_and_every_other(run):
    out = run("smarm.run(lambda: print({str(refused(double, n)) for n in range(40)}.pop()), workers=2)")
    assert out == said("__main__")


@pytest.mark.parametrize("workers", [2, 3])
def test_each_run_is_asked_anew(run, workers):
    out = run(f"""
    for options in ({{}}, {{"extensions": "private"}}, {{}}):
        print(smarm.run(refused, double, 4, workers={workers}, **options))
    """)
    assert out == said("__main__") + "8\n" + said("__main__")


def test_what_has_its_place_goes_there(run):
    out = run("""
    def main():
        print([smarm.spawn(double, 2, on=on).join() for on in ("main", 0, "local")], smarm.spawn(lambda: double(3)).join())
        try: smarm.spawn(double, 2, on=1).join()
        except smarm.ActorFailed as error: print(type(error.__cause__).__name__)
    smarm.run(main, workers=2)
    """)
    assert out == "[4, 4, 4] 6\nImportError\n"


def test_with_the_main_worker_alone_all_is_well(run):
    assert run("print(smarm.run(refused, double, 4, workers=1))") == "8\n"


def test_a_module_of_the_program_is_asked_about_by_itself(run):
    out = run(
        """
        import native_part, plain_part
        if __name__ == "__main__":
            smarm.run(lambda: print(refused(native_part.work), refused(plain_part.work), sep="\\n"), workers=2)
        """,
        beginning=WITHOUT,
        native_part=f"import {MODULE}\ndef work(): return 1\n",
        plain_part="def work(): return 2\n",
    )
    assert out == said("native_part") + "2\n"


def test_every_way_to_start_an_actor_is_refused(run):
    out = run("""
    class Counter(smarm.Server):
        def handle_call(self, request, caller): return request
    def attempt(start):
        try: start()
        except ImportError as error: return "refused"
        return "started"
    def main():
        print(attempt(lambda: smarm.spawn(double, 1)), attempt(lambda: smarm.spawn(double, 1, on="spread")))
        print(attempt(lambda: Counter.start()), attempt(lambda: smarm.spawn(functools.partial(double, 1), on="spread")))
        with smarm.TaskGroup() as group: print(attempt(lambda: group.spawn(double, 1)))
        portal, answers = smarm.portal(), []
        thread = threading.Thread(target=lambda: answers.append(attempt(lambda: portal.spawn(double, 1).result())))
        thread.start(); thread.join()
        print(*answers)
    smarm.run(main, workers=2)
    """)
    assert set(out.split()) == {"refused"}


def test_a_script_that_fails_otherwise_on_workers_is_as_before(run):
    out = run(
        f"""
        if __name__ == "__main__": import {MODULE}
        else: raise LookupError("not here")
        def main():
            try: print(refused(double, 1))
            except smarm.ActorFailed as error: print(2 if isinstance(error.__cause__, LookupError) else error)
        smarm.run(main, workers=2)
        """,
        beginning=WITHOUT,
    )
    assert out == "2\n"  # on the main worker it works, on others it fails, by its own exception


def test_native_code_that_only_main_uses_stands_in_nobodys_way(run):
    out = run(
        f"""
        if __name__ == "__main__": import {MODULE}
        print(smarm.run(refused, double, 4, workers=2))
        """,
        beginning=WITHOUT,
    )
    assert out == "8\n"


def test_a_limit_that_has_no_room_for_a_trial_is_the_programs_alone(run):
    out = run(
        f"""
        if __name__ == "__main__": import {MODULE}
        def main():
            return smarm.spawn(double, 4, stack_size=2 << 20).join()
        print(smarm.run(main, workers=2, main_stack_size=1 << 20, max_stack_bytes=4 << 20))
        """,
        beginning=WITHOUT,
    )
    assert out == "8\n"
