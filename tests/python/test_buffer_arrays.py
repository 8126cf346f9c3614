"""Buffers and numpy, memoryview and DLPack: arrays over the same memory."""

from __future__ import annotations

import array
import weakref
from typing import Any

import pytest

from smarm import Buffer

try:  # here and not in the test: it starts threads that stay
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

needs_numpy = pytest.mark.skipif(numpy is None, reason="numpy is not installed")


def test_an_array_lends_its_memory() -> None:
    source = bytearray(b"abc")
    buffer = Buffer.from_array(source)
    buffer[0] = ord("X")
    assert source == b"Xbc"
    with pytest.raises(BufferError):
        source.append(1)
    del buffer
    source.append(1)


@pytest.mark.parametrize("source", [b"abc", memoryview(bytearray(4))[::2]])
def test_what_cannot_be_written_or_has_gaps_is_not_lent(source: Any) -> None:
    with pytest.raises(BufferError):
        Buffer.from_array(source)


def test_what_has_no_bytes_is_not_lent() -> None:
    with pytest.raises(TypeError):
        Buffer.from_array([1, 2])  # type: ignore[arg-type]


def test_a_lender_that_is_used_elsewhere_holds_the_buffer_fast() -> None:
    source = bytearray(b"abc")
    buffer = Buffer.from_array(source)
    with pytest.raises(BufferError, match=r"bytearray that this smarm.Buffer was made from is referred to elsewhere"):
        buffer.freeze()
    del source
    assert hash(buffer.freeze()) == hash(b"abc")


def test_a_lender_that_can_be_reached_weakly_holds_the_buffer_fast() -> None:
    source = array.array("b", b"abc")
    reference = weakref.ref(source)
    buffer = Buffer.from_array(source)
    del source
    with pytest.raises(BufferError, match="has weak references"):
        buffer.move()
    del reference
    assert bytes(buffer.move()) == b"abc"


def test_a_lender_of_another_kind_holds_the_buffer_fast() -> None:
    buffer = Buffer.from_array(memoryview(bytearray(b"abc")))
    with pytest.raises(BufferError, match=r"memoryview .* may share its memory with others"):
        buffer.move()
    assert bytes(buffer) == b"abc"


@needs_numpy
def test_numpy_reads_and_writes_it_in_place() -> None:
    buffer = Buffer(80)
    array_ = numpy.frombuffer(buffer, dtype=numpy.float64)
    array_[:] = numpy.arange(10)
    assert bytes(buffer) == numpy.arange(10.0).tobytes()
    with pytest.raises(BufferError):
        buffer.move()
    del array_
    buffer.move()
    assert not numpy.frombuffer(Buffer(8).freeze(), dtype=numpy.uint8).flags.writeable


@needs_numpy
def test_a_numpy_array_lends_its_memory() -> None:
    source = numpy.arange(10)
    buffer = Buffer.from_array(source)
    buffer[0] = 7
    assert source[0] == 7
    assert len(buffer) == 80
    view = source[2:]
    with pytest.raises(BufferError, match="referred to elsewhere"):
        buffer.move()
    del source
    with pytest.raises(BufferError, match="referred to elsewhere"):
        buffer.move()
    del view
    assert numpy.frombuffer(buffer.move(), dtype=int)[1] == 1


@needs_numpy
def test_a_view_of_another_array_is_not_sole_owner() -> None:
    whole = numpy.arange(10)
    buffer = Buffer.from_array(whole[2:])
    with pytest.raises(BufferError, match="is a view of another object's memory"):
        buffer.move()


@needs_numpy
def test_numpy_arrays_of_objects_or_with_gaps_are_not_lent() -> None:
    with pytest.raises(TypeError, match="of Python objects cannot lend"):
        Buffer.from_array(numpy.array([object()]))
    with pytest.raises((BufferError, ValueError)):
        Buffer.from_array(numpy.arange(10)[::2])


@needs_numpy
def test_dlpack() -> None:
    buffer = Buffer(b"abc")
    assert buffer.__dlpack_device__() == (1, 0)
    tensor = numpy.from_dlpack(buffer)
    assert tensor.dtype == numpy.uint8
    assert tensor.shape == (3,)
    tensor[0] = ord("X")
    assert bytes(buffer) == b"Xbc"
    with pytest.raises(BufferError):
        buffer.move()
    del tensor
    copied = numpy.from_dlpack(buffer, copy=True)
    copied[0] = 0
    assert bytes(buffer.move()) == b"Xbc"
    frozen = numpy.from_dlpack(Buffer(b"abc").freeze())
    assert not frozen.flags.writeable
    assert bytes(frozen) == b"abc"


def test_a_dlpack_capsule_that_nobody_takes_lets_go() -> None:
    buffer = Buffer(3)
    for options in ({}, {"max_version": (1, 0)}, {"copy": False}):
        capsule = buffer.__dlpack__(**options)  # type: ignore[arg-type]
        with pytest.raises(BufferError):
            buffer.freeze()
        del capsule
    buffer.__dlpack__(copy=True)
    buffer.freeze()
    with pytest.raises(BufferError, match=r"DLPack 1.0"):
        buffer.__dlpack__()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"stream": 1}, BufferError),
        ({"dl_device": (2, 0)}, BufferError),
        ({"dl_device": 1}, TypeError),
        ({"max_version": 1}, TypeError),
        ({"other": 1}, TypeError),
    ],
)
def test_what_dlpack_cannot_have_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Buffer(1).__dlpack__(**options)
