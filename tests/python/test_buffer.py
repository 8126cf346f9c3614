"""smarm.Buffer in one interpreter: bytes, views, slices, splitting, freezing, hashing."""

from __future__ import annotations

import array
import copy
import gc
import io
import pickle
import socket
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smarm
from smarm import Buffer


def address(buffer: Any) -> int:
    import ctypes

    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))


# ---- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 1 << 20])
def test_a_size_makes_zeros(size: int) -> None:
    buffer = Buffer(size)
    assert len(buffer) == size
    assert bytes(buffer) == bytes(size)


def test_recycled_memory_is_zero() -> None:
    for _ in range(3):
        buffer = Buffer(1 << 20)
        assert not any(memoryview(buffer))
        memoryview(buffer)[:] = b"\xff" * len(buffer)


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"some",
        bytearray(b"some"),
        memoryview(b"some")[::-1],
        array.array("i", [1, 2]),
        memoryview(b"0123").cast("B", (2, 2)),
    ],
)
def test_bytes_are_copied(source: Any) -> None:
    buffer = Buffer(source)
    assert bytes(buffer) == bytes(source)


def test_a_copy_is_independent() -> None:
    source = bytearray(b"some")
    buffer = Buffer(source)
    buffer[0] = 0
    assert source == b"some"


@pytest.mark.parametrize("align", [1, 16, 64, 4096, 1 << 21])
def test_the_first_byte_is_aligned(align: int) -> None:
    for size in (1, 100_000):
        assert address(Buffer(size, align=align)) % align == 0
        assert address(Buffer(b"x" * size, align=align)) % align == 0


def test_the_default_alignment_is_a_cache_line() -> None:
    assert all(address(Buffer(1)) % 64 == 0 for _ in range(20))


@pytest.mark.parametrize("align", [0, -1, 3, 1 << 31, 1 << 70])
def test_a_wrong_alignment_is_refused(align: int) -> None:
    with pytest.raises(ValueError, match="align must be a power of two"):
        Buffer(1, align=align)


@pytest.mark.parametrize("source", ["text", 1.5, None, [1]])
def test_a_wrong_source_is_refused(source: Any) -> None:
    with pytest.raises(TypeError, match="takes a size or a bytes-like object"):
        Buffer(source)


def test_a_negative_or_impossible_size_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more bytes, not -1"):
        Buffer(-1)
    with pytest.raises(OverflowError):
        Buffer(1 << 70)
    with pytest.raises(MemoryError, match=r"there is no memory for a smarm\.Buffer of"):
        Buffer(1 << 60)


def test_it_cannot_be_subclassed() -> None:
    with pytest.raises(TypeError):
        type("Sub", (Buffer,), {})


# ---- bytes -----------------------------------------------------------------------------------------------------------


def test_items_are_read_and_written() -> None:
    buffer = Buffer(b"abc")
    assert (buffer[0], buffer[-1]) == (97, 99)
    buffer[1] = 255
    buffer[-1] = True
    assert bytes(buffer) == b"a\xff\x01"
    assert list(buffer) == [97, 255, 1]
    assert 255 in buffer
    assert bool(buffer)
    assert not Buffer(0)


@pytest.mark.parametrize("index", [3, -4, 1 << 70])
def test_an_index_outside_is_refused(index: int) -> None:
    buffer = Buffer(3)
    with pytest.raises(IndexError):
        buffer[index]
    with pytest.raises(IndexError):
        buffer[index] = 0


def test_wrong_keys_and_values_are_refused() -> None:
    buffer = Buffer(3)
    with pytest.raises(TypeError, match="indexed by ints and slices, not str"):
        buffer["x"]  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="a byte is from 0 to 255, not 256"):
        buffer[0] = 256
    with pytest.raises(ValueError, match="a byte is from 0 to 255, not -1"):
        buffer[0] = -1
    with pytest.raises(TypeError):
        buffer[0] = "x"  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="its size never changes"):
        del buffer[0]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="2 bytes cannot take the place of 3"):
        buffer[:] = b"ab"
    with pytest.raises(ValueError, match=r"a slice of a smarm.Buffer is contiguous"):
        buffer[::2]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.data())
def test_slices_are_those_of_bytes(data: bytes, draw: st.DataObject) -> None:
    buffer, model = Buffer(data), bytearray(data)
    bound = st.none() | st.integers(-50, 50)
    key = slice(draw.draw(bound), draw.draw(bound))
    assert bytes(buffer[key]) == model[key]
    new = draw.draw(st.binary(min_size=len(model[key]), max_size=len(model[key])))
    buffer[key] = new
    model[key] = new
    assert bytes(buffer) == model


def test_a_slice_is_a_view_of_the_same_bytes() -> None:
    buffer = Buffer(b"abcdef")
    part = buffer[1:5][1:3]
    assert bytes(part) == b"cd"
    part[0] = ord("X")
    buffer[3] = ord("Y")
    assert bytes(buffer) == b"abXYef"
    assert bytes(part) == b"XY"


def test_a_buffer_can_be_assigned_to_its_own_slice() -> None:
    buffer = Buffer(b"abcdef")
    buffer[1:] = buffer[:-1]
    assert bytes(buffer) == b"aabcde"


def test_the_buffer_protocol() -> None:
    buffer = Buffer(b"abcd")
    view = memoryview(buffer)
    assert (view.format, view.ndim, view.shape, view.strides, view.readonly) == ("B", 1, (4,), (1,), False)
    assert view.contiguous
    assert view.obj is buffer
    view.cast("I")[0] = 0
    assert bytes(buffer) == bytes(4)


def test_files_and_sockets_read_into_it() -> None:
    buffer = Buffer(5)
    assert io.BytesIO(b"hello").readinto(buffer) == 5
    assert bytes(buffer) == b"hello"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"wor")
        assert ours.recv_into(buffer[2:]) == 3
        assert bytes(buffer) == b"hewor"
        ours.sendall(buffer)
        assert theirs.recv(10) == b"hewor"
    assert b"".join([buffer, b"!"]) == b"hewor!"


def test_it_is_equal_to_the_same_bytes() -> None:
    buffer = Buffer(b"abc")
    assert buffer == b"abc"
    assert b"abc" == buffer  # noqa: SIM300
    assert buffer == Buffer(b"abc")
    assert buffer == memoryview(b"abc")
    assert buffer != b"abd"
    assert buffer != b"ab"
    assert buffer != "abc"
    assert buffer != 3
    with pytest.raises(TypeError):
        assert buffer < b"abd"  # type: ignore[operator]


def test_its_repr_says_what_it_is() -> None:
    buffer = Buffer(1)
    assert repr(buffer) == "<smarm.Buffer of 1 byte>"
    assert repr(Buffer(20).freeze()) == "<smarm.Buffer of 20 bytes, frozen>"
    buffer.move()
    assert repr(buffer) == "<smarm.Buffer, moved>"


def test_it_can_be_referred_to_weakly() -> None:
    buffer = Buffer(1)
    reference = weakref.ref(buffer)
    assert reference() is buffer
    del buffer
    assert reference() is None


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied_by_accident(clone: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        clone(Buffer(1))


# ---- freezing, moving, splitting -------------------------------------------------------------------------------------


def test_a_frozen_buffer_cannot_be_changed() -> None:
    buffer = Buffer(b"abc")
    assert not buffer.frozen
    assert buffer.freeze() is buffer
    assert buffer.frozen
    assert buffer.freeze() is buffer
    with pytest.raises(TypeError, match=r"a frozen smarm.Buffer cannot be changed"):
        buffer[0] = 1
    with pytest.raises(TypeError, match=r"a frozen smarm.Buffer cannot be changed"):
        buffer[:] = b"abc"
    assert memoryview(buffer).readonly
    with pytest.raises((TypeError, BufferError)):
        io.BytesIO(b"xyz").readinto(buffer)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        memoryview(buffer)[0] = 1


@given(st.binary(max_size=100))
@settings(deadline=None)
def test_a_frozen_buffer_hashes_as_its_bytes(data: bytes) -> None:
    buffer = Buffer(data).freeze()
    assert hash(buffer) == hash(data) == hash(buffer)
    assert {buffer: 1}[data] == 1  # type: ignore[index]


def test_a_mutable_buffer_has_no_hash() -> None:
    with pytest.raises(TypeError, match="freeze"):
        hash(Buffer(1))


def test_a_frozen_slice_lives_for_itself() -> None:
    buffer = Buffer(b"abcdef").freeze()
    part = buffer[2:4]
    assert part.frozen
    assert hash(part) == hash(b"cd")
    del buffer
    assert part == b"cd"
    assert bytes(part.move()) == b"cd"
    assert part == b"cd"


@pytest.mark.parametrize(
    "use", [Buffer.freeze, Buffer.move, lambda buffer: buffer.split_at(1)], ids=["freeze", "move", "split"]
)
def test_a_live_view_holds_a_buffer_fast(use: Callable[[Buffer], Any]) -> None:
    buffer = Buffer(b"abc")
    view = memoryview(buffer)
    part = buffer[1:]
    with pytest.raises(BufferError, match=r"2 views of this smarm.Buffer .* are alive: release them before you"):
        use(buffer)
    del part
    with pytest.raises(BufferError, match=r"1 view of this smarm.Buffer .* is alive: release it before you"):
        use(buffer)
    view.release()
    assert bytes(buffer) == b"abc"
    use(buffer)


def test_a_moved_buffer_refuses_every_use() -> None:
    buffer = Buffer(b"abc")
    new = buffer.move()
    assert bytes(new) == b"abc"
    assert buffer.moved
    assert not new.moved
    uses: list[Callable[[], object]] = [
        lambda: len(buffer),
        lambda: bool(buffer),
        lambda: buffer[0],
        lambda: buffer[:],
        lambda: buffer.__setitem__(0, 1),
        lambda: buffer.__setitem__(slice(0, 1), b"x"),
        lambda: memoryview(buffer),
        lambda: bytes(buffer),
        lambda: list(buffer),
        lambda: buffer == b"abc",
        lambda: new == buffer,
        lambda: hash(buffer),
        lambda: buffer.freeze(),
        lambda: buffer.move(),
        lambda: buffer.split_at(0),
        lambda: buffer.frozen,
        lambda: buffer.__dlpack__(),
        lambda: buffer.__dlpack_device__(),
        lambda: Buffer(buffer),
        lambda: Buffer.from_array(buffer),
    ]
    for use in uses:
        with pytest.raises(smarm.BufferMoved, match="was sent, moved or split"):
            use()
    assert issubclass(smarm.BufferMoved, BufferError)


def test_a_slice_moves_when_nothing_else_is_left() -> None:
    part = Buffer(b"abcdef")[1:4]
    new = part.move()
    assert bytes(new) == b"bcd"
    assert part.moved
    assert bytes(new.split_at(1)[1]) == b"cd"


def test_split_parts_are_neighbours_in_one_memory() -> None:
    buffer = Buffer(b"abcdef")
    start = address(buffer)
    gc.collect()  # ctypes' view
    first, second = buffer.split_at(2)
    assert buffer.moved
    assert (bytes(first), bytes(second)) == (b"ab", b"cdef")
    assert address(second) == start + 2
    first[:] = b"XX"
    assert bytes(second) == b"cdef"
    assert [bytes(part) for part in first.split_at(0)] == [b"", b"XX"]
    assert [bytes(part) for part in second.split_at(4)] == [b"cdef", b""]


@pytest.mark.parametrize("position", [-1, 4, 1 << 70])
def test_a_split_outside_is_refused(position: int) -> None:
    buffer = Buffer(3)
    with pytest.raises(IndexError):
        buffer.split_at(position)
    assert not buffer.moved


def test_a_frozen_buffer_splits_and_moves_without_going_away() -> None:
    buffer = Buffer(b"abcdef").freeze()
    view = memoryview(buffer)
    first, second = buffer[1:].split_at(2)
    assert (bytes(first), bytes(second)) == (b"bc", b"def")
    assert first.frozen
    assert second.frozen
    assert bytes(buffer.move()) == b"abcdef"
    assert view == b"abcdef"
    assert not buffer.moved


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_memory_is_freed_once_with_its_last_part(alone: Callable[..., Any]) -> None:
    def main() -> None:
        def live() -> int:
            return smarm.statistics().buffers.live

        before = live()
        first, second = Buffer(100).split_at(50)
        view = memoryview(first)
        frozen = second.freeze()[10:]
        assert live() == before + 1
        del first, second
        assert live() == before + 1
        view.release()
        del view
        assert live() == before + 1
        del frozen
        assert live() == before

    alone(main)


def test_large_memory_is_kept_for_the_next_buffer(alone: Callable[..., Any]) -> None:
    def main() -> None:
        size = 3 << 20
        Buffer(size)
        before = smarm.statistics().buffers
        assert before.pooled_bytes >= size
        for _ in range(10):
            Buffer(size)
        assert smarm.statistics().buffers.pool_hits == before.pool_hits + 10

    alone(main)


def test_the_pool_is_limited_by_an_option(alone: Callable[..., Any]) -> None:
    def main() -> int:
        Buffer(3 << 20)
        return smarm.statistics().buffers.pooled_bytes

    assert alone(main, buffer_pool=0) == 0
    assert alone(main, buffer_pool=4 << 20) == 3 << 20


def test_an_actor_s_buffers_are_counted(alone: Callable[..., Any]) -> None:
    def main() -> None:
        def held() -> tuple[int, int]:
            info = smarm.process_info(smarm.self())
            assert info
            return info.buffers, info.buffer_bytes

        assert held() == (0, 0)
        buffer = Buffer(100)
        assert held() == (1, 100)
        first, second = buffer.split_at(30)
        assert held() == (2, 100)
        del first
        assert held() == (1, 70)
        smarm.send(smarm.self(), second)
        assert held() == (0, 0)
        second = smarm.receive()
        assert held() == (1, 70)
        frozen = second.freeze()[:20]
        assert held() == (2, 90)
        del second, frozen
        assert held() == (0, 0)

    alone(main)


def test_what_an_ended_actor_left_behind_is_still_good(alone: Callable[..., Any]) -> None:
    kept: list[Buffer] = []

    def make() -> None:
        kept.append(Buffer(b"abc"))

    def main() -> None:
        smarm.spawn(make, on="local").join()
        assert bytes(kept.pop()) == b"abc"

    alone(main)
