"""The launcher's own options: one per row of the table in pylib/smarm/_config.py."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import pytest

import smarm
from smarm import _config

Run = Callable[..., Any]
Write = Callable[..., str]

SHOW = "import smarm; print(smarm.statistics().max_workers)"


def test_help_names_every_option(host: Run) -> None:
    for flag in ("--help", "-h", "-?"):
        code, out, err = host(flag)
        assert (code, err) == (0, "")
        for option in _config.OPTIONS:
            assert f"--{option.name.replace('_', '-')} N" in out
            assert option.help in out


def test_version_names_smarm_and_python(host: Run) -> None:
    for flag in ("--version", "-V"):
        assert host(flag) == (0, f"smarm-host {smarm.__version__} (Python {platform.python_version()})\n", "")


@pytest.mark.parametrize(
    "flags", [["--workers", "3"], ["--workers=3"], ["-u", "--workers", "3", "-B"], ["--workers", "2", "--workers", "3"]]
)
def test_an_option_reaches_the_runtime(host: Run, flags: list[str]) -> None:
    assert host(*flags, "-c", SHOW) == (0, "3\n", "")


def test_every_option_of_the_table_is_a_flag(host: Run) -> None:
    flags = []
    for option in _config.OPTIONS:
        flags += [f"--{option.name.replace('_', '-')}", str(option.kind(option.least or option.default))]
    assert host(*flags, "-c", "print(1)") == (0, "1\n", "")


def test_a_variable_is_an_option_too_and_a_flag_goes_first(host: Run) -> None:
    assert host("-c", SHOW, env={"SMARM_WORKERS": "3"}).out == "3\n"
    assert host("--workers", "2", "-c", SHOW, env={"SMARM_WORKERS": "3"}).out == "2\n"


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--workers", "0"], "--workers must be from 1 to 256, not '0'"),
    (["--workers", "-1"], "--workers must be from 1 to 256, not '-1'"),
    (["--workers", "1000000"], "--workers must be from 1 to 256, not '1000000'"),
    (["--workers", "many"], "--workers must be a whole number, not 'many'"),
    (["--workers="], "--workers must be a whole number, not ''"),
    (["--spin", "nan"], "--spin must be from 0 to 0.1, not 'nan'"),
    (["--stack-size", "1"], "--stack-size must be from 131072 to 1073741824, not '1'"),
    (["--worker", "1"], "there is no option --worker"),
    (["--stack_size", "65536"], "there is no option --stack_size"),
    (["--workers"], "--workers needs a value"),
])  # fmt: skip
def test_a_wrong_option_is_refused_in_one_sentence(host: Run, arguments: list[str], sentence: str) -> None:
    last = [] if sentence.endswith("value") else ["-c", "print(1)"]
    assert host(*arguments, *last) == (2, "", f"smarm-host: {sentence}; try smarm-host --help\n")


def test_a_wrong_variable_is_refused_in_one_sentence(host: Run) -> None:
    result = host("-c", "print(1)", env={"SMARM_WORKERS": "x"})
    assert result == (2, "", "smarm-host: SMARM_WORKERS must be a whole number, not 'x'; try smarm-host --help\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import sys; print(sys.argv[1:])"],
        ["-Bc", "import sys; print(sys.argv[1:])"],
        ["app.py"],
        ["-m", "app"],
        ["-"],
    ],
)
def test_what_stands_after_the_program_is_the_program_s(host: Run, script: Write, arguments: list[str]) -> None:
    script("import sys; print(sys.argv[1:])")
    rest = ["--workers", "0", "--help", "-V", "-c", "x", "--"]
    assert host(*arguments, *rest, stdin="import sys; print(sys.argv[1:])") == (0, f"{rest}\n", "")


def test_two_dashes_end_the_options(host: Run, script: Write) -> None:
    script("print(1)", "--help")
    assert host("--workers", "1", "--", "--help") == (0, "1\n", "")
