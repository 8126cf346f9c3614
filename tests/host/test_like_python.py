"""smarm-host runs a program as python does: same output, same errors, same exit code."""

from __future__ import annotations

import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.unsanitized(reason="compares with a python that has another name there")

Run = Callable[..., Any]
Write = Callable[..., str]

SHOW = """
import sys
print(__name__, __builtins__.__name__, sys.argv, sys.path)
hidden = ("hidden", "__builtins__", "__loader__", "__spec__", "sys")
print({name: value for name, value in globals().items() if name not in hidden})
print(type(__loader__).__name__, getattr(__loader__, "name", None), getattr(__loader__, "path", None))
print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent, __spec__.loader is __loader__))
print(sys.executable, sys._base_executable, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
print(sys.flags, sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.pycache_prefix, sys._git)
print(sys.stdin, sys.stdout, sys.stderr, sys.getfilesystemencoding(), sys.getrecursionlimit())
print(sys._getframe().f_back and sys._getframe().f_back.f_code)
"""

ENDS = {
    "returns": "print('done')",
    "raises": "def f():\n    1 / 0\nf()",
    "chained": "try:\n    {}['x']\nexcept KeyError as e:\n    raise ValueError('y') from e",
    "group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "noted": "e = ValueError('v'); e.add_note('a note'); raise e",
    "syntax error": "x = 1\nif x\n    pass",
    "indentation error": "if True:\npass",
    "unterminated": "x = '",
    "name error with suggestion": "prnt('x')",
    "exit": "import sys; sys.exit()",
    "exit 3": "import sys; sys.exit(3)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit 256": "import sys; sys.exit(256)",
    "exit True": "import sys; sys.exit(True)",
    "exit text": "raise SystemExit('a sentence')",
    "exit object": "raise SystemExit((1, 2))",
    "exit in function": "def f(): exit(4)\nf()",
    "os._exit": "import os; os._exit(5)",
    "abort": "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()",
    "recursion error": "import sys\nsys.tracebacklimit = 1\ndef f(): f()\nf()",
    "keyboard interrupt": "raise KeyboardInterrupt",
    "keyboard interrupt below": "def f(): raise KeyboardInterrupt('now')\nf()",
    "stdout closed": "import sys; sys.stdout.close(); sys.exit(7)",
    "stderr closed": "import os; os.close(2); 1 / 0",
    "unflushed": "import sys; sys.stdout.write('no newline'); sys.stderr.write('neither')",
    "atexit": "import atexit; atexit.register(print, 'at exit'); print('end')",
    "atexit after error": "import atexit; atexit.register(print, 'at exit'); 1 / 0",
    "atexit raises": "import atexit; atexit.register(lambda: 1 / 0)",
    "excepthook": "import sys\nsys.excepthook = lambda *info: print('hook', info[1])\n1 / 0",
    "excepthook raises": "import sys\ndef hook(*info): raise ValueError\nsys.excepthook = hook\n1 / 0",
    "destructor at exit": "class A:\n    def __del__(self): print('gone')\na = A()",
    "thread outlives main": "import threading\nthreading.Thread(target=lambda: print('thread')).start()\nprint('main')",
    "unraisable": "class A:\n    def __del__(self): 1 / 0\ndel A.__del__\nA()",
    "warning": "import warnings; warnings.warn('careful')",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nprint(asyncio.run(f()))",
    "last exception": "import sys, atexit\natexit.register(lambda: print(repr(sys.last_exc)))\n1 / 0",
    "input": "print(repr(input('prompt ')))\nprint(repr(input()))",
}


@pytest.mark.parametrize("text", ENDS.values(), ids=ENDS)
def test_a_script_ends_as_under_python(same: Run, script: Write, text: str) -> None:
    same(script(text), stdin="line\n")


@pytest.mark.parametrize("text", ENDS.values(), ids=ENDS)
def test_a_command_ends_as_under_python(same: Run, text: str) -> None:
    same("-c", text, stdin="line\n")


@pytest.mark.parametrize("text", ENDS.values(), ids=ENDS)
def test_a_module_ends_as_under_python(same: Run, script: Write, text: str) -> None:
    script(text)
    same("-m", "app", stdin="line\n")


@pytest.mark.parametrize("text", [*ENDS.values(), ""], ids=[*ENDS, "empty"])
def test_standard_input_ends_as_under_python(same: Run, text: str) -> None:
    same("-", stdin=text)


def test_a_command_that_cannot_be_decoded_is_refused_as_under_python(same: Run) -> None:
    assert same("-c", os.fsdecode(b"'\xff'")).code == 1


def test_a_command_with_indentation_is_treated_as_by_this_python(same: Run) -> None:
    same("-c", "\n    x = 1\n    if x:\n        print(x)\n    1 / 0\n")
    same("-c", "  print(1)")
    same("-c", "if True:\n  print(1)\n 2")


@pytest.mark.parametrize(
    "arguments",
    [["app.py"], ["./app.py", "-x", "--workers", "9"], ["app.py", "-c", "1"], ["-", "a"], [], ["-c", SHOW, "-m", "x"]],
)
def test_the_program_finds_itself_as_under_python(same: Run, script: Write, arguments: list[str]) -> None:
    script(SHOW)
    assert same(*arguments, stdin=SHOW).code == 0


def test_a_script_elsewhere_is_found_as_under_python(same: Run, script: Write, tmp_path: pathlib.Path) -> None:
    script(SHOW, "real/app.py")
    (tmp_path / "link.py").symlink_to("real/app.py")
    for path in ("real/app.py", "./real/../real/app.py", str(tmp_path / "real" / "app.py"), "link.py"):
        assert same(path, "a").code == 0


def test_a_script_imports_its_neighbours(same: Run, script: Write) -> None:
    script("value = 5", "real/neighbour.py")
    script("import neighbour; print(neighbour.value, neighbour.__file__)", "real/app.py")
    assert same("real/app.py").code == 0


def test_a_module_finds_itself_as_under_python(same: Run, script: Write) -> None:
    script("print('package')", "package/__init__.py")
    script(SHOW + "from . import other", "package/__main__.py")
    script("print(__name__)", "package/other.py")
    script(SHOW, "single.py")
    for arguments in (["-m", "package", "a"], ["-mpackage.other"], ["-m", "single", "--help"], ["-um", "single"]):
        assert same(*arguments).code == 0


def test_a_module_that_does_not_exist_is_refused_as_under_python(same: Run, script: Write) -> None:
    script("", "empty/__init__.py")
    script("1 / 0", "broken/__init__.py")
    for name in ("nowhere", "empty", "broken", "empty.nowhere", ".", "sys"):
        assert same("-m", name).code == 1


def test_a_directory_and_an_archive_run_as_under_python(same: Run, script: Write, tmp_path: pathlib.Path) -> None:
    text = SHOW + "import beside; 1 / 0"
    script(text, "directory/__main__.py")
    script("", "directory/beside.py")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", text)
        archive.writestr("beside.py", "")
    (tmp_path / "empty").mkdir()
    for path in ("directory", "directory/", "./directory", "archive.zip", str(tmp_path / "archive.zip"), "empty"):
        assert same(path, "a", "b").code == 1


def test_compiled_code_runs_as_under_python(same: Run, python: Run, script: Write) -> None:
    script(SHOW)
    python("-c", "import py_compile; py_compile.compile('app.py', 'app.pyc')")
    assert same("app.pyc").code == 0


def test_a_missing_file_is_refused_as_under_python(same: Run, tmp_path: pathlib.Path) -> None:
    for path in ("nowhere.py", "no/where.py", "/nowhere", "é'\n.py"):
        assert same(path).code == 2
    same("")
    (tmp_path / "not a program").write_bytes(b"\x00\xff")
    same("not a program")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused_as_under_python(same: Run, script: Write, tmp_path: pathlib.Path) -> None:
    (tmp_path / script("")).chmod(0)
    assert same("app.py").code == 2


def test_source_in_other_encodings_is_read_as_under_python(same: Run, tmp_path: pathlib.Path) -> None:
    app = tmp_path / "app.py"
    for source in (
        b"\xef\xbb\xbfprint(ascii('\xc3\xa9'))",
        b"# coding: latin-1\nprint(ascii('\xe9'))\n1 / 0",
        b"print('\xe9')",
        b"# coding: nonsense\n",
        b"print(1)\0",
        b"print(1)\r\nprint(2)\r\n1 / 0",
        b"x" * 100_000 + b" = 1",
    ):
        app.write_bytes(source)
        same("app.py")


FLAGS = [
    *(
        ["-u"],
        ["-B"],
        ["-E"],
        ["-O"],
        ["-OO"],
        ["-q"],
        ["-s"],
        ["-P"],
        ["-b"],
        ["-bb"],
        ["-d"],
        ["-R"],
        ["-x"],
        ["-uBs"],
    ),
    *(["-W", "error"], ["-Werror"], ["-W", "bogus"], ["-uB", "-s", "-W", "ignore", "-E"]),
    *(
        ["-X", "utf8=0"],
        ["-Xdev"],
        ["-X", "int_max_str_digits=1000"],
        ["-Xfrozen_modules=off"],
        ["-X", "no_debug_ranges"],
    ),
    *(["-X", "pycache_prefix=/tmp/nowhere"], ["-X", "warn_default_encoding"], ["-Xshowrefcount"]),
    ["--check-hash-based-pycs", "always"],
]


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_the_interpreters_own_options_are_python_s(same: Run, script: Write, flags: list[str]) -> None:
    script("#!ignored by -x\n" + SHOW + "assert len(sys.argv) == 1, 'a'\nimport this_is_missing")
    same(*flags, "app.py")
    same(*flags, "app.py", *flags)
    same(*flags, "-c", SHOW, *flags)


def test_a_wrong_interpreter_option_is_refused_as_by_python(host: Run, python: Run) -> None:
    for flags in (["-Z"], ["-W"], ["-c"], ["-m"], ["-X"], ["--check-hash-based-pycs", "sometimes"]):
        ours, theirs = host(*flags), python(*flags)
        assert (ours.code, ours.out, ours.err.splitlines()[0]) == (theirs.code, theirs.out, theirs.err.splitlines()[0])


VARIABLES = [
    *({"PYTHONPATH": "/some/where:/else/where"}, {"PYTHONUNBUFFERED": "1"}, {"PYTHONDONTWRITEBYTECODE": "1"}),
    *({"PYTHONWARNINGS": "error"}, {"PYTHONOPTIMIZE": "1"}, {"PYTHONHASHSEED": "5"}, {"PYTHONIOENCODING": "latin-1"}),
    *({"PYTHONUTF8": "0", "LC_ALL": "C"}, {"PYTHONDEVMODE": "1"}, {"PYTHONSAFEPATH": "1"}, {"PYTHONNOUSERSITE": "1"}),
    *({"LC_ALL": "POSIX"}, {"PYTHONSTARTUP": "/nowhere"}),
]


@pytest.mark.parametrize("changes", VARIABLES, ids=" ".join)
def test_python_s_variables_count_as_under_python(same: Run, script: Write, changes: dict[str, str]) -> None:
    script(SHOW + "import os; print('PYTHONHASHSEED' in os.environ and hash('a'))")
    same("app.py", env=changes)


def test_isolated_mode_is_python_s(same: Run, script: Write) -> None:
    script(SHOW)
    same("-I", "app.py", env={"PYTHONPATH": "/some/where"})


def test_every_module_attribute_of_sys_is_python_s(same: Run) -> None:
    names = "sorted(set(vars(sys)) - {'orig_argv'})"
    same("-c", f"import sys; print({names})")


def test_the_original_arguments_are_those_of_the_launcher(host: Run, tmp_path: pathlib.Path) -> None:
    seen = host("--workers", "1", "-u", "-c", "import sys; print(sys.orig_argv[1:])", "a")
    assert seen.out == "['--workers', '1', '-u', '-c', 'import sys; print(sys.orig_argv[1:])', 'a']\n"


def test_subprocesses_and_multiprocessing_get_python(host: Run, script: Write) -> None:
    script("""
import multiprocessing, subprocess, sys
def double(n): return 2 * n
if __name__ == "__main__":
    print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True).stdout, end="")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(double, [1, 2]))
""")
    assert host("app.py") == (0, "1\n[2, 4]\n", "")


def test_inspecting_shows_what_python_shows(host: Run, python: Run) -> None:
    for text in ("x = 7; 1 / 0", "x = 7; raise SystemExit(3)", "x = 7"):
        ours, theirs = (run("-i", "-c", text, stdin="print(x)\nimport sys; sys.exit(x)\n") for run in (host, python))
        assert (ours.code, "7\n" in ours.out) == (theirs.code, "7\n" in theirs.out) == (7, True)
        assert theirs.err.removesuffix(">>> >>> ") in ours.err


def test_modules_at_start_differ_only_by_smarm(host: Run, python: Run) -> None:
    show = "import sys; print(*sorted(sys.modules), sep='\\n')"
    ours, theirs = (set(result.out.split()) for result in (host("-c", show), python("-c", show)))
    assert theirs <= ours
    extra = {name for name in ours - theirs if not name.startswith("smarm")}
    assert extra <= {"__future__", "_operator", "operator"}, "start-up time counts: import others when they are needed"


def test_importing_smarm_imports_nothing_heavy(python: Run) -> None:
    show = "import sys; before = set(sys.modules); import smarm; print(*sorted(set(sys.modules) - before), sep='\\n')"
    extra = {name for name in python("-c", show).out.split() if not name.startswith("smarm")}
    assert extra <= {"__future__", "_operator", "operator"}
