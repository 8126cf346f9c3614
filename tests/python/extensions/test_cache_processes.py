"""The cache under many processes: copies are whole, stay while they are loaded, and what a dead one left goes."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest
import smarm_test_frames
import smarm_test_thread_local

from smarm.extensions import _contents
from smarm.extensions._cache import Cache

LIBRARIES = [smarm_test_frames.__file__, smarm_test_thread_local.__file__]

# Each process loads all libraries for all slots, in an order of its own, again and again, and says how often it wrote.
LOADER = """
import ctypes, os, random, sys
from smarm.extensions._cache import Cache
seed, rounds, slots, place, limit, *libraries = sys.argv[1:]
random.seed(seed)
written = 0
def writer(library):
    def write(descriptor):
        global written
        written += 1
        with open(library, "rb") as file:
            data = file.read()
        for at in range(0, len(data), 1000):   # many writes: somebody else is in between
            os.write(descriptor, data[at:at + 1000])
    return write
print("ready", flush=True)
sys.stdin.read(1)
for number in range(int(rounds)):
    cache = Cache(place, limit=int(limit))
    work = [(library, slot) for library in libraries for slot in range(int(slots))]
    random.shuffle(work)
    for library, slot in work:
        path = cache.place(library, slot, writer(library))
        assert path.startswith(place), (path, cache.trouble)
        with open(path, "rb") as copy, open(library, "rb") as original:
            assert copy.read() == original.read()
        ctypes.CDLL(path)
        cache.release(path)
print(written)
"""


@pytest.fixture
def run_together(place, tmp_path):
    """Start so many loaders, let them go at once; return what each one printed.  ``meanwhile`` is called until they end."""

    def run(count: int, rounds: int, slots: int, limit: int = 1 << 30, meanwhile=None) -> list[int]:
        arguments = [str(rounds), str(slots), str(place), str(limit), *LIBRARIES]
        loaders = [
            subprocess.Popen(
                [sys.executable, "-c", LOADER, str(seed), *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for seed in range(count)
        ]  # fmt: skip
        for loader in loaders:
            loader.stdout.readline()
        for loader in loaders:
            loader.stdin.close()
        while meanwhile and any(loader.poll() is None for loader in loaders):
            meanwhile()
        out, errors = zip(*((loader.stdout.read(), loader.stderr.read()) for loader in loaders), strict=True)
        for loader in loaders:
            loader.stdout.close()
            loader.stderr.close()
        assert [loader.wait() for loader in loaders] == [0] * count, "\n".join(errors)
        return [int(text) for text in out]

    return run


def test_processes_that_want_the_same_copies_at_once_all_get_them_whole(run_together, place):
    written = run_together(count=6, rounds=2, slots=8)
    assert sum(written) >= 16
    entries = list(_contents.survey(str(place)))
    assert [entry.slots for entry in entries] == [list(range(8))] * 2
    assert not list(place.rglob("*.tmp"))


def test_nothing_is_cleared_between_being_found_and_being_loaded(run_together, place):
    removed = []
    run_together(4, rounds=25, slots=4, meanwhile=lambda: removed.append(_contents.clear(str(place)).files))
    assert sum(removed) > 0
    assert not list(place.rglob("*.tmp"))


def test_nothing_is_evicted_between_being_found_and_being_loaded(run_together, place):
    written = run_together(4, rounds=25, slots=4, limit=60_000, meanwhile=lambda: _contents.evict(str(place), 0))
    assert sum(written) > 2 * 4
    assert not list(place.rglob("*.tmp"))


def test_what_a_killed_writer_left_goes_with_the_next_write(place, original):
    program = f"""
import os, time
from smarm.extensions._cache import Cache
def write(descriptor):
    os.write(descriptor, b"half")
    print("writing", flush=True)
    time.sleep(1000)
Cache({str(place)!r}).place({original!r}, 1, write)
"""
    writer = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"
    cache = Cache(str(place))

    def write(descriptor: int) -> None:
        os.write(descriptor, pathlib.Path(original).read_bytes())

    cache.release(cache.place(original, 2, write))
    assert len(list(place.rglob(".*.tmp"))) == 1  # it lives, and writes
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    path = Cache(str(place))
    other = pathlib.Path(original).with_name("other.so")
    other.write_bytes(b"other")
    path.release(path.place(str(other), 1, write))
    assert list(place.rglob(".*.tmp")) == []
    cache.release(cache.place(original, 1, write))
    assert [entry.slots for entry in _contents.survey(str(place))] == [[1, 2], [1]]
