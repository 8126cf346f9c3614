"""Specifications as data: what was pickled once is read for ever."""

from __future__ import annotations

import pickle

import pytest

import smarm

# pickle.dumps(smarm.Supervisor([smarm.Child("a", print)])), of a DynamicSupervisor and a ChildCount, by version 0.1.0.
SUPERVISOR = (
    b"\x80\x04\x95\xf1\x00\x00\x00\x00\x00\x00\x00\x8c\x11smarm._supervisor\x94\x8c\nSupervisor\x94\x93\x94)\x81\x94}\x94"
    b"(\x8c\x0cmax_restarts\x94K\x03\x8c\x0bmax_seconds\x94G@\x14\x00\x00\x00\x00\x00\x00\x8c\x04name\x94N\x8c\x08children"
    b"\x94\x8c\x0csmarm._child\x94\x8c\x05Child\x94\x93\x94)\x81\x94]\x94(\x8c\x01a\x94\x8c\x08builtins\x94\x8c\x05print"
    b"\x94\x93\x94)\x8c\tpermanent\x94NNNN\x89\x89NN\x8c\x05error\x94eb\x85\x94\x8c\x08strategy\x94\x8c\x0bone_for_one\x94"
    b"\x8c\rauto_shutdown\x94\x8c\x05never\x94ub."
)
DYNAMIC = b"csmarm._dynamic_supervisor\nDynamicSupervisor\n."
COUNT = b"csmarm._child\nChildCount\n."


def test_a_supervisor_that_was_pickled_by_an_older_version_is_read() -> None:
    found = pickle.loads(SUPERVISOR)
    assert type(found) is smarm.Supervisor
    assert found.children == (smarm.Child("a", print),)
    assert pickle.loads(DYNAMIC) is smarm.DynamicSupervisor
    assert pickle.loads(COUNT) is smarm.ChildCount


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_specifications_survive_pickling(protocol: int) -> None:
    child = smarm.Child("a", print, (1,), restart="transient", shutdown="brutal_kill", significant=True)
    assert pickle.loads(pickle.dumps(child, protocol)) == child
    for spec in (smarm.Supervisor([child], strategy="rest_for_one"), smarm.DynamicSupervisor(max_children=3)):
        again = pickle.loads(pickle.dumps(spec, protocol))
        assert type(again) is type(spec)
        assert vars(again) == vars(spec)
