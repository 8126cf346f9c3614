"""What the tests of supervisors share: how they are run, and what must be left behind."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture
def run(run_cleanly):
    return run_cleanly


@pytest.fixture
def reports(caplog):
    """What supervisors have reported so far: (id of the child, decision)."""
    caplog.set_level(logging.INFO, logger="smarm.supervisor")
    return lambda: [(record.smarm["id"], record.smarm["decision"]) for record in caplog.records]


@pytest.fixture(autouse=True)
def never_reported_twice(capfd):
    yield
    assert "nobody joined" not in capfd.readouterr().err
