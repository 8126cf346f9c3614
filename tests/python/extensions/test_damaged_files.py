"""A shared object that is cut short or damaged is an ImportError in the worker that imports it, and no crash."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import random

import pytest

from smarm import _core

SEED = 20261130


def file_of(name: str) -> pathlib.Path:
    return pathlib.Path(importlib.util.find_spec(name).origin)


@pytest.fixture
def sound() -> bytes:
    return file_of("smarm_test_single_zero").read_bytes()


@pytest.fixture
def copy_of(tmp_path):
    """Write bytes to a file, read it as a shared object, and write the copy; return the copy's bytes."""

    def copy(data: bytes, renames: tuple[tuple[str, str], ...] = ()) -> bytes:
        original, target = tmp_path / "original.so", tmp_path / "copy.so"
        original.write_bytes(data)
        _core._read_shared_object(str(original))
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            _core._write_private_copy(str(original), descriptor, renames)
        finally:
            os.close(descriptor)
        return target.read_bytes()

    return copy


def test_a_copy_without_changes_is_the_file(sound, copy_of):
    assert copy_of(sound) == sound


def test_unique_symbols_become_global_ones(copy_of):
    data = file_of("smarm_test_unique").read_bytes()
    changed = [old for old, new in zip(data, copy_of(data), strict=True) if old != new]
    assert changed
    assert {info >> 4 for info in changed} == {10}  # STB_GNU_UNIQUE


def test_a_library_is_renamed_wherever_it_is_named(copy_of):
    path = file_of("smarm_test_bundled")
    needed, _, search = _core._read_shared_object(str(path))
    name = next(name for name in needed if "front" in name)
    copy = copy_of(path.read_bytes(), ((name, "xyz" + name[3:]),))
    assert b"\0xyz" + name[3:].encode() + b"\0" in copy
    assert b"\0" + name.encode() + b"\0" not in copy
    assert any("smarm_test_bundled.libs" in directory for directory in search)


@pytest.mark.parametrize("new", ["xy.so", "a" * 300])
def test_a_name_of_another_length_is_refused(new, sound, copy_of):
    with pytest.raises(ImportError, match="length"):
        copy_of(sound, (("libc.so.6", new),))


def test_a_name_that_is_not_there_is_refused(sound, copy_of):
    with pytest.raises(ImportError, match="name of a library"):
        copy_of(sound, (("libnothing.so", "xyznothing.so"),))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "file too short"),
        (b"\x7fELF", "file too short"),
        (b"no library" * 100, "invalid ELF header"),
        (b"\x7fELF\x01" + bytes(100), "another kind of machine"),
    ],
)
def test_what_is_no_shared_object_is_named(data, sentence, copy_of):
    with pytest.raises(ImportError, match=sentence):
        copy_of(data)


def test_a_directory_is_no_shared_object(tmp_path):
    with pytest.raises((ImportError, OSError)):
        _core._read_shared_object(str(tmp_path))


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        _core._read_shared_object(str(tmp_path / "nothing.so"))


def test_no_damage_reaches_beyond_the_file(sound, copy_of):
    """Bytes are changed where the loader reads structure: the reader says ImportError or finds nothing wrong."""
    draw = random.Random(SEED)
    for _ in range(3000):
        data = bytearray(sound)
        for _ in range(draw.randint(1, 4)):
            place = draw.choice([draw.randrange(64), draw.randrange(0x1000), draw.randrange(len(data))])
            data[place] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
        if draw.random() < 0.3:
            del data[draw.randrange(len(data)) :]
        with contextlib.suppress(ImportError):
            copy_of(bytes(data))


def test_words_of_the_tables_may_be_anything(sound, copy_of):
    """Each word of the first pages, and of the dynamic section, is set to values that are far away."""
    dynamic = sound.rfind((6).to_bytes(8, "little"), 0, len(sound) - 16)  # near DT_SYMTAB
    places = [*range(0, 0x400, 8), *range(max(dynamic - 512, 0) // 8 * 8, min(dynamic + 512, len(sound) - 8), 8)]
    for place in places:
        for value in (0, 1, 0xFFFFFFFF, 1 << 46, (1 << 63) - 1, (1 << 64) - 1):
            data = bytearray(sound)
            data[place : place + 8] = value.to_bytes(8, "little")
            with contextlib.suppress(ImportError):
                copy_of(bytes(data))


IMPORTS_PIECES = """
    import importlib.machinery, importlib.util, pathlib, smarm

    def work():
        spec = importlib.util.find_spec("smarm_test_single_zero")
        data = pathlib.Path(spec.origin).read_bytes()
        failed = 0
        for size in [*range(0, 200, 9), *range(200, len(data), len(data) // 60)]:
            path = pathlib.Path(f"piece{size}.so").absolute()
            path.write_bytes(data[:size])
            loader = importlib.machinery.ExtensionFileLoader("smarm_test_single_zero", str(path))
            try:
                loader.create_module(importlib.util.spec_from_loader("smarm_test_single_zero", loader))
            except ImportError as error:
                assert (error.name, error.path) == ("smarm_test_single_zero", str(path)), error
                assert str(path) in str(error), error
                failed += 1
        return failed > 40

    if __name__ == "__main__":
        print(smarm.run(lambda: smarm.spawn(work, on=1).join(), workers=2, extensions="private"))
"""


def test_pieces_of_a_module_are_import_errors(succeed, tmp_path):
    assert succeed(IMPORTS_PIECES, env={"SMARM_EXTENSION_CACHE": str(tmp_path / "copies")}) == "True\n"
