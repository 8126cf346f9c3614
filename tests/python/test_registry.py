"""Names are usable wherever a pid is, and go when their actor ends."""

import pytest

import smarm


def answers():
    call = smarm.receive(smarm.Call)
    smarm.reply(call, call.request + 1)


def test_a_name_works_where_a_pid_does():
    def main():
        handle = smarm.spawn(answers, on=1)
        smarm.register("adder", handle.pid)
        assert smarm.whereis("adder") == handle.pid
        assert smarm.process_info(handle.pid).registered_names == ("adder",)
        ref = smarm.monitor("adder")
        assert smarm.call("adder", 1) == 2
        assert smarm.receive(ref).reason == "normal"
        assert smarm.whereis("adder") is None
        with pytest.raises(smarm.NotRegistered, match="'adder'"):
            smarm.send("adder", 1)

    smarm.run(main, workers=2)


def test_a_taken_name_is_refused_and_can_be_given_back():
    def main():
        smarm.register("me")
        with pytest.raises(ValueError, match="has the name 'me' already"):
            smarm.register("me")
        smarm.unregister("me")
        with pytest.raises(smarm.NotRegistered):
            smarm.unregister("me")
        smarm.register("me")
        smarm.send("me", "hello")
        assert smarm.receive() == "hello"

    smarm.run(main, workers=1)


def test_an_ended_actor_cannot_be_registered():
    def main():
        handle = smarm.spawn(int, on="local", monitor=True)
        smarm.receive(handle.monitor)
        with pytest.raises(smarm.NotRegistered, match="has ended"):
            smarm.register("late", handle.pid)

    smarm.run(main, workers=1)


@pytest.mark.parametrize("name", ["", 3, None, b"x"])
def test_a_name_is_a_str_with_characters(name):
    def main(name):
        with pytest.raises((TypeError, ValueError)):
            smarm.register(name)

    smarm.run(main, name, workers=1)


def test_a_name_with_half_a_character_is_refused(alone):
    half = "\ud800"

    def main():
        for call in (
            lambda: smarm.register(half),
            lambda: smarm.unregister(half),
            lambda: smarm.whereis(half),
            lambda: smarm.send(half, 1),
            lambda: smarm.spawn(lambda: None, name=half),
        ):
            with pytest.raises(ValueError, match=r"name must be text that UTF-8 can hold, not '\\ud800'"):
                call()

    alone(main)
