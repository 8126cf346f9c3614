"""What the tests of supervisors share: how they are run, and what must be left behind."""

from __future__ import annotations

import logging

import pytest

import smarm


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def workers(request):
    return request.param


@pytest.fixture
def run(workers):
    """Run main in a runtime; it must leave neither actors nor messages behind."""

    def run(main):
        def checked():
            main()
            assert smarm.processes() == [smarm.self()]
            with pytest.raises(smarm.Timeout):
                raise AssertionError(f"left in the mailbox: {smarm.receive(timeout=0)!r}")

        smarm.run(checked, workers=workers)

    return run


@pytest.fixture
def reports(caplog):
    """What supervisors have reported so far: (id of the child, decision)."""
    caplog.set_level(logging.INFO, logger="smarm.supervisor")
    return lambda: [(record.smarm["id"], record.smarm["decision"]) for record in caplog.records]


@pytest.fixture(autouse=True)
def never_reported_twice(capfd):
    yield
    assert "nobody joined" not in capfd.readouterr().err
