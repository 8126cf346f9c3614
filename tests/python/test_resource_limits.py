"""What limits a runtime: the number of actors, the address space of their stacks, and what messages may hold."""

from __future__ import annotations

import collections
import contextlib
import copyreg
import datetime
import decimal
import enum
import fractions
import gc
import http
import os
import pathlib
import re
import signal
import socket
import uuid
import zoneinfo
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

import smarm

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

MIB = 1024 * 1024

# ---- actors ----------------------------------------------------------------------------------------------------------


def wait_for_message() -> Any:
    return smarm.receive()


def spawn_until_refused(on: Any = None, **options: Any) -> tuple[list[Any], str]:
    handles = []
    try:
        while True:
            handles.append(smarm.spawn(wait_for_message, on=on, **options))
    except smarm.ActorLimit as error:
        return handles, str(error)


def end_all(handles: list[Any]) -> None:
    for handle in handles:
        smarm.send(handle.pid, None)
    smarm.join_all(handles)


@pytest.mark.parametrize("on", [None, "local", 1])
def test_more_actors_than_max_actors_are_refused_until_some_have_ended(on):
    def main() -> None:
        for _ in range(2):
            handles, sentence = spawn_until_refused(on)
            assert len(handles) == 9
            assert sentence == "there are 10 actors, more are not allowed by max_actors"
            end_all(handles)

    smarm.run(main, workers=2, max_actors=10)


def test_actors_that_spawn_on_several_workers_stay_within_max_actors_together():
    def spawner(most: int) -> int:
        handles, _ = spawn_until_refused("local")
        assert smarm.statistics().actors <= most
        end_all(handles)
        return len(handles)

    def main() -> None:
        spawners = [smarm.spawn(spawner, 40, on="local"), smarm.spawn(spawner, 40, on="local")]
        assert smarm.join_all(spawners)

    smarm.run(main, workers=1, max_actors=40)


def test_the_stacks_of_all_actors_stay_within_max_stack_bytes():
    def main() -> None:
        handles, sentence = spawn_until_refused(stack_size=2 * MIB)
        assert len(handles) == 2
        assert sentence == (
            f"the actors' stacks would have more than {6 * MIB} bytes of address space, which max_stack_bytes does not allow: "
            "end actors, or give them less with stack_size"
        )
        handles.append(smarm.spawn(wait_for_message, stack_size=MIB))  # there is room for a smaller one
        end_all(handles)
        end_all(spawn_until_refused(stack_size=2 * MIB)[0])

    smarm.run(main, workers=2, main_stack_size=MIB, max_stack_bytes=6 * MIB)


def test_the_default_stack_size_counts_for_actors_that_do_not_say():
    def main() -> int:
        handles, _ = spawn_until_refused()
        end_all(handles)
        return len(handles)

    assert smarm.run(main, workers=1, main_stack_size=MIB, stack_size=MIB, max_stack_bytes=4 * MIB) == 3


def test_a_limit_without_room_for_the_main_actor_is_refused():
    with pytest.raises(smarm.ConfigError, match=r"max_stack_bytes \(1048576\) has no room for the main actor's stack"):
        smarm.run(wait_for_message, max_stack_bytes=MIB)


def test_an_actor_that_was_refused_can_be_caught_as_what_it_is():
    assert issubclass(smarm.ActorLimit, smarm.SmarmError)
    assert issubclass(smarm.ActorLimit, RuntimeError)


# ---- buffers ---------------------------------------------------------------------------------------------------------


def make_and_keep(size: int) -> Any:
    buffer = smarm.Buffer(size)
    smarm.receive()
    return buffer


def test_buffers_of_all_actors_together_stay_within_max_buffer_bytes(tmp_path):
    def main() -> None:
        kept = smarm.Buffer(2 * MIB)
        other = smarm.spawn(make_and_keep, MIB, on=1)
        while smarm.statistics().buffers.live_bytes < before + 3 * MIB:
            smarm.yield_now()
        path = tmp_path / "file"
        path.write_bytes(bytes(2 * MIB))
        for make in (
            lambda: smarm.Buffer(2 * MIB),
            lambda: smarm.Buffer(bytes(2 * MIB)),
            lambda: smarm.Buffer.from_file(path),
        ):
            with pytest.raises(smarm.BufferLimit) as caught:
                make()
            assert str(caught.value) == (
                f"with {2 * MIB} bytes more all Buffers would have more than the {before + 4 * MIB} bytes that max_buffer_bytes "
                "allows: free some, or send them on"
            )
        smarm.Buffer.mmap(path)  # memory of the file, not of buffers
        smarm.send(other.pid, None)
        arrived = other.join()  # it has moved: no bytes more
        smarm.Buffer(MIB)
        del kept, arrived
        smarm.Buffer(4 * MIB)

    gc.collect()
    before = smarm.run(lambda: smarm.statistics().buffers.live_bytes, workers=1)
    smarm.run(main, workers=2, max_buffer_bytes=before + 4 * MIB)
    smarm.run(smarm.Buffer, 8 * MIB, workers=1)  # the next runtime has no limit


@pytest.mark.skipif(numpy is None, reason="numpy is not installed")
def test_large_data_in_a_message_is_a_buffer_and_stays_within_the_limit_too(on):
    def main() -> None:
        echoing = smarm.spawn(echo, on=on)
        array = numpy.zeros(2 * MIB, dtype="u1")
        with pytest.raises(smarm.BufferLimit) as caught:
            smarm.send(echoing.pid, {"data": array})
        assert caught.value.__notes__[0].startswith("while encoding message['data']")
        smarm.send(echoing.pid, (smarm.self(), "nothing else is affected"))
        assert smarm.receive() == "nothing else is affected"

    smarm.run(main, workers=2, max_buffer_bytes=MIB)


def test_a_buffer_that_was_refused_can_be_caught_as_what_it_is():
    assert issubclass(smarm.BufferLimit, smarm.SmarmError)
    assert issubclass(smarm.BufferLimit, MemoryError)


# ---- without pickle's protocol -----------------------------------------------------------------------------------------


@dataclass
class Point:
    x: int
    y: list[int]


@dataclass(frozen=True, slots=True)
class Frozen:
    x: int


class Pair(NamedTuple):
    left: Any
    right: Any


class Reduces:
    def __reduce__(self) -> Any:
        return os.getpid, ()


class Colour(enum.Enum):
    RED = 1


def echo() -> None:
    while True:
        sender, message = smarm.receive()
        smarm.send(sender, message)


def sent(message: Any, on: Any) -> Any:
    echoing = smarm.spawn(echo, on=on)
    smarm.send(echoing.pid, (smarm.self(), message))
    try:
        return smarm.receive(timeout=60)
    finally:
        smarm.kill(echoing.pid)


@pytest.mark.parametrize(
    "value",
    [
        1,
        "text",
        [b"bytes", {"key": (1.5, None)}],
        {1, 2},
        Point(1, [2]),
        Frozen(3),
        Pair(1, [2]),
        Point,
    ],
    ids=repr,
)
def test_without_pickle_plain_data_travels(value, on):
    assert smarm.run(sent, value, on, workers=2, pickle=False) == value


def test_without_pickle_an_exception_travels(on):
    error = smarm.run(sent, ValueError("why", [1]), on, workers=2, pickle=False)
    assert (type(error), error.args) == (ValueError, ("why", [1]))


class Bits(enum.Flag):
    A = 1
    B = 2
    C = 4


class Level(enum.IntEnum):
    LOW = 1


class Planet(enum.Enum):
    EARTH = (5.97, 6.37)

    def __init__(self, mass: float, radius: float) -> None:
        self.mass = mass


@dataclass(frozen=True, slots=True)
class Stamp:
    at: datetime.datetime
    colour: Colour
    price: decimal.Decimal


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
PLUS_TWO = datetime.timezone(datetime.timedelta(hours=2), "plus two")
NOON = datetime.datetime(2024, 10, 27, 12, 30, 15, 999, tzinfo=BERLIN)
DATA = [
    *(
        Colour.RED,
        Bits.A,
        Bits.A | Bits.C,
        Bits(0),
        Level.LOW,
        Planet.EARTH,
        socket.AF_INET,
        signal.SIGTERM,
        http.HTTPStatus.OK,
    ),
    *(
        datetime.date(2000, 2, 29),
        datetime.time(1, 2, 3, 4),
        datetime.time(1, tzinfo=PLUS_TWO),
        datetime.timedelta(-3, 4, 5),
    ),
    *(datetime.datetime(2024, 1, 2, 3, 4, 5, 6), NOON, NOON.replace(hour=2, fold=1), NOON.astimezone(datetime.UTC)),
    *(datetime.UTC, PLUS_TWO, datetime.timezone(datetime.timedelta(hours=-3)), BERLIN),
    *(decimal.Decimal("1.10"), decimal.Decimal("-Infinity"), decimal.Decimal("-0E+7"), fractions.Fraction(-2, 3)),
    *(uuid.UUID(int=2**100), uuid.uuid5(uuid.NAMESPACE_DNS, "smarm")),
    *(Point(1, [2]), Frozen(3), Stamp(NOON, Colour.RED, decimal.Decimal(7)), Pair(NOON, Bits.B)),
    *(Point, Colour, datetime.datetime, int),
    {Colour.RED: [decimal.Decimal(1)], datetime.date(2000, 1, 1): {uuid.UUID(int=1)}},
]


@pytest.mark.parametrize("value", DATA, ids=repr)
def test_without_pickle_values_of_the_standard_library_travel(value):
    data = smarm._core._encode(value, pickle=False)
    came = smarm._core._decode(data, pickle=False)
    assert (came, type(came), repr(came)) == (value, type(value), repr(value))
    if isinstance(value, datetime.datetime):
        assert (came.fold, came.tzinfo, came.utcoffset()) == (value.fold, value.tzinfo, value.utcoffset())


def test_without_pickle_values_of_the_standard_library_travel_together(on):
    came = smarm.run(sent, DATA, on, workers=2, pickle=False)
    assert came == DATA
    assert list(map(type, came)) == list(map(type, DATA))
    assert came[0] is Colour.RED
    assert came[DATA.index(datetime.UTC)] is datetime.UTC


def test_without_pickle_an_exception_travels_with_cause_notes_and_attributes(on):
    error = ValueError("why")
    error.__cause__ = KeyError(Colour.RED)
    error.add_note("a note")
    error.when = NOON  # type: ignore[attr-defined]
    group = ExceptionGroup("several", [error, OSError(2, "no such file", "name")])
    came = smarm.run(sent, group, on, workers=2, pickle=False)
    assert (type(came), came.message) == (ExceptionGroup, "several")
    first, second = came.exceptions
    assert (type(first), first.args, first.__notes__, first.when) == (ValueError, ("why",), ["a note"], NOON)
    assert (type(first.__cause__), first.__cause__.args) == (KeyError, (Colour.RED,))
    assert (type(second), second.errno, second.filename) == (FileNotFoundError, 2, "name")


class HasInit:
    def __init__(self, x: int) -> None:
        raise AssertionError("never called by a receiver")

    def __reduce__(self) -> Any:
        return HasInit, (1,)


class Metaclass(type):
    def __call__(cls, *args: Any) -> Any:
        raise AssertionError("never called by a receiver")


class HasMetaclass(metaclass=Metaclass):
    def __reduce__(self) -> Any:
        return HasMetaclass, ()


class SetsState:
    def __reduce_ex__(self, protocol: int) -> Any:
        return copyreg.__newobj__, (SetsState,), {"x": 1}, None, None, print


NEEDS_A_CALL = [HasInit.__new__(HasInit), object.__new__(HasMetaclass), SetsState(), NOON.isoformat, BERLIN.utcoffset]


@pytest.mark.parametrize("value", NEEDS_A_CALL, ids=lambda value: type(value).__name__)
def test_without_pickle_nothing_but_new_is_called_by_a_receiver(value):
    with pytest.raises(smarm.NotSendable, match="pickle=False, --no-pickle"):
        smarm._core._encode(value, pickle=False)
    with pytest.raises(smarm.DecodeError, match="a call, which is not allowed"):
        smarm._core._decode(smarm._core._encode(value, pickle=True), pickle=False)


REFUSED = [Reduces(), collections.deque([1]), re.compile("a"), pathlib.Path("a")]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_without_pickle_what_a_class_takes_apart_itself_is_refused(value, on):
    with pytest.raises(smarm.NotSendable, match=r"^message\[1\]\['key'\]: .*pickle=False, --no-pickle") as caught:
        smarm.run(sent, {"key": value}, on, workers=2, pickle=False)
    assert type(value).__name__ in str(caught.value)
    smarm.run(sent, {"key": value}, on, workers=2)  # the next runtime has it again


def queue() -> Any:
    return collections.deque()


def test_without_pickle_a_result_is_refused_too():
    def main() -> None:
        with pytest.raises(smarm.ActorFailed, match="--no-pickle"):
            smarm.spawn(queue, on=1).join()

    smarm.run(main, workers=2, pickle=False)


def test_without_pickle_bytes_that_name_a_call_are_refused():
    data = smarm._core._encode(Reduces(), pickle=True)
    assert smarm._core._decode(data, pickle=True) == os.getpid()
    with pytest.raises(smarm.DecodeError, match="a call, which is not allowed"):
        smarm._core._decode(data, pickle=False)


def test_without_pickle_supervisors_and_servers_work(succeed):
    out = succeed(
        """
        import smarm

        class Counter(smarm.Server):
            def init(self):
                self.count = 0

            def handle_call(self, request, caller):
                self.count += request
                return self.count

        def main():
            counter = Counter.start(on=1)
            print(counter.call(2), counter.call(3))
            children = [smarm.Child("counter", Counter, name="counter", on=1)]
            with smarm.Supervisor(children).start(on=1) as supervisor:
                print(supervisor.count_children().active, smarm.ServerRef("counter").call(4))

        smarm.run(main, workers=2)
        """,
        env={"SMARM_PICKLE": "0"},
    )
    assert out == "2 5\n1 4\n"


@pytest.mark.parametrize("text", ["0", "no", "False", "false"])
def test_pickle_is_turned_off_by_the_variable_too(text, monkeypatch):
    monkeypatch.setenv("SMARM_PICKLE", text)
    assert smarm.Runtime().options["pickle"] is False


@pytest.mark.parametrize("bad", ["", "maybe", 1, 0, None.__class__, 0.0])
def test_pickle_is_on_or_off(bad):
    with pytest.raises(smarm.ConfigError, match=r"^pickle must be True or False \(in text: 1 or 0\), not "):
        smarm.Runtime(pickle=bad)


# ---- descriptors -------------------------------------------------------------------------------------------------------


def test_no_descriptor_of_ours_is_inherited_by_other_programs(tmp_path):
    def main() -> set[int]:
        smarm.spawn(wait_for_message, on=1)
        smarm.block_on_io(os.getpid)
        opened = []
        for address in (("127.0.0.1", 0), tmp_path / "socket"):
            listener = smarm.net.listen(address)
            opened += [listener, smarm.net.connect(listener.address), listener.accept()]
        found = inheritable()
        for it in opened:
            it.close()
        return found

    before = inheritable()
    assert smarm.run(main, workers=2) == before


def inheritable() -> set[int]:
    """Return the descriptors of this process that other programs would get."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of listdir itself
            if os.get_inheritable(int(name)):
                found.add(int(name))
    return found


@pytest.mark.parametrize(("options", "mode"), [({}, 0o600), ({"mode": 0o660}, 0o660)])
def test_a_unix_socket_is_its_owners_unless_the_program_says_more(options, mode, alone, tmp_path):
    def main() -> int:
        listener = smarm.net.listen(tmp_path / "socket", **options)
        found = os.stat(tmp_path / "socket").st_mode & 0o777
        listener.close()
        return found

    before = os.umask(0o002)
    try:
        assert alone(main) == mode
    finally:
        os.umask(before)
