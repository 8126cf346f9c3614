"""Modules of every kind, from private copies on two workers at once: each answers what it answers in the main interpreter."""

from __future__ import annotations

import handmade
import pytest
from handmade import HANDMADE

import smarm


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SMARM_EXTENSION_CACHE", str(tmp_path / "cache"))


def three_times(use, parent: smarm.Pid) -> list[object]:
    first = use()
    smarm.send(parent, "imported")
    smarm.receive()
    return [first, use(), use()]


def on_two_workers(use) -> list[list[object]]:
    handles = [smarm.spawn(three_times, use, smarm.self(), on=worker) for worker in (1, 2)]
    for _ in handles:
        smarm.receive(timeout=120)  # one that failed sends nothing
    for handle in handles:
        smarm.send(handle.pid, "go on")
    return smarm.join_all(handles)


@pytest.mark.parametrize("name", HANDMADE)
def test_it_answers_the_same_on_every_worker(name):
    use = HANDMADE[name]
    expected = use()
    assert smarm.run(on_two_workers, use, workers=3, extensions="private") == [[expected] * 3] * 2


@pytest.mark.parametrize("count", [handmade.bundled_count, handmade.ring_count, handmade.unique_count])
def test_what_a_library_holds_is_the_workers_own(count):
    count()  # what the main interpreter has counted is nobody else's
    for numbers in smarm.run(on_two_workers, count, workers=3, extensions="private"):
        assert numbers == [1001, 2002, 3003]


def test_threads_of_a_module_are_in_the_interpreter_that_imported_it():
    assert (
        smarm.run(on_two_workers, handmade.interpreters_of_threads, workers=3, extensions="private") == [[True] * 3] * 2
    )
