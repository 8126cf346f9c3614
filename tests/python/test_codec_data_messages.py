"""pickle=False: messages between actors, one of which is refused, and the options that let more travel."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest

import smarm

PROGRAM = """
    import dataclasses, os, smarm

    @dataclasses.dataclass
    class Point:
        x: int

    def change():
        # In this worker's interpreter only: the sender sees nothing of it.
        Point.__setstate__ = lambda self, state: print("called")
"""


def test_a_message_that_is_refused_is_lost_alone_counted_and_named_once(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    def receiver():
        change()
        got = []
        while len(got) < 5:
            try:
                got.append(smarm.receive(timeout=60))
            except smarm.DecodeError as error:
                got.append(type(error).__name__)
        return got

    def main():
        handle = smarm.spawn(receiver, on=1)
        for message in (1, Point(1), [2], {"key": Point(2)}, 3):
            smarm.send(handle.pid, message)
        print(handle.join(), smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.out) == (0, "[1, 'DecodeError', [2], 'DecodeError', 3] 2\n")
    (line,) = result.err.splitlines()
    assert re.match(
        r"smarm: <pid \d+\.\d+> lost a message that cannot be decoded: making a .*Point needs a call, .*statistics",
        line,
    )


def test_a_server_and_a_supervisor_lose_that_message_alone(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    class Counter(smarm.Server):
        def init(self):
            change()
            self.count = 0

        def handle_call(self, request, caller):
            self.count += 1
            return self.count

        def handle_info(self, message):
            print("got", message)

    def main():
        counter = Counter.start(on=1)
        smarm.send(counter.pid, Point(1))
        print(counter.call("how many"))
        with smarm.Supervisor([smarm.Child("counter", Counter, on=1)]).start(on=1) as supervisor:
            supervisor.count_children()
            smarm.send(supervisor.pid, Point(1))
            print(supervisor.count_children().active, smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.out) == (0, "1\n1 2\n")


def test_a_channel_a_call_and_a_join_refuse_alike(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    def receiver(values):
        change()
        try:
            values.recv()
        except smarm.DecodeError:
            return values.recv()

    @dataclasses.dataclass
    class Given:
        x: int

    def give():
        return Given(1)

    def main():
        sender, values = smarm.channel()
        handle = smarm.spawn(receiver, values, on=1)
        sender.send(Point(1))
        sender.send("next")
        print(handle.join())
        handle = smarm.spawn(give, on=1)
        Given.__del__ = lambda self: print("called")
        try:
            handle.join()
        except smarm.DecodeError:
            print("refused", smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.out) == (0, "next\nrefused 2\n")


def test_arguments_are_messages_and_the_function_is_none(run_app: Callable[..., Any]) -> None:
    result = run_app(
        PROGRAM
        + """
    def function(*args):
        return len(args)

    def main():
        print(smarm.spawn(function, Point(1), int, on=1).join(), smarm.spawn(os.getpid, on=1).join() == os.getpid())
        for bad in (function, len, {1: lambda: 0}, map):
            try:
                print(smarm.spawn(function, bad, on=1).join())
            except smarm.NotSendable as error:
                print(str(error)[:30])

    smarm.run(main, workers=2, pickle=False)
    """
    )
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "2 True", "args[0]: 'function' of the mod", "args[0]: 'len' of the module '", "args[0][1]: a lambda cannot be", "1",
    ]  # fmt: skip


def test_a_registered_type_travels(run_app: Callable[..., Any]) -> None:
    result = run_app("""
    import smarm

    class Money:
        def __init__(self, cents):
            self.cents = cents

    def take():
        return [money.cents for money in smarm.receive(timeout=60)]

    def of(parts):
        return Money(*parts)

    smarm.register_codec(Money, lambda money: [money.cents], of)

    def main():
        handle = smarm.spawn(take, on=1)
        smarm.send(handle.pid, [Money(5), Money(6)])
        print(handle.join())

    smarm.run(main, workers=2, pickle=False)
    """)
    assert (result.code, result.out, result.err) == (0, "[5, 6]\n", "")


def test_a_type_with_a_codec_comes_by_its_codec_only(run_app: Callable[..., Any]) -> None:
    result = run_app(f"""
    import dataclasses, sys
    import smarm
    from smarm import _core
    sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
    from hostile_bytes import made, part

    @dataclasses.dataclass
    class Coin:
        cents: int

    def coin_of(cents):
        if cents < 0:
            raise ValueError("a coin is worth something")
        return Coin(cents)

    hostile = made("Plain", Coin, parts=part("State", dict(cents=-1)))
    print(_core._decode(bytes(hostile)))
    smarm.register_codec(Coin, lambda coin: coin.cents, coin_of)

    def main():
        assert _core._decode(_core._encode(Coin(1))) == Coin(1)
        try:
            _core._decode(bytes(hostile))
        except smarm.DecodeError as error:
            print("registered codec" in str(error))

    smarm.run(main, workers=1, pickle=False)
    """)
    assert (result.code, result.out, result.err) == (0, "Coin(cents=-1)\nTrue\n", "")


def test_listed_modules_reach_every_worker(run_app: Callable[..., Any]) -> None:
    program = """
    import os, smarm

    def double(x):
        return 2 * x

    def apply():
        function, value = smarm.receive(timeout=60)
        return function(value)

    def main():
        handle = smarm.spawn(apply, on=1)
        smarm.send(handle.pid, (double, 4))
        print(handle.join())
        with smarm.Supervisor([smarm.Child("one", apply)]).start(on=1) as supervisor:
            print(supervisor.count_children().active)
        try:
            smarm.send(smarm.self(), os.system)
        except smarm.NotSendable as error:
            print("posix" in str(error))

    if __name__ == "__main__":
        smarm.run(main, workers=2, %s)
    """
    result = run_app(program % "pickle=False, trusted_modules=['__main__', 'json']")
    assert (result.code, result.out, result.err) == (0, "8\n1\nTrue\n", "")
    result = run_app(program % "pickle=False", env={"SMARM_TRUSTED_MODULES": "json,__main__"})
    assert (result.code, result.out, result.err) == (0, "8\n1\nTrue\n", "")
    result = run_app(program % "pickle=False")
    assert result.code == 1
    assert "'double' of the module '__main__' cannot be sent (pickle=False, --no-pickle)" in result.err
    assert "trusted_modules" in result.err


def test_a_module_that_the_receiver_has_not_loaded_stays_so(run_app: Callable[..., Any]) -> None:
    result = run_app("""
    import sys
    import smarm

    def receiver():
        before = set(sys.modules)
        try:
            return smarm.receive(timeout=60)
        except smarm.DecodeError as error:
            return str(error)[:70], set(sys.modules) - before

    def main():
        import colorsys, xml.dom.pulldom as dom
        handle = smarm.spawn(receiver, on=1)
        smarm.send(handle.pid, [dom.PullDOM])
        print(handle.join())

    smarm.run(main, workers=2, pickle=False)
    """)
    assert (result.code, result.out) == (
        0,
        "(\"a message cannot name 'PullDOM' of 'xml.dom.pulldom': its module is no\", set())\n",
    )


def test_what_smarm_itself_sends_travels_to_a_worker_that_has_nothing_of_it(run_app: Callable[..., Any]) -> None:
    result = run_app("""
    import datetime, decimal, fractions, uuid, zoneinfo
    import smarm

    def receiver():
        return smarm.receive(timeout=60)

    def main():
        child = smarm.Child("id", int, restart="temporary")
        values = [smarm.ServerRef("a"), smarm.SupervisorRef("b"), smarm.Down(smarm.Ref(1), smarm.self(), "r"), child,
                  smarm.Exit(smarm.self(), 1), smarm.Signal.Timeout(smarm.self()), smarm.Timeout("t"), decimal.Decimal(1),
                  fractions.Fraction(1), uuid.UUID(int=1), zoneinfo.ZoneInfo("UTC"), datetime.date(2000, 1, 1)]
        for value in values:
            handle = smarm.spawn(receiver, on=1)
            smarm.send(handle.pid, value)
            came = handle.join()
            assert repr(came) == repr(value), (came, value)
        print(len(values), smarm.statistics().undecoded)

    smarm.run(main, workers=2, pickle=False)
    """)
    assert (result.code, result.out, result.err) == (0, "12 0\n", "")


@pytest.mark.parametrize("good", ["", "a,b.c", ["a", "b.c"], ("a", "b.c"), " a , b.c ,a"])
def test_trusted_modules_are_names(good: Any) -> None:
    assert smarm.Runtime(trusted_modules=good).options["trusted_modules"] == ("a,b.c" if good else "")


@pytest.mark.parametrize("bad", [1, [1], "a b", "a.", b"a", object(), "os;sys", [None]])
def test_trusted_modules_that_are_no_names_are_refused(bad: Any) -> None:
    with pytest.raises(smarm.ConfigError, match=r"^trusted_modules must be names of modules"):
        smarm.Runtime(trusted_modules=bad)
