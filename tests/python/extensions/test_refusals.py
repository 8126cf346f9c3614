"""An extension module that refuses a worker: the exception that the program catches says what to do, whatever became of it.

The packages here treat the refusal of the tests' own module as known ones do: see tests/ecosystem for those.
"""

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

CATCH = """
    import smarm
    def catch(function, *arguments):
        try:
            function(*arguments)
        except Exception as error:
            return type(error).__name__, str(error), getattr(error, "__notes__", [])
    def ask(name, on=1, **options):
        print(*smarm.run(lambda: smarm.spawn(catch, globals()[name], on=on).join(), workers=2, **options), sep="|")
"""

PACKAGES = {
    "lets_it_pass": f"import {MODULE}",
    "tells_its_own": f"""
        try:
            import {MODULE}
        except ImportError as error:
            raise ImportError("IMPORTANT: PLEASE READ THIS") from error
    """,
    "tells_its_own_from_none": f"""
        try:
            import {MODULE}
        except ImportError:
            raise ImportError("not built, see our site") from None
    """,
    "chains_another": """
        try:
            import tells_its_own
        except ImportError as error:
            raise RuntimeError("a dependency is missing") from error
    """,
    "names_are_missing": f"""
        import contextlib
        with contextlib.suppress(ImportError):
            from {MODULE} import Frame as PyFrame
        def frame():
            return PyFrame()
        def mistake():
            return Pyframe()
    """,
    "is_none": f"""
        try:
            import {MODULE} as native
        except ImportError:
            native = None
        def frame():
            return native.frame()
    """,
    "is_needed_later": f"""
        try:
            import {MODULE}
            available = True
        except ImportError:
            available = False
        def frame():
            if not available:
                raise ImportError("this needs the native part")
    """,
    "takes_from_another": """
        import names_are_missing
        def frame():
            return names_are_missing.PyFrame
        def again():
            from names_are_missing import PyFrame
    """,
    "goes_on_without": f"""
        try:
            import {MODULE}
        except ImportError:
            pass
        def number():
            return int("x")
    """,
}


@pytest.fixture
def ask(tmp_path: pathlib.Path) -> Callable[..., list[str]]:
    """Run a function of this text on a worker; return what is known of its exception: type, text, notes."""
    for name, text in PACKAGES.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    def ask(text: str, call: str = 'ask("use")') -> list[str]:
        app = tmp_path / "app.py"
        app.write_text(textwrap.dedent(CATCH) + textwrap.dedent(text) + f"\nif __name__ == '__main__': {call}\n")
        kept = {name: value for name, value in os.environ.items() if not re.match("PYTHON|SMARM_", name)}
        done = subprocess.run(
            [sys.executable, app], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=kept
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.rstrip("\n").split("|")

    return ask


@pytest.mark.parametrize(
    ("code", "kind", "beginning"),
    [
        ("import lets_it_pass", "ImportError", f"module {MODULE} does not support loading in subinterpreters"),
        ("import tells_its_own", "ImportError", "IMPORTANT: PLEASE READ THIS"),
        ("import tells_its_own_from_none", "ImportError", "not built, see our site"),
        ("import chains_another", "RuntimeError", "a dependency is missing"),
        ("import names_are_missing as it; it.frame()", "NameError", "name 'PyFrame' is not defined"),
        ("import is_none as it; it.frame()", "AttributeError", "'NoneType' object has no attribute 'frame'"),
        ("import is_needed_later as it; it.frame()", "ImportError", "this needs the native part"),
        ("import takes_from_another as it; it.frame()", "AttributeError", "module 'names_are_missing' has no"),
        ("import takes_from_another as it; it.again()", "ImportError", "cannot import name 'PyFrame'"),
    ],
)
def test_the_exception_says_what_to_do(ask, code, kind, beginning):
    got = ask(f"def use(): {code}")
    assert got[0] == kind
    assert got[1].startswith(beginning)
    assert got[1].endswith(HINT)
    assert got[2] == repr([HINT])


def test_a_script_that_goes_on_without_it_says_so_where_it_misses_it(ask):
    got = ask(f"""
        try: import {MODULE} as native
        except ImportError: pass
        def use(): native.frame()
    """)
    assert (got[0], got[1]) == ("NameError", f"name 'native' is not defined. {HINT}")


def test_it_says_so_each_time_and_once(ask):
    got = ask("""
        def use():
            for _ in range(3):
                try: import tells_its_own
                except ImportError as error: last = error
            raise last
    """)
    assert (got[1], got[2]) == (f"IMPORTANT: PLEASE READ THIS. {HINT}", repr([HINT]))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import names_are_missing as it; it.mistake()", "NameError"),
        ("import goes_on_without as it; it.number()", "ValueError"),
        ("import goes_on_without; undefined", "NameError"),
        ("import goes_on_without; import not_there", "ModuleNotFoundError"),
    ],
)
def test_other_exceptions_say_nothing_of_it(ask, code, kind):
    got = ask(f"def use(): {code}")
    assert got[0] == kind
    assert "extension module" not in got[1]
    assert got[2] == "[]"


def test_it_is_said_where_the_actor_fails(ask):
    got = ask(
        """
        def use(): import tells_its_own
        def main():
            try: smarm.spawn(use, on=1).join()
            except smarm.ActorFailed as error: print(error.__cause__, error.__cause__.__notes__, sep="|")
        """,
        "smarm.run(main, workers=2)",
    )
    assert got == [f"IMPORTANT: PLEASE READ THIS. {HINT}", repr([HINT])]


def test_a_module_of_the_standard_library_is_for_the_main_lane(ask):
    got = ask("def use(): import faulthandler")
    hint = 'The extension module faulthandler loads in the main interpreter only: spawn the actor with on="main".'
    assert got == [
        "ImportError",
        f"module faulthandler does not support loading in subinterpreters. {hint}",
        repr([hint]),
    ]


def test_a_module_that_is_main_only_is_for_the_main_lane_with_private_copies(ask):
    got = ask(
        "def use(): import tells_its_own",
        f'ask("use", extensions="private", extensions_main_only="{MODULE}")',
    )
    hint = f'The extension module {MODULE} is for actors that are spawned with on="main".'
    assert got == ["ImportError", f"IMPORTANT: PLEASE READ THIS. {hint}", repr([hint])]


def test_private_copies_and_the_main_lane_do_help(ask):
    use = "def use(): import lets_it_pass; raise ValueError('loaded')"
    assert ask(use, 'ask("use", extensions="private")')[1] == "loaded"
    assert ask(use, 'ask("use", on="main")')[1] == "loaded"


def test_a_program_may_use_the_numbers_of_all_tools(ask):
    got = ask("""
        import sys
        def use():
            for tool in range(6): sys.monitoring.use_tool_id(tool, "mine")
            import lets_it_pass
    """)
    assert got[1].endswith(HINT)
