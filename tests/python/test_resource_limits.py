"""What limits a runtime: the number of actors, the address space of their stacks, and what messages may hold."""

from __future__ import annotations

import collections
import contextlib
import datetime
import enum
import functools
import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

import smarm

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
        len,
        Point,
        wait_for_message,
    ],
    ids=repr,
)
def test_without_pickle_plain_data_travels(value, on):
    assert smarm.run(sent, value, on, workers=2, pickle=False) == value


def test_without_pickle_an_exception_travels(on):
    error = smarm.run(sent, ValueError("why", [1]), on, workers=2, pickle=False)
    assert (type(error), error.args) == (ValueError, ("why", [1]))


REFUSED = [Reduces(), Colour.RED, datetime.date(2000, 1, 1), collections.deque([1]), functools.partial(print, 1)]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_without_pickle_what_a_class_takes_apart_itself_is_refused(value, on):
    with pytest.raises(smarm.NotSendable, match=r"^message\[1\]\['key'\]: .*pickle=False, --no-pickle") as caught:
        smarm.run(sent, {"key": value}, on, workers=2, pickle=False)
    assert type(value).__name__ in str(caught.value)
    smarm.run(sent, {"key": value}, on, workers=2)  # the next runtime has it again


def today() -> datetime.date:
    return datetime.date.today()


def test_without_pickle_a_result_is_refused_too():
    def main() -> None:
        with pytest.raises(smarm.ActorFailed, match="--no-pickle"):
            smarm.spawn(today, on=1).join()

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
