"""asyncio programs are ended where nothing is lost: see tests/soak/asyncio_programs.py; ./dev soak --only asyncio for more of it."""

import pytest

import smarm
from tests.soak import asyncio_programs


@pytest.mark.parametrize("form", asyncio_programs.FORMS)
def test_every_program_is_ended_with_its_books_in_order(form):
    assert smarm.run(asyncio_programs.end_all, 0xC0FFEE, 1, True, [form], workers=1) == ""


@pytest.mark.parametrize("signal_name", asyncio_programs.SIGNALS)
@pytest.mark.parametrize("program", ["task_group", "streams", "to_thread", "computing"])
def test_signals_end_programs_with_their_books_in_order(program, signal_name):
    assert asyncio_programs.end_by_signal(program, signal_name, 0.005) == []
