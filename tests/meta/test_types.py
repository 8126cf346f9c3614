"""What a type checker says of programs: right ones pass mypy --strict, each wrong line is an error of the kind it should be."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

RIGHT = """
    from typing import Any, assert_type

    import smarm
    from smarm import net
    from smarm.testing import simulate


    class Stock(smarm.Server):
        def init(self, fruit: str, count: int = 3) -> None:
            self.left = {fruit: count}

        def handle_call(self, request: object, caller: smarm.Call) -> object:
            assert_type(caller.pid, smarm.Pid)
            return self.left


    class Plain(smarm.Server):
        pass


    def add(one: int, other: int) -> int:
        return one + other


    def consume(values: smarm.Receiver[int], results: smarm.Sender[str]) -> None:
        for value in values:
            results.send(str(value))


    def handler(connection: net.Connection) -> None:
        for line in connection.lines(limit=100, timeout=5):
            assert_type(line, bytes)
        assert_type(connection.readline(), bytes)
        assert_type(connection.read_exactly(4, timeout=1), bytes)


    def main(name: str) -> int:
        handle = smarm.spawn(add, 1, 2, on="spread", name="adder")
        assert_type(handle, smarm.JoinHandle[int])
        assert_type(handle.join(timeout=5), int)
        assert_type(smarm.receive(str), str)
        assert_type(smarm.receive(match=str, timeout=1), str)
        assert_type(smarm.receive(smarm.Call, timeout=1), smarm.Call)
        assert_type(smarm.receive(smarm.monitor(handle)), smarm.Down)
        assert_type(smarm.receive((int, str)), Any)
        smarm.receive(int | str)
        assert_type(smarm.receive(lambda message: message == 1), Any)
        assert_type(smarm.receive(timeout=1), Any)
        stock = Stock.start("apple", count=5)
        assert_type(stock, smarm.ServerRef)
        Stock.start("apple", name="stock", link=True)
        Plain.start()
        stock.cast("pear")
        for who in (handle, handle.pid, stock, "stock"):
            smarm.link(who)
            smarm.unlink(who)
            smarm.monitor(who)
            smarm.send(who, "hello")
            smarm.kill(who)
            smarm.process_info(who)
        tx, rx = smarm.channel(10)
        results, strings = smarm.channel()
        pool = smarm.spawn_pool(consume, rx, results)
        assert_type(smarm.join_all(pool), list[None])
        smarm.Supervisor([smarm.Child("stock", Stock, ("apple",), name="stock")], strategy="rest_for_one")
        net.serve(handler, ("127.0.0.1", 0), name="session", workers=2)
        return 1


    assert_type(smarm.run(main, "program", workers=2, time_slice=0.01, trusted_modules=["app"], pickle=False), int)
    assert_type(simulate(main, "program", seed=1), int)
    assert_type(smarm.Runtime(workers=2).run(main, "program"), int)
"""

BEGINNING = """
    import smarm
    from smarm import net


    class Stock(smarm.Server):
        def init(self, fruit: str) -> None:
            self.fruit = fruit


    def add(one: int, other: int) -> int:
        return one + other


    def nothing() -> None:
        pass


"""

WRONG = [
    ("smarm.run(nothing, worker=2)", "call-arg", "worker"),
    ('smarm.run(nothing, workers="2")', "arg-type", "workers"),
    ("smarm.run(add, 1)", "arg-type|call-arg|call-overload", ""),
    ("smarm.Runtime(worker=2)", "call-arg", "worker"),
    ("smarm.spawn(add, 1)", "arg-type|call-arg|call-overload", ""),
    ('smarm.spawn(nothing, on="remote")', "arg-type|call-overload", "remote"),
    ("text: str = smarm.spawn(add, 1, 2).join()", "assignment", "int"),
    ("text: str = smarm.receive(int)", "assignment|arg-type", "int"),
    ("down: int = smarm.receive(smarm.monitor(smarm.self()))", "assignment|arg-type", "Down"),
    ("smarm.receive(5)", "call-overload", "receive"),
    ("smarm.send(5, 1)", "arg-type", "send"),
    ("smarm.link(5)", "arg-type", "link"),
    ("Stock.start()", "call-overload|call-arg|misc", ""),
    ("Stock.start(1)", "call-overload|arg-type", ""),
    ("smarm.Mutex().acquire()", "call-arg", "timeout"),
    ('smarm.Supervisor([], strategy="one-for-one")', "arg-type", "strategy"),
    ('smarm.Child("a", nothing, restart="always")', "arg-type", "restart"),
    ('net.connect("localhost", 80)', "call-arg|misc", ""),
    ("net.serve(nothing, ('localhost', 80))", "arg-type", "serve"),
]


@pytest.fixture
def check(tmp_path):
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")

    def check(program):
        file = tmp_path / "program.py"
        file.write_text(program)
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(file)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=600,
            env=os.environ | {"MYPYPATH": str(ROOT / "pylib")},
        )
        assert not done.stderr, done.stderr
        return [line for line in done.stdout.splitlines() if ": error: " in line]

    return check


def test_right_programs_pass(check):
    assert check(textwrap.dedent(RIGHT)) == []


def test_each_mistake_is_an_error_on_its_line(check):
    beginning = textwrap.dedent(BEGINNING)
    first = beginning.count("\n") + 1
    # Each in a function of its own: what is bound in one does not matter in the next.
    body = "".join(f"def wrong_{i}() -> None: {line}\n" for i, (line, _, _) in enumerate(WRONG))
    errors: dict[int, list[str]] = {}
    for error in check(beginning + body):
        errors.setdefault(int(error.split(":")[1]), []).append(error)
    assert set(errors) <= set(range(first, first + len(WRONG)))
    for number, (line, codes, text) in enumerate(WRONG, first):
        found = "\n".join(errors.get(number, []))
        assert any(f"[{code}]" in found for code in codes.split("|")), (line, found)
        assert text in found, (line, found)
