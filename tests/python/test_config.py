"""Configuration: one table for keyword arguments, Runtime and SMARM_* variables."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import smarm
from smarm import _config, _core

DEFAULTS = {option.name: option.default for option in _config.OPTIONS}
BOUNDED = [option for option in _config.OPTIONS if option.kind in (int, float)]


@pytest.fixture(autouse=True)
def _no_environment(_clean_environment, monkeypatch):
    monkeypatch.delenv("SMARM_STALL_THRESHOLD")


def test_defaults_hold_when_nothing_is_given():
    options = smarm.Runtime().options
    for name, default in DEFAULTS.items():
        if default is not None:
            assert options[name] == default
    assert options["workers"] == min(len(os.sched_getaffinity(0)), 256)


def test_the_core_has_the_same_options_by_the_same_names():
    assert list(_core._OPTIONS) == [option.name for option in _config.OPTIONS]


@pytest.mark.parametrize("name", DEFAULTS)
def test_an_option_that_does_not_reach_the_core_is_noticed(name):
    options = smarm.Runtime().options
    value = options.pop(name)
    with pytest.raises(TypeError, match=f"^the option {name} is missing$"):
        _core._run(print, (), options, False)
    with pytest.raises(TypeError, match="of which the core does not know some"):
        _core._run(print, (), {**options, name: value, "unheard_of": 1}, False)


def test_none_means_not_given(monkeypatch):
    assert smarm.Runtime(workers=None).options == smarm.Runtime().options
    monkeypatch.setenv("SMARM_WORKERS", "3")
    assert smarm.Runtime(workers=None).options["workers"] == 3


def test_what_is_given_goes_before_the_environment_and_that_before_the_default(monkeypatch):
    monkeypatch.setenv("SMARM_WORKERS", "3")
    assert smarm.Runtime().options["workers"] == 3
    assert smarm.Runtime(workers=2).options["workers"] == 2
    monkeypatch.setenv("SMARM_WORKERS", "")
    assert smarm.Runtime().options == smarm.Runtime(workers=None).options


@pytest.mark.parametrize("option", BOUNDED, ids=lambda option: option.name)
def test_the_bounds_of_every_option_are_checked(option, monkeypatch):
    step = 1 if option.kind is int else 0.5
    for good in (option.least, option.most):
        assert smarm.Runtime(**{option.name: option.kind(good)}).options[option.name] == good
    variable = "SMARM_" + option.name.upper()
    for bad in (option.least - step, option.most + step, 10**30, -(10**30)):
        bad = option.kind(bad)
        with pytest.raises(smarm.ConfigError, match=rf"^{option.name} must be from .* to .*, not"):
            smarm.Runtime(**{option.name: bad})
        monkeypatch.setenv(variable, str(bad))
        with pytest.raises(smarm.ConfigError, match=rf"^{variable} must be from "):
            smarm.Runtime()


@pytest.mark.parametrize("option", BOUNDED, ids=lambda option: option.name)
@pytest.mark.parametrize("bad", ["many", "", b"1", [1], 1j, True, object(), float("nan")])
def test_the_type_of_every_option_is_checked(option, bad):
    with pytest.raises(smarm.ConfigError, match=f"^{option.name} must be "):
        smarm.Runtime(**{option.name: bad})


def test_a_whole_number_is_no_fraction():
    with pytest.raises(smarm.ConfigError, match=r"workers must be a whole number, not 1\.5"):
        smarm.Runtime(workers=1.5)
    with pytest.raises(smarm.ConfigError, match=r"workers must be a whole number, not '1\.5'"):
        smarm.Runtime(workers="1.5")


def test_an_unknown_option_is_named_and_the_known_ones_listed():
    with pytest.raises(smarm.ConfigError, match=r"unknown option 'worker'; there are: .*workers") as caught:
        smarm.Runtime(worker=2)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("workers", [0, -1, 10**6, 257])
def test_run_checks_before_anything_starts(workers):
    ran = []
    with pytest.raises(smarm.ConfigError, match=rf"workers must be from 1 to 256, not {workers}"):
        smarm.run(lambda: ran.append(1), workers=workers)
    assert ran == []


def test_a_runtime_shows_its_configuration():
    assert "workers=3" in repr(smarm.Runtime(workers=3))


def test_the_configuration_reaches_the_runtime():
    assert smarm.run(lambda: smarm.statistics().max_workers, workers=5) == 5

    def main():
        handle = smarm.spawn(smarm.receive)
        smarm.yield_now()
        stacks = smarm.statistics().workers[0]
        return handle, stacks.stack_bytes_reserved

    assert smarm.run(main, workers=1, stack_size=2**20)[1] >= 2**20


def test_the_environment_reaches_the_runtime(succeed):
    out = succeed(
        """
        import smarm
        print(smarm.run(lambda: smarm.statistics().max_workers))
        """,
        env={"SMARM_WORKERS": "7"},
    )
    assert out == "7\n"


def test_a_bad_environment_is_reported_by_the_variables_name(run_app):
    result = run_app("import smarm\nsmarm.run(print)\n", env={"SMARM_WORKERS": "lots"})
    assert result.code == 1
    assert result.err.endswith("smarm.ConfigError: SMARM_WORKERS must be a whole number, not 'lots'\n") or (
        result.err.endswith("ConfigError: SMARM_WORKERS must be a whole number, not 'lots'\n")
    )


def test_warm_stacks_are_kept_up_to_the_limit():
    def main():
        handles = [smarm.spawn(smarm.receive) for _ in range(50)]
        smarm.yield_now()  # all have a stack at the same time
        for handle in handles:
            smarm.send(handle.pid, "end")
            handle.join()
        return smarm.statistics().workers[0]

    few = smarm.run(main, workers=1, warm_stacks=4)
    many = smarm.run(main, workers=1, warm_stacks=1000)
    assert few.stacks_warm <= 4 < many.stacks_warm
    assert few.stacks_cold > 0


def test_importing_smarm_needs_no_runtime_and_starts_no_thread():
    code = "import smarm, os; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "1\n"


def test_an_unknown_variable_is_named_once(run_app):
    result = run_app(
        """
        import smarm
        smarm.run(lambda: None)
        smarm.run(lambda: None)
        """,
        env={"SMARM_WORKER": "3", "SMARM_XYZZY": "1", "SMARM_PYTHON": "python3"},
    )
    assert result.code == 0
    assert result.err.splitlines() == [
        "smarm: the environment sets SMARM_WORKER, which is no option of smarm; did you mean SMARM_WORKERS?",
        "smarm: the environment sets SMARM_XYZZY, which is no option of smarm; docs/reference/configuration.md has those "
        "that there are",
    ]
