"""What is said about mistakes that are easily made."""

from __future__ import annotations

import pytest

import smarm
from smarm import testing


async def coroutine():
    pass


async def generator():
    yield 1


@pytest.mark.parametrize("function", [coroutine, generator])
def test_actors_are_plain_functions(alone, function):
    with pytest.raises(TypeError, match=f"plain function.*{function.__name__}.*`async def`.*smarm.aio.run"):
        smarm.run(function)

    def main():
        with pytest.raises(TypeError, match=f"plain function.*{function.__name__}.*`async def`.*smarm.aio.run"):
            smarm.spawn(function)
        return len(smarm.processes())

    assert alone(main) == 1


def test_the_order_of_a_timers_arguments_is_named(alone):
    def main():
        handle = smarm.spawn(smarm.receive)
        for start in (smarm.interval, smarm.send_after):
            for first in (smarm.self(), "name", handle):
                with pytest.raises(
                    TypeError, match=rf"{start.__name__}\(seconds, pid, message\) takes the seconds first"
                ):
                    start(first, 1, "m")

    alone(main)


def test_one_argument_is_not_arguments(alone):
    def main():
        for call in (smarm.send, smarm.exit, smarm.send_after):
            with pytest.raises(TypeError, match="1 argument was given"):
                call(smarm.self())
            with pytest.raises(TypeError, match="0 arguments were given"):
                call()

    alone(main)


@pytest.mark.parametrize(("make", "parameter"), [(smarm.Semaphore, "permits"), (smarm.Barrier, "parties")])
def test_a_missing_argument_is_said_to_be_that_types(make, parameter):
    with pytest.raises(TypeError, match=rf"^{make.__name__}\(\) missing required argument '{parameter}'"):
        make()
    with pytest.raises(TypeError, match=rf"^{make.__name__}\(\) takes at most 1 argument"):
        make(1, 2)


def test_with_a_lock_names_hold(alone):
    def main():
        for lock in (smarm.Mutex(), smarm.Semaphore(1)):
            with pytest.raises(TypeError, match=r"hold\(timeout="), lock:
                pass

    alone(main)


def test_what_is_no_list_of_children_or_capacity_is_named(alone):
    with pytest.raises(TypeError, match=r"list of smarm.Child objects, not <class 'int'>"):
        smarm.Supervisor(int)

    def main():
        with pytest.raises(TypeError, match="how many values may wait, or None, not 'a'"):
            smarm.channel("a")

    alone(main)


def test_a_simulation_in_an_actor_is_told_where_it_runs(alone):
    def main():
        for simulate in (testing.simulate, testing.explore):
            with pytest.raises(smarm.AlreadyRunning, match=r"a runtime of its own.*under smarm-host.*with python"):
                simulate(int)

    alone(main)


def test_a_module_that_runs_when_it_is_imported_is_named(succeed, write):
    write("import smarm\n\nsmarm.run(print)\n", "careless.py")
    out = succeed("""
        import smarm
        def load():
            try:
                import careless
            except smarm.AlreadyRunning as error:
                return str(error)
        def main():
            print({smarm.spawn(load, on=index).join() for index in (0, 1)})
            try:
                smarm.run(main)
            except smarm.AlreadyRunning as error:
                print(error)
        if __name__ == "__main__":
            smarm.run(main, workers=2)
    """)
    first, second = out.splitlines()
    assert "the module 'careless' calls smarm.run() (line 3) when it is imported, by an actor" in first.replace(
        "\\'", "'"
    )
    assert 'put the call under `if __name__ == "__main__":`' in first
    assert second == "a smarm runtime is already running in this process; inside an actor use spawn"
