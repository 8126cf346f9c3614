"""join_all: the values in order, all failures at once, one timeout for all."""

import pytest

import smarm

PATIENCE = 60  # seconds; a test that needs more hangs


def run(main, *args):
    return smarm.run(main, *args, workers=2)


def square(number):
    return number * number


def fail(message):
    raise ValueError(message)


def park():
    smarm.receive()


def test_values_come_in_the_order_of_the_handles(on):
    def main(on):
        handles = [smarm.spawn(square, number, on=on) for number in range(100)]
        assert smarm.join_all(iter(handles), timeout=PATIENCE) == [number * number for number in range(100)]
        assert smarm.join_all([handles[3], handles[3]]) == [9, 9]
        assert smarm.join_all([]) == []

    run(main, on)


def test_all_failures_are_raised_when_all_have_ended(on):
    def main(on):
        killed = smarm.spawn(park, on=on)
        smarm.kill(killed.pid)
        handles = [
            smarm.spawn(fail, "one", on=on),
            smarm.spawn(square, 2, on=on),
            smarm.spawn(fail, "two", on=on),
            killed,
        ]
        with pytest.raises(ExceptionGroup, match="3 of 4 joined actors") as caught:
            smarm.join_all(handles, PATIENCE)
        one, two, stopped = caught.value.exceptions
        assert [str(error.__cause__) for error in (one, two)] == ["one", "two"]
        assert isinstance(stopped, smarm.ActorKilled)
        assert handles[1].join() == 4

    run(main, on)


def test_after_a_timeout_the_actors_can_be_joined_again(on):
    def main(on):
        handles = [smarm.spawn(square, 3, on=on), smarm.spawn(park, on=on)]
        for timeout in (0, 0.001):
            with pytest.raises(smarm.Timeout, match="not all"):
                smarm.join_all(handles, timeout)
        smarm.send(handles[1].pid, "go on")
        assert smarm.join_all(handles, PATIENCE) == [9, None]

    run(main, on)


def test_bad_input(alone):
    def main():
        handle = smarm.spawn(square, 1)
        for bad in (None, 5, [handle, None], [handle.pid]):
            with pytest.raises(TypeError):
                smarm.join_all(bad)
        for timeout in (-1, float("nan")):
            with pytest.raises(ValueError, match="0 or more"):
                smarm.join_all([handle], timeout)
        assert smarm.join_all([handle], 10**400) == [1]

    alone(main)
    with pytest.raises(smarm.NoRuntime):
        smarm.join_all([])


def test_one_handle_is_no_list_of_handles(alone):
    def main():
        handle = smarm.spawn(int)
        with pytest.raises(TypeError, match=r"several JoinHandles, as a list; one has join\(\)"):
            smarm.join_all(handle)
        handle.join()

    alone(main)
