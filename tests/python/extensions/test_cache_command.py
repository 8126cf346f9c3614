"""``smarm cache``: what is in the cache, and removing it."""

from __future__ import annotations

import json
import os
import pathlib
import time

import pytest

from smarm import _command
from smarm.extensions import _cache_command
from smarm.extensions._cache import Cache


@pytest.fixture
def cache_of_user(place, monkeypatch):
    monkeypatch.setenv("SMARM_EXTENSION_CACHE", str(place))
    return Cache()


@pytest.fixture
def smarm(capsys):
    """Run the command; return what it prints, or its error."""

    def run(*arguments: str) -> str:
        code = _command.main(["cache", *arguments])
        out, err = capsys.readouterr()
        assert (code, err == "") in ((0, True), (1, False))
        return out + err

    return run


@pytest.fixture
def put(cache_of_user, tmp_path):
    """Place copies of a file of this name for these slots; return its path."""

    def put(name: str, slots=(1,), days: float = 0) -> str:
        original = tmp_path / "packages" / name
        original.parent.mkdir(parents=True, exist_ok=True)
        original.write_bytes(b"x" * 1500)
        for slot in slots:
            path = cache_of_user.place(str(original), slot, lambda descriptor: os.write(descriptor, b"y" * 1500))
            cache_of_user.release(path)
            used = time.time() - days * 86400
            os.utime(path, (used, used))
        return str(original)

    return put


def originals(smarm) -> list[str]:
    return [os.path.basename(entry["original"]) for entry in json.loads(smarm("show", "--json"))["originals"]]


def test_it_shows_originals_versions_slots_bytes_and_last_use(smarm, put, place):
    put("numpy/core.so", slots=(1, 2, 3, 7))
    old = put("lxml/etree.so", days=3)
    os.remove(old)
    shown = smarm()
    assert shown == smarm("show")
    head, empty, columns, *rows = shown.splitlines()
    assert head == f"{place}: 7.5 kB of at most 4.29 GB; copies: 5, originals: 2"
    assert (empty, columns.split("  ")[0]) == ("", "SLOTS")
    assert [row.split()[:3] for row in rows] == [["1", "1.5", "kB"], ["1-3,7", "6", "kB"]]
    assert rows[0].endswith("lxml/etree.so  (changed or gone since)")
    assert rows[1].endswith("packages/numpy/core.so")
    assert all("cpython-3" in row and "-smarm-" in row for row in rows)
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 3 * 86400)) in rows[0]


def test_json_has_the_same(smarm, put, place):
    put("core.so", slots=(1, 3))
    shown = json.loads(smarm("show", "--json"))
    [entry] = shown["originals"]
    assert (shown["place"], shown["limit_bytes"]) == (str(place), 4 << 30)
    assert (entry["slots"], entry["bytes"], entry["current"]) == ([1, 3], 3000, True)
    assert pathlib.Path(entry["directory"]).is_dir()
    assert time.time() - entry["last_used"] < 3600


def test_an_empty_cache_and_none_are_said(smarm, cache_of_user, place):
    assert smarm() == f"{place}: 0 B of at most 4.29 GB; copies: 0, originals: 0\n"
    assert smarm("clear") == f"removed 0 files, 0 B, from {place}\n"
    assert not place.exists()


def test_clear_removes_all(smarm, put, place):
    put("a.so", slots=(1, 2))
    put("b.so")
    assert smarm("clear") == f"removed 3 files, 4.5 kB, from {place}\n"
    assert os.listdir(place) == []


def test_clear_removes_by_name(smarm, put):
    for name in ("numpy/core.cpython-313.so", "numpy.libs/blas.so", "lxml/etree.so"):
        put(name)
    smarm("clear", "numpy", "nothing")
    assert originals(smarm) == ["etree.so"]
    smarm("clear", "etree")
    assert originals(smarm) == []


def test_clear_removes_by_age(smarm, put):
    put("old.so", days=10)
    put("new.so", days=2)
    smarm("clear", "--older-than", "5", "new")
    assert len(originals(smarm)) == 2
    smarm("clear", "--older-than", "5")
    assert originals(smarm) == ["new.so"]


def test_clear_says_what_it_left(smarm, put, cache_of_user):
    held = cache_of_user.place(put("a.so"), 1, lambda descriptor: None)
    assert smarm("clear").endswith("; 1 left, somebody loads from them just now\n")
    cache_of_user.release(held)


@pytest.mark.parametrize("days", ["x", "-1", "inf", "nan"])
def test_an_age_that_is_none_is_refused(days, capsys):
    with pytest.raises(SystemExit):
        _command.main(["cache", "clear", "--older-than", days])
    assert f"must be a number of days, not {days!r}" in capsys.readouterr().err


def test_a_place_that_is_not_used_is_said(smarm, place, monkeypatch):
    place.mkdir()
    place.chmod(0o777)
    monkeypatch.setenv("SMARM_EXTENSION_CACHE", str(place))
    assert smarm() == f"smarm: the cache is not used: everybody may write to {place}: chmod o-w {place}\n"
    monkeypatch.setenv("SMARM_EXTENSION_CACHE", __file__ + "/x")
    assert smarm().startswith("smarm: the cache cannot be read: [Errno 20] Not a directory")


def test_a_limit_that_is_none_is_said(smarm, cache_of_user, monkeypatch):
    monkeypatch.setenv("SMARM_EXTENSION_CACHE_BYTES", "-1")
    assert smarm() == "smarm: SMARM_EXTENSION_CACHE_BYTES must be a whole number of bytes, not '-1'\n"


@pytest.mark.parametrize("name", ["strange\nname.so", os.fsdecode(b"\xff.so")])
def test_a_strange_name_is_shown_in_escapes(smarm, put, name):
    put(name)
    assert smarm().rstrip().splitlines()[-1].endswith(ascii(name)[1:])
    assert originals(smarm) == [name]


@pytest.mark.parametrize(
    ("name", "original", "fits"),
    [
        ("numpy", "/site/numpy/_core/_multiarray.cpython-313-x86_64-linux-gnu.so", True),
        ("_multiarray", "/site/numpy/_core/_multiarray.cpython-313-x86_64-linux-gnu.so", True),
        ("num*", "/site/numpy/x.so", True),
        ("/site/numpy/x.so", "/site/numpy/x.so", True),
        ("/site/*", "/site/numpy/x.so", True),
        ("num", "/site/numpy/x.so", False),
        ("numpy", "/site/numpy_quaddtype/x.so", False),
    ],
)
def test_names(name, original, fits):
    assert _cache_command.matches(name, original) == fits


def test_python_minus_m_smarm_is_the_same_command(run_python, tmp_path):
    code = "import runpy, sys; sys.argv = ['smarm', 'cache']; runpy.run_module('smarm', run_name='__main__')"
    done = run_python(code, env=os.environ | {"SMARM_EXTENSION_CACHE": str(tmp_path / "none")})
    assert done.startswith(f"{tmp_path}/none: 0 B")
