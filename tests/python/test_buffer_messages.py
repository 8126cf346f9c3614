"""Buffers that move between actors: by reference, once, or not at all."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import smarm
from smarm import Buffer

try:  # here and not in the test: it starts threads that stay
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

needs_numpy = pytest.mark.skipif(numpy is None, reason="numpy is not installed")


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """Every test frees every buffer that it made, whoever ended with it."""

    def live() -> int:
        gc.collect()
        return smarm.run(lambda: smarm.statistics().buffers.live, workers=1)

    before = live()
    yield
    assert live() <= before


def run(main: Callable[[], Any]) -> Any:
    return smarm.run(main, workers=2)


@dataclass
class Box:
    name: str
    buffer: Any


def change(rx: smarm.Receiver, tx: smarm.Sender) -> None:
    """Change the first byte of what comes, and send it back."""
    for buffer in rx:
        buffer[0] = (buffer[0] + 1) % 256
        tx.send(buffer)


def pass_on(value: Any) -> Any:
    return value


def first_bytes(value: Any) -> Any:
    return [bytes(part) for part in value]


def wait_for_ever(*_: object) -> None:
    smarm.receive()


# ---- sending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_a_buffer_goes_and_comes_back_without_a_copy(on: Any, size: int) -> None:
    def main() -> None:
        out, rx = smarm.channel()
        tx, back = smarm.channel()
        smarm.spawn(change, rx, tx, on=on)
        buffer = Buffer(size)
        before = smarm.statistics().buffers
        for _ in range(10):
            old = buffer
            out.send(buffer)
            with pytest.raises(smarm.BufferMoved):
                len(old)
            buffer = back.recv()
        after = smarm.statistics().buffers
        assert buffer[0] == 10
        assert after.payload_copies == before.payload_copies
        assert after.allocated == before.allocated
        assert after.moved == before.moved + 20
        out.close()

    run(main)


def test_bytes_are_counted_as_copied() -> None:
    def main() -> None:
        before = smarm.statistics().buffers
        smarm.spawn(pass_on, b"x" * 1000, on=1).join()
        after = smarm.statistics().buffers
        assert after.payload_copies - before.payload_copies == 4  # there: in and out; back: in and out
        assert after.payload_bytes_copied - before.payload_bytes_copied == 4000

    run(main)


def test_buffers_move_inside_of_any_structure(on: Any) -> None:
    def main() -> None:
        parts = [Buffer(bytes([index])) for index in range(6)]
        value = {"a": [parts[0], (parts[1], {2: parts[2]})], "box": Box("x", parts[3]), "e": ValueError(parts[4])}
        got = smarm.spawn(pass_on, [value, parts[5]], on=on)
        assert all(part.moved for part in parts)
        value, last = got.join()
        assert bytes(value["a"][0]) == b"\0"
        assert bytes(value["a"][1][0]) == b"\1"
        assert bytes(value["a"][1][1][2]) == b"\2"
        assert bytes(value["box"].buffer) == b"\3"
        assert bytes(value["e"].args[0]) == b"\4"
        assert bytes(last) == b"\5"

    run(main)


def test_a_buffer_that_occurs_twice_stays_one(on: Any) -> None:
    def main() -> None:
        buffer = Buffer(b"abc")
        first, second = smarm.spawn(pass_on, [buffer, buffer], on=on).join()
        assert first is second

    run(main)


class Twice:
    """Gives the same, otherwise unreferenced, buffer out at two places of its state."""

    def __reduce__(self) -> Any:
        buffer = Buffer(b"abc")
        return (list, (), None, iter([buffer, [buffer]]))


def test_a_buffer_that_only_reducing_code_reaches_moves_once() -> None:
    def main() -> None:
        first, [second] = smarm.spawn(pass_on, Twice(), on=1).join()
        assert first is second

    run(main)


def test_split_parts_go_to_different_workers() -> None:
    def main() -> None:
        first, second = Buffer(b"abcdef").split_at(2)
        there = smarm.spawn(pass_on, first, on=1)
        here = smarm.spawn(pass_on, second, on="local")
        assert (bytes(there.join()), bytes(here.join())) == (b"ab", b"cdef")

    run(main)


def test_a_frozen_buffer_is_shared(on: Any) -> None:
    def main() -> None:
        buffer = Buffer(b"abcdef").freeze()
        view = memoryview(buffer)
        before = smarm.statistics().buffers
        assert smarm.spawn(first_bytes, (buffer, buffer[2:4]), on=on).join() == [b"abcdef", b"cd"]
        again = smarm.spawn(pass_on, [buffer, buffer[1:]], on=on).join()
        assert again == [b"abcdef", b"bcdef"]
        assert again[0].frozen
        assert hash(again[0]) == hash(buffer)
        assert smarm.statistics().buffers.allocated == before.allocated
        assert view == b"abcdef"

    run(main)


def test_a_frozen_buffer_goes_by_reference_inside_an_interpreter(alone: Callable[..., Any]) -> None:
    def main() -> None:
        buffer = Buffer(b"abc").freeze()
        smarm.send(smarm.self(), buffer)
        assert smarm.receive() is buffer
        smarm.send(smarm.self(), (1, buffer))
        assert smarm.receive()[1] is buffer

    alone(main)


def test_a_live_view_stops_the_whole_message(on: Any) -> None:
    def main() -> None:
        target = smarm.spawn(wait_for_ever, on=on).pid
        first, second = Buffer(b"a"), Buffer(b"bc")
        part = second[1:]
        with pytest.raises(BufferError, match=r"1 view of .* release it before you send it") as caught:
            smarm.send(target, {"one": first, "rows": [0, {"two": second}]})
        assert caught.value.__notes__ == ["while encoding message['rows'][1]['two']"]
        assert not first.moved
        assert bytes(first) == b"a"
        info = smarm.process_info(target)
        assert info
        assert info.messages == 0
        del part
        smarm.send(target, {"one": first, "rows": [0, {"two": second}]})
        assert first.moved
        assert second.moved

    run(main)


def test_what_cannot_be_sent_leaves_buffers_with_their_sender(on: Any) -> None:
    def main() -> None:
        buffer = Buffer(b"abc")
        lambdas = [buffer, (value for value in ())]
        with pytest.raises(smarm.NotSendable, match=r"message\[1\]: generator cannot be sent"):
            smarm.send(smarm.self(), lambdas)
        with pytest.raises(smarm.NotSendable, match=r"args\[1\]: generator cannot be sent"):
            smarm.spawn(pass_on, *lambdas, on=on)
        with pytest.raises(smarm.BufferMoved):
            smarm.send(smarm.self(), [buffer, moved])
        assert bytes(buffer) == b"abc"
        assert smarm.process_info(smarm.self()).buffer_bytes == 3  # type: ignore[union-attr]

    moved = Buffer(1)
    moved.move()
    run(main)


def test_a_buffer_can_be_used_while_it_waits_to_be_sent_again(alone: Callable[..., Any]) -> None:
    def main() -> None:
        buffer = Buffer(b"a")
        for expected in range(ord("a"), ord("a") + 5):
            assert buffer[0] == expected
            buffer[0] += 1
            smarm.send(smarm.self(), [buffer])
            (buffer,) = smarm.receive()

    alone(main)


def test_a_result_with_a_buffer_is_joined_once(on: Any) -> None:
    def main() -> None:
        handle = smarm.spawn(pass_on, [Buffer(b"abc")], on=on)
        assert handle.join() == [b"abc"]
        with pytest.raises(smarm.BufferMoved, match="has gone to somebody else"):
            handle.join()

    run(main)


def test_an_exit_reason_with_a_frozen_buffer_reaches_everybody() -> None:
    def end(reason: Any) -> None:
        raise smarm.ActorExit(reason)

    def main() -> None:
        reason = ("why", Buffer(b"abc").freeze())
        handles = [smarm.spawn(end, reason, on="local", monitor=True)]
        down = smarm.receive(smarm.Down)
        assert down.reason == reason
        with pytest.raises(smarm.ActorKilled) as caught:
            handles[0].join()
        assert caught.value.reason == reason

    run(main)


def test_an_interval_refuses_buffers(alone: Callable[..., Any]) -> None:
    def main() -> None:
        buffer = Buffer(1)
        with pytest.raises(smarm.NotSendable, match="cannot hold channels, buffers"):
            smarm.interval(1, smarm.self(), buffer)
        assert not buffer.moved

    alone(main)


def test_a_late_message_takes_its_buffer_along(alone: Callable[..., Any]) -> None:
    def main() -> None:
        smarm.send_after(0, smarm.self(), [Buffer(b"abc")])
        assert smarm.receive() == [b"abc"]
        smarm.send_after(1000, smarm.self(), [Buffer(b"abc")]).cancel()

    alone(main)


# ---- buffers that nobody takes ---------------------------------------------------------------------------------------


def test_a_dead_actor_s_mailbox_is_freed(on: Any, wait_until_parked: Callable[..., None]) -> None:
    def main() -> None:
        before = smarm.statistics().buffers.live
        handle = smarm.spawn(fill_and_wait, on=on)
        wait_until_parked(handle.pid)
        for _ in range(5):
            smarm.send(handle.pid, ("never taken", Buffer(100_000)))
        smarm.kill(handle.pid)
        with pytest.raises(smarm.ActorKilled):
            handle.join()
        wait_until(lambda: smarm.statistics().buffers.live == before)

    from conftest import wait_until

    run(main)


def fill_and_wait() -> None:
    mine = Buffer(1000)
    smarm.receive(lambda _: False)
    mine.move()


def test_a_dead_letter_is_freed() -> None:
    def main() -> None:
        before = smarm.statistics()
        for on in ("local", 1):
            handle = smarm.spawn(pass_on, 1, on=on)
            handle.join()
            buffer = Buffer(100)
            smarm.send(handle.pid, buffer)
            assert buffer.moved
        wait_until(lambda: smarm.statistics().dead_letters == before.dead_letters + 2)
        assert smarm.statistics().buffers.live == before.buffers.live

    from conftest import wait_until

    run(main)


def test_a_closed_channel_frees_what_is_queued() -> None:
    def main() -> None:
        before = smarm.statistics().buffers.live
        tx, rx = smarm.channel()
        tx.send(Buffer(1))
        tx.send([Buffer(100_000)])
        assert smarm.statistics().buffers.live == before + 2
        rx.close()
        assert smarm.statistics().buffers.live == before

    run(main)


def test_buffers_that_shutdown_finds_are_freed() -> None:
    def main() -> None:
        for on in ("local", 1):
            pid = smarm.spawn(wait_for_ever, on=on).pid
            for _ in range(3):
                smarm.send(pid, Buffer(100_000))
            smarm.spawn(hold, Buffer(1000), on=on)

    run(main)


def hold(buffer: Buffer) -> None:
    smarm.receive()
    buffer.move()


def test_a_buffer_outlives_the_runtime() -> None:
    buffer = run(lambda: smarm.spawn(pass_on, Buffer(b"abc"), on=1).join())
    assert bytes(buffer) == b"abc"
    assert bytes(buffer.move()) == b"abc"


# ---- arrays ----------------------------------------------------------------------------------------------------------


def test_a_lent_array_goes_to_another_worker_and_is_given_back() -> None:
    freed: list[str] = []

    class Lender(bytearray):
        def __del__(self) -> None:
            freed.append("freed")

    def main() -> None:
        source = bytearray(b"abc" * 1000)
        buffer = Buffer.from_array(source)
        with pytest.raises(BufferError, match="referred to elsewhere"):
            smarm.send(smarm.self(), buffer)
        del source
        before = smarm.statistics().buffers
        out, rx = smarm.channel()
        tx, back = smarm.channel()
        smarm.spawn(change, rx, tx, on=1)
        for _ in range(3):
            out.send(buffer)
            buffer = back.recv()
        assert bytes(buffer[:3]) == b"dbc"
        assert smarm.statistics().buffers.payload_copies == before.payload_copies
        out.send(buffer)
        out.close()

    run(main)


def lend_there() -> Any:
    import array

    source = array.array("i", [1, 2, 3])
    buffer = Buffer.from_array(source)
    source[0] = 7
    return buffer


def test_other_workers_copy_arrays() -> None:
    def main() -> None:
        assert memoryview(smarm.spawn(lend_there, on=1).join()).cast("i").tolist() == [1, 2, 3]

    run(main)


@needs_numpy
def test_a_numpy_array_crosses_a_core_and_comes_back_without_a_copy() -> None:
    def main() -> None:
        before = smarm.statistics().buffers
        buffer = Buffer.from_array(numpy.arange(100_000))
        buffer = smarm.spawn(pass_on, buffer, on=1).join()
        result = numpy.frombuffer(buffer, dtype=int)
        assert result.sum() == 99_999 * 50_000
        assert smarm.statistics().buffers.payload_copies == before.payload_copies

    run(main)


@needs_numpy
def test_a_large_numpy_array_in_a_message_is_copied_once(alone: Callable[..., Any]) -> None:
    def main() -> None:
        source = numpy.arange(100_000).reshape(100, 1000)
        before = smarm.statistics().buffers
        smarm.send(smarm.self(), {"rows": source, "same": source})
        source[0, 0] = 7
        got = smarm.receive()
        after = smarm.statistics().buffers
        assert after.payload_copies - before.payload_copies == 1
        assert got["rows"] is got["same"]
        assert got["rows"][0, 0] == 0
        assert got["rows"].shape == (100, 1000)
        got["rows"][0, 1] = 5
        source.flags.writeable = False
        smarm.send(smarm.self(), source)
        assert not smarm.receive().flags.writeable

    alone(main)


class OutOfBand:
    """An object that offers a frozen Buffer out of band, as pickle 5 has it."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (OutOfBand, (pickle.PickleBuffer(self.data),))


def test_a_frozen_buffer_out_of_band_is_shared(on: Any) -> None:
    def main() -> None:
        before = smarm.statistics().buffers
        got = smarm.spawn(pass_on, OutOfBand(Buffer(b"abc").freeze()), on=on).join()
        assert isinstance(got.data, Buffer)
        assert got.data == b"abc"
        assert smarm.statistics().buffers.payload_copies == before.payload_copies + 1  # making it

    run(main)


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_mutable_buffer_out_of_band_is_copied(size: int) -> None:
    def main() -> None:
        box = OutOfBand(Buffer(size))
        smarm.send(smarm.self(), box)
        box.data[0] = 1
        got = smarm.receive()
        assert bytes(got.data) == bytes(size)
        got.data[0] = 2

    smarm.run(main, workers=1)


def test_the_size_limit_counts_what_is_copied_and_not_what_moves() -> None:
    def main() -> None:
        smarm.send(smarm.self(), [Buffer(1 << 20)])
        smarm.receive()
        for data in (bytes(1 << 20), OutOfBand(bytearray(1 << 20))):
            with pytest.raises(smarm.NotSendable, match="needs more than 100000 bytes"):
                smarm.send(smarm.self(), [data])

    smarm.run(main, workers=1, message_size=100_000)


# ---- sends that fail -------------------------------------------------------------------------------------------------


def test_a_send_that_fails_leaves_the_buffer_with_its_sender(on: Any) -> None:
    def main() -> None:
        buffer = Buffer(b"abc")
        tx, rx = smarm.channel(1)
        handle = smarm.spawn(hold_receiver, rx, on=on)
        tx.send(1)
        with pytest.raises(smarm.Timeout):
            tx.send([buffer], timeout=0)
        assert buffer == b"abc"
        smarm.kill(handle.pid)
        with pytest.raises(smarm.ActorKilled):
            handle.join()
        del rx
        with pytest.raises(smarm.Closed):
            tx.send([buffer])
        assert buffer == b"abc"

    run(main)


def hold_receiver(rx: smarm.Receiver) -> None:
    smarm.receive()
    rx.close()


def test_a_full_mailbox_or_channel_leaves_the_buffer_with_its_sender(on: Any) -> None:
    def main() -> None:
        buffer = Buffer(b"abc")
        pid = smarm.spawn(receive_nothing, on=on, mailbox_limit=1, on_full="error").pid
        smarm.send(pid, 1)
        with pytest.raises(smarm.MailboxFull):
            smarm.send(pid, [buffer])
        with pytest.raises(smarm.MailboxFull):
            smarm.call(pid, [buffer])
        tx, _rx = smarm.channel(1, on_full="error")
        tx.send(1)
        with pytest.raises(smarm.Full):
            tx.send({"buffer": buffer})
        assert buffer == b"abc"

    run(main)


def receive_nothing() -> None:
    smarm.receive(lambda _: False)
