"""Which functions get to workers, and how."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest
import work_tasks as tasks

import smarm


def there(function, *arguments, **options):
    """Run it in a task actor of another worker."""

    def main():
        with smarm.Executor(1, placement=1) as executor:
            return executor.submit(function, *arguments).result(timeout=60)

    return smarm.run(main, **{"workers": 2} | options)


def make_adder(more):
    return lambda number: number + more


def make_power(base):
    def power(exponent):
        return 1 if exponent == 0 else base * power(exponent - 1)

    return power


def make_pair():
    """Two functions that share a variable and know each other."""
    count = 0

    def first(number):
        nonlocal count
        count += number
        return second()

    def second():
        return count

    return first


def make_with_defaults():
    def function(number, more=[1], *, much=lambda number: number * 10):  # noqa: B006
        more.append(number)
        return more, much(number), function.mark

    function.mark = "attribute"
    return function


def make_unbound():
    def function():
        return later

    if function is None:
        later = 1
    return function


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (tasks.square, (3,), 9),
        (len, ([1, 2],), 2),
        (str.upper, ("a",), "A"),
        ("text".join, (["a", "b"],), "atextb"),
        (tasks.Adder, (1,), None),
        (tasks.Adder(2).add, (1,), 3),
        (tasks.Adder(2), (1,), 3),
        (functools.partial(tasks.square, 4), (), 16),
        (lambda number: number + 1, (1,), 2),
        (make_adder(5), (1,), 6),
        (functools.partial(make_adder(5), 1), (), 6),
        (make_power(2), (10,), 1024),
        (make_pair(), (3,), 3),
        (make_with_defaults(), (2,), ([1, 2], 20, "attribute")),
        (functools.reduce, (lambda left, right: left + right, [1, 2, 3]), 6),
        (sorted, ([3, 1, 2],), [1, 2, 3]),
    ],
)
def test_what_can_be_called_here_can_be_called_there(function, arguments, expected):
    result = there(function, *arguments)
    assert result == expected if expected is not None else type(result) is tasks.Adder


def test_a_captured_handle_of_the_runtime_is_the_same_there():
    def main():
        tell, told = smarm.channel()
        with smarm.Executor(1, placement=1) as executor:
            executor.submit(lambda: tell.send("from there")).result(timeout=60)
        return told.recv(timeout=60)

    assert smarm.run(main, workers=2) == "from there"


def test_a_function_finds_the_globals_of_its_module_there():
    value, module = there(lambda: (tasks.initialised, __name__))
    assert value == []
    assert module == __name__


def test_a_variable_that_has_no_value_has_none_there():
    with pytest.raises(NameError, match="later"):
        there(make_unbound())


def test_a_captured_variable_is_copied_when_the_call_is_given_away():
    def main():
        with smarm.Executor(1, placement=1) as executor:
            number = 1
            first = executor.submit(lambda: number).result(timeout=60)
            number = 2
            return first, executor.submit(lambda: number).result(timeout=60)

    assert smarm.run(main, workers=2) == (1, 2)


def test_an_argument_can_be_a_lambda():
    def main():
        with smarm.Executor(1, placement=1) as executor:
            return executor.submit(sorted, [1, 2, 3], key=lambda number: -number).result(timeout=60)

    assert smarm.run(main, workers=2) == [3, 2, 1]


def test_a_local_class_travels_with_cloudpickle():
    pytest.importorskip("cloudpickle")

    class Local:
        def value(self):
            return 5

    assert there(lambda: Local().value()) == 5


def test_without_cloudpickle_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)

    class Local:
        pass

    with pytest.raises(smarm.NotSendable, match="install cloudpickle"):
        there(lambda: Local)


def test_what_a_lambda_captures_must_be_sendable():
    generator = (each for each in ())
    with pytest.raises(smarm.NotSendable, match="generator"):
        there(lambda: generator)


@pytest.mark.parametrize("function", [tasks.square, len, abs])
def test_without_pickle_functions_go_by_name(function):
    assert there(function, [1] if function is len else 1, pickle=False) == 1


@pytest.mark.parametrize("function", [lambda number: number, functools.partial(tasks.square), make_adder(1)])
def test_without_pickle_other_functions_are_refused(function):
    with pytest.raises(smarm.NotSendable):
        there(function, 1, pickle=False)


SCRIPT = """
    import smarm
    from dataclasses import dataclass

    @dataclass
    class Point:
        x: int

    class Error(Exception):
        pass

    def double(point):
        return Point(2 * point.x)

    def fail(point):
        raise Error(point)

    def show():
        with smarm.Executor(2) as executor:
            print(executor.submit(double, Point(1)).result())
            print(executor.submit(lambda: double(Point(2))).result())
            try:
                executor.submit(fail, Point(3)).result()
            except Error as error:
                print("Error", error, "raise Error(point)" in str(error.__cause__))
        print(list(smarm.map(lambda x: isinstance(double(Point(x)), Point), range(3))))
"""
SAID = "Point(x=2)\nPoint(x=4)\nError Point(x=3) True\n[True, True, True]\n"


@pytest.mark.parametrize("end", ["show()", "smarm.run(show)", "smarm.run(lambda: smarm.spawn(show, on=1).join())"])
def test_functions_and_classes_of_a_script(succeed, end):
    assert succeed(f'{SCRIPT}\n    if __name__ == "__main__":\n        {end}\n') == SAID


def test_a_script_needs_no_guard(succeed):
    """A worker's load of the script ends where it begins to use the other workers."""
    assert succeed(f"{SCRIPT}\n    show()\n") == SAID


@pytest.mark.parametrize("end", ["show()", "smarm.run(show)"])
def test_functions_and_classes_of_a_command_line(end, tmp_path):
    pytest.importorskip("cloudpickle")
    import textwrap

    text = textwrap.dedent(SCRIPT) + "\n" + end
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.replace("True\n[", "-\n[").replace("False\n[", "-\n[") == SAID.replace("True\n[", "-\n[")


def test_without_pickle_failures_and_broken_pools_are_told():
    def main():
        with smarm.Executor() as executor:
            errors = [
                executor.submit(function).exception(timeout=60) for function in (tasks.raise_exit, tasks.return_lock)
            ]
        with smarm.Executor(initializer=tasks.fail_to_initialise) as executor:
            errors.append(executor.submit(tasks.where).exception(timeout=60))
        errors += smarm.map(tasks.fail_at, range(5, 6), on_error="return")
        return [type(error).__name__ for error in errors]

    assert smarm.run(main, workers=2, pickle=False) == ["SystemExit", "NotSendable", "BrokenExecutor", "KeyError"]
