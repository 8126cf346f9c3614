"""Children, and what a test waits for."""

from __future__ import annotations

import contextlib

import supervised

import smarm
from smarm import Child

PATIENCE = 30  # seconds; a test that needs more hangs


def expect(match=None):
    return smarm.receive(match, timeout=PATIENCE)


def drop_messages():
    """Empty the running actor's mailbox."""
    with contextlib.suppress(smarm.Timeout):
        while True:
            smarm.receive(timeout=0)


def expect_up(*ids):
    """Take the next messages, which say that these children start in this order; return their pids."""
    pids = []
    for id in ids:
        message = expect()
        assert message[:2] == ("up", id)
        pids.append(message[2])
    return pids[0] if len(ids) == 1 else pids


def expect_down(*ids):
    for id in ids:
        assert expect() == ("down", id)


def answer(request, value):
    """Answer the next call, which must be this request."""
    call = expect(smarm.Call)
    assert call.request == request
    smarm.reply(call, value)


def wait_for_end(pid):
    return expect(smarm.monitor(pid)).reason


def child(id, function=supervised.child, **options):
    return Child(id, function, (smarm.self(), id), **{"ack": True, **options})


def boss_only(id, function, **options):
    return Child(id, function, (smarm.self(),), **options)
