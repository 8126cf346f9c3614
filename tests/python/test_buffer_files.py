"""smarm.Buffer and files: reading them, mapping them."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest

import smarm
from smarm import Buffer


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "data"
    file.write_bytes(bytes(range(256)) * 64)
    return file


DATA = bytes(range(256)) * 64
PARTS = [(0, None), (0, 0), (0, 100), (5, 10), (4096, None), (5000, 1), (len(DATA), None), (len(DATA), 0)]


@pytest.mark.parametrize(("offset", "size"), PARTS)
@pytest.mark.parametrize("make", [Buffer.from_file, Buffer.mmap])
def test_a_part_of_a_file(path: pathlib.Path, make: Any, offset: int, size: int | None) -> None:
    expected = DATA[offset : None if size is None else offset + size]
    assert make(path, offset=offset, size=size) == expected
    assert make(str(path), offset=offset, size=size) == expected
    assert make(os.fsencode(path), offset=offset, size=size) == expected
    with path.open("rb") as file:
        assert make(file.fileno(), offset=offset, size=size) == expected


def test_a_file_that_ends_early_makes_a_smaller_buffer(path: pathlib.Path) -> None:
    assert Buffer.from_file(path, offset=10, size=1 << 40) == DATA[10:]
    assert Buffer.from_file(path, offset=1 << 40) == b""


def test_a_read_file_is_a_buffer_like_others(path: pathlib.Path) -> None:
    buffer = Buffer.from_file(path, align=4096)
    buffer[0] = 77
    assert not buffer.frozen
    assert path.read_bytes() == DATA


def test_a_pipe_is_read_up_to_a_size() -> None:
    read, write = os.pipe()
    try:
        os.write(write, b"abcdef")
        assert Buffer.from_file(read, size=4) == b"abcd"
        os.close(write)
        write = -1
        assert Buffer.from_file(read, size=4) == b"ef"
        with pytest.raises(ValueError, match="say how many bytes, with size="):
            Buffer.from_file(read)
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)


def test_a_mapped_file_is_frozen(path: pathlib.Path) -> None:
    buffer = Buffer.mmap(path)
    assert buffer.frozen
    assert hash(buffer) == hash(DATA)


def test_changes_of_a_writable_mapping_go_to_the_file(path: pathlib.Path) -> None:
    buffer = Buffer.mmap(path, offset=5000, size=3, access="write")
    buffer[:] = b"new"
    assert path.read_bytes() == DATA[:5000] + b"new" + DATA[5003:]


def test_changes_of_a_private_mapping_stay_here(path: pathlib.Path) -> None:
    buffer = Buffer.mmap(path, access="copy")
    buffer[:3] = b"new"
    assert path.read_bytes() == DATA
    assert bytes(buffer[:4]) == b"new\x03"


def test_a_mapping_longer_than_the_file_is_refused(path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"the file has 6384 bytes from offset 10000 on, not 6385"):
        Buffer.mmap(path, offset=10000, size=6385)


def test_an_empty_file_makes_an_empty_buffer(tmp_path: pathlib.Path) -> None:
    (tmp_path / "empty").touch()
    assert len(Buffer.mmap(tmp_path / "empty")) == 0
    assert len(Buffer.from_file(tmp_path / "empty")) == 0


@pytest.mark.parametrize("make", [Buffer.from_file, Buffer.mmap])
def test_what_is_no_file_is_refused(tmp_path: pathlib.Path, make: Any) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        make(tmp_path / "missing")
    assert caught.value.filename == tmp_path / "missing"
    with pytest.raises(OSError, match="Bad file descriptor"):
        make(1 << 20)
    with pytest.raises((OSError, ValueError), match=r"directory|the file has 0 bytes"):
        make(tmp_path, size=1)
    with pytest.raises(TypeError):
        make(1.5)


@pytest.mark.parametrize("make", [Buffer.from_file, Buffer.mmap])
def test_wrong_numbers_are_refused(path: pathlib.Path, make: Any) -> None:
    with pytest.raises(ValueError, match="offset must be 0 or more, not -1"):
        make(path, offset=-1)
    with pytest.raises(ValueError, match="size must be 0 or more, not -2"):
        make(path, size=-2)
    with pytest.raises(OverflowError):
        make(path, size=1 << 70)


def test_a_wrong_access_is_refused(path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="access is 'read', 'write' or 'copy', not 'w'"):
        Buffer.mmap(path, access="w")  # type: ignore[arg-type]


def _first_byte(buffer: Buffer) -> int:
    return buffer[0]


def test_files_travel_to_other_workers(path: pathlib.Path) -> None:
    def main() -> None:
        mapped = Buffer.mmap(path)
        assert smarm.spawn(_first_byte, mapped, on=1).join() == 0
        assert mapped[1] == 1
        read = smarm.block_on_io(lambda: Buffer.from_file(path, offset=7))
        assert smarm.spawn(_first_byte, read, on=1).join() == 7
        assert read.moved

    smarm.run(main, workers=2)
