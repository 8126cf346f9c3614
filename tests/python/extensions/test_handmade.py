"""The modules that stand for others' native code do what they are there for, on the main lane."""

from __future__ import annotations

import pytest
from handmade import FAULTS, HANDMADE, bundled_count, unique_count

import smarm


def test_it_works_twice_on_the_main_lane(handmade, alone):
    name, use = handmade
    first = use()
    assert first == use() == alone(use), name


def test_a_worker_refuses_it_as_it_is(handmade):
    _, use = handmade

    def main():
        with pytest.raises(smarm.ActorFailed) as caught:
            smarm.spawn(use, on=1).join()
        return repr(caught.value.__cause__)

    assert "does not support loading in subinterpreters" in smarm.run(main, workers=2)


def test_what_they_hold_is_held_by_the_process():
    """So that two interpreters with one library between them would see each other's."""
    assert bundled_count() < bundled_count()
    assert unique_count() < unique_count()


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_ones_fail_as_they_say(fault, run_python, monkeypatch):
    monkeypatch.setenv("SMARM_TEST_FAULT", fault)
    program = "try:\n    import smarm_test_faulty\nexcept Exception as error:\n    print(type(error).__name__, error)"
    raised = run_python(program)
    assert raised.startswith("ValueError raised by" if "raises" in fault else "SystemError"), raised
    monkeypatch.setenv("SMARM_TEST_FAULT", "")
    assert run_python(program) == ""


def test_every_version_has_the_modules():
    assert {"smarm_test_cython", "smarm_test_nanobind"} < HANDMADE.keys()
