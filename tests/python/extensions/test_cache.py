"""The cache of private copies: one per version of an original, Python and slot."""

from __future__ import annotations

import ctypes
import os
import pathlib
import stat

import pytest
import smarm_test_frames
import smarm_test_thread_local

from smarm import ConfigError
from smarm.extensions import _contents
from smarm.extensions._cache import Cache

NATIVE = [smarm_test_frames.__file__, smarm_test_thread_local.__file__]


def put(cache: Cache, original: str, slot: int = 1, **more: str) -> str:
    """Place a copy that is equal to its original, and have it loaded."""
    path = cache.place(original, slot, lambda descriptor: copy(original, descriptor), **more)
    cache.release(path)
    return path


def copy(original: str, descriptor: int) -> None:
    with open(original, "rb") as file:
        os.write(descriptor, file.read())


def files_below(place: pathlib.Path) -> list[str]:
    return sorted(path.name for path in place.rglob("*") if not path.is_dir())


def never(descriptor: int) -> None:
    pytest.fail("there is a copy")


def test_a_copy_has_what_was_written_and_is_the_users_alone(cache, place, original, writer):
    path = cache.place(original, 3, writer)
    cache.release(path)
    assert pathlib.Path(path).read_bytes() == pathlib.Path(original).read_bytes()
    assert path.startswith(f"{place}/")
    assert cache.trouble is None
    for made in [place, *place.rglob("*")]:
        assert stat.S_IMODE(made.lstat().st_mode) == (0o700 if made.is_dir() else 0o500)


def test_the_modes_do_not_depend_on_the_umask(cache, place, original, writer):
    before = os.umask(0)
    try:
        cache.release(cache.place(original, 3, writer))
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [place, *place.rglob("*")]} == {0}


def test_a_copy_is_written_once_and_found_by_other_processes(cache, place, original, writer):
    path = put(cache, original)
    assert cache.place(original, 1, never) == path
    other = Cache(str(place))
    assert other.place(original, 1, never) == path
    cache.release(path)
    other.release(path)


def test_each_slot_variant_python_and_version_of_the_original_has_its_own(cache, place, original):
    def change(data: bytes, seconds: int) -> None:
        pathlib.Path(original).write_bytes(data)
        os.utime(original, (seconds, seconds))

    paths = [put(cache, original, 1), put(cache, original, 2), put(cache, original, 1, variant="shared2")]
    paths.append(put(Cache(str(place), tag="cpython-399-smarm-9"), original))
    change(b"longer than before, by much", 1000)
    paths.append(put(cache, original))
    change(b"longer than before, by MUCH", 2000)
    paths.append(put(cache, original))
    os.rename(original, original + ".old")  # the same bytes and time in another file
    change(b"longer than before, by MUCH", 2000)
    paths.append(put(cache, original))
    assert len(set(paths)) == 7
    assert sum(entry.is_current for entry in _contents.survey(str(place))) == 1


def test_a_symbolic_link_to_the_original_is_the_original(cache, original, tmp_path):
    link = tmp_path / "link.so"
    link.symlink_to(original)
    path = put(cache, original)
    assert cache.place(str(link), 1, never) == path
    cache.release(path)


def test_a_writer_that_fails_leaves_nothing(cache, place, original):
    def fail(descriptor: int) -> None:
        os.write(descriptor, b"half")
        raise LookupError("of the writer")

    with pytest.raises(LookupError, match="of the writer"):
        cache.place(original, 1, fail)
    assert files_below(place) == []


def test_an_original_that_is_not_there_is_an_error_of_its_own(cache, tmp_path):
    with pytest.raises(FileNotFoundError):
        cache.place(str(tmp_path / "nothing.so"), 1, never)


def test_a_variant_cannot_lead_elsewhere(cache, original):
    with pytest.raises(ValueError, match="letters and digits"):
        cache.place(original, 1, never, variant="../..")


def test_a_copy_that_a_power_cut_left_half_is_made_again(cache, original):
    path = put(cache, original)
    os.chmod(path, 0o700)
    os.truncate(path, 3)
    assert put(Cache(cache._place), original) == path
    assert pathlib.Path(path).read_bytes() == pathlib.Path(original).read_bytes()


def test_nothing_outside_is_written(place, original, monkeypatch, tmp_path):
    monkeypatch.setenv("SMARM_EXTENSION_CACHE", str(place))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home/cache"))
    before = sorted(tmp_path.rglob("*"))
    cache = Cache()
    put(cache, original)
    assert sorted(path for path in tmp_path.rglob("*") if place not in [path, *path.parents]) == before


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "HOME"])
def test_without_another_place_it_is_in_the_users_cache_directory(variable, original, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative: to be ignored")
    monkeypatch.setenv(variable, str(tmp_path))
    place = tmp_path / ("smarm/private" if variable == "XDG_CACHE_HOME" else ".cache/smarm/private")
    assert put(Cache(), original).startswith(f"{place}/")


# ---- what goes ---------------------------------------------------------------------------------------------------------


def test_a_copy_stays_until_it_is_loaded(cache, place, original, writer):
    path = cache.place(original, 1, writer)
    assert _contents.clear(str(place)) == (0, 0, 1)
    cache.release(path)
    assert _contents.clear(str(place)) == (1, os.path.getsize(original), 0)
    assert os.listdir(place) == []


def test_a_loaded_copy_works_when_its_file_is_gone(cache, place):
    path = put(cache, NATIVE[1])
    library = ctypes.CDLL(path)
    _contents.clear(str(place))
    assert not os.path.exists(path)
    called = []
    callback = ctypes.CFUNCTYPE(None)(lambda: called.append(1))
    assert library.call_plainly(callback, ctypes.c_long(3)) == 0
    assert called == [1, 1, 1]
    assert put(cache, NATIVE[1]) == path


def test_clear_leaves_what_is_not_of_the_cache(cache, place, original, tmp_path):
    put(cache, original)
    linked = tmp_path / "elsewhere"
    (place / "link-smarm-1").symlink_to(linked)
    [tag] = place.glob("cpython-*-smarm-*")
    foreign = [place / "note.txt", place / "other/x.so/1-2-3/1.4.so", linked / "x.so/1-2-3/1.4.so", tag / "note.txt"]
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("keep")
    assert _contents.clear(str(place)).files == 1
    assert [path.read_text() for path in foreign] == ["keep"] * 4


def test_what_was_not_used_for_longest_goes_when_there_is_too_much(place, original):
    cache = Cache(str(place), limit=100)
    first, second = (put(cache, numbered(original, n), 1) for n in (1, 2))
    os.utime(second, (1000, os.path.getmtime(second)))
    os.utime(first, (2000, os.path.getmtime(first)))
    put(cache, numbered(original, 3))
    assert os.path.exists(first)
    assert not os.path.exists(second)


def test_use_keeps_a_copy(place, original):
    cache = Cache(str(place), limit=100)
    first, second = (put(cache, numbered(original, n), 1) for n in (1, 2))
    for path, used in ((first, 1000), (second, 2000)):
        os.utime(path, (used, os.path.getmtime(path)))
    put(cache, numbered(original, 1))
    put(cache, numbered(original, 3))
    assert os.path.exists(first)
    assert not os.path.exists(second)


def test_what_is_being_loaded_does_not_go(place, original):
    cache = Cache(str(place), limit=50)
    held = cache.place(numbered(original, 1), 1, lambda descriptor: os.write(descriptor, b"x" * 40))
    for n in range(2, 5):
        put(cache, numbered(original, n))
    assert os.path.exists(held)
    cache.release(held)
    put(cache, numbered(original, 5))
    assert not os.path.exists(held)


def numbered(original: str, number: int) -> str:
    path = pathlib.Path(original).with_name(f"n{number}.so")
    if not path.exists():
        path.write_bytes(b"x" * 40)
    return str(path)


def test_a_limit_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("SMARM_EXTENSION_CACHE_BYTES", "4GiB")
    with pytest.raises(ConfigError, match="SMARM_EXTENSION_CACHE_BYTES must be a whole number of bytes, not '4GiB'"):
        Cache()
    monkeypatch.setenv("SMARM_EXTENSION_CACHE_BYTES", "123")
    assert Cache()._limit == 123


def test_its_variables_are_no_misspelt_options(succeed, place):
    program = "import smarm\nsmarm.run(lambda: None, workers=1)"
    assert succeed(program, env={"SMARM_EXTENSION_CACHE": str(place), "SMARM_EXTENSION_CACHE_BYTES": "5"}) == ""
