"""What stands for an actor wherever a Pid does, and waiting for a name."""

from __future__ import annotations

import pytest

import smarm
from smarm import Child, Supervisor


class Echo(smarm.Server):
    def handle_call(self, request, caller):
        if request == "crash":
            raise ValueError("as asked")
        return request, caller.pid

    def handle_info(self, message):
        smarm.send(message, "seen")


def test_whatever_has_a_pid_names_an_actor(alone):
    def main():
        def wait():
            return smarm.receive(str)

        handle = smarm.spawn(wait)
        server = Echo.start(name="echo")
        assert smarm.message_count(handle) == 0
        assert smarm.process_info(handle).pid == handle.pid
        assert smarm.process_info("echo").pid == smarm.process_info(smarm.ServerRef("echo")).pid == server.pid
        with pytest.raises(smarm.NotRegistered, match="nobody"):
            smarm.process_info("nobody")
        ref = smarm.monitor(handle)
        smarm.link(server)
        smarm.unlink(server)
        smarm.send(handle, "done")
        assert handle.join() == "done"
        assert smarm.receive(ref).pid == handle.pid
        smarm.send(smarm.ServerRef("echo"), smarm.self())
        assert smarm.receive() == "seen"
        smarm.send_after(0, server, smarm.self())
        assert smarm.receive() == "seen"
        assert smarm.call(server, 1) == (1, smarm.self())
        ref = smarm.monitor(server)
        assert smarm.kill(server)
        assert smarm.receive(ref).reason == "killed"
        assert not smarm.exit(smarm.ServerRef(server.pid), "late")

    alone(main)


def test_what_names_nobody_is_named(alone):
    def main():
        for wrong in (5, None, object(), ["pid"]):
            with pytest.raises(TypeError, match=r"its Pid, its registered name or what has a \.pid"):
                smarm.send(wrong, "x")
        with pytest.raises(smarm.NotRegistered, match="nobody is there for ServerRef"):
            smarm.send(smarm.ServerRef("nobody"), "x")
        with pytest.raises(TypeError, match=r"its Pid, its registered name or what has a \.pid"):
            smarm.process_info(5)

    alone(main)


def test_a_name_can_be_waited_for(alone):
    def main():
        def come():
            smarm.receive()
            smarm.register("late")
            smarm.receive()

        handle = smarm.spawn(come)
        assert smarm.whereis("late") is None
        with pytest.raises(smarm.Timeout, match=r"nobody had the name 'late' after 0.01 s"):
            smarm.whereis("late", timeout=0.01)
        with pytest.raises(smarm.Timeout, match=r"after 0.02 s"):
            smarm.ServerRef("late").call("anything", wait=0.02)  # not 0.0199971 s
        smarm.send_after(0.005, handle, "register")
        assert smarm.whereis("late", timeout=None) == handle.pid
        assert smarm.whereis("late", timeout=0) == handle.pid
        with pytest.raises(ValueError, match="0 or more seconds"):
            smarm.whereis("nobody", timeout=-1)
        smarm.kill(handle)

    alone(main)


def test_not_there_is_the_base_of_both():
    assert issubclass(smarm.NotRegistered, smarm.NotThere)
    assert issubclass(smarm.ProcessDown, smarm.NotThere)


def test_a_call_can_wait_over_a_restart(alone, capfd):
    def main():
        with Supervisor([Child("echo", Echo, name="echo")], max_restarts=100).start():
            server = smarm.ServerRef("echo")
            for _ in range(20):
                with pytest.raises(smarm.ProcessDown):
                    server.call("crash", wait=5)
                assert server.call("again", wait=5)[0] == "again"
            with pytest.raises(smarm.Timeout):
                smarm.ServerRef("nobody").call(1, wait=0.01)
            with pytest.raises(smarm.NotThere):
                smarm.ServerRef("nobody").call(1)

    alone(main)
    capfd.readouterr()


def test_a_call_that_a_server_sends_to_itself_is_data(alone):
    class Later(smarm.Server):
        def handle_call(self, request, caller):
            smarm.send_after(0.001, smarm.self(), caller)
            return self.NO_REPLY

        def handle_info(self, caller):
            assert isinstance(caller, smarm.Call)
            smarm.reply(caller, "as intended")

    assert alone(lambda: Later.start().call("x")) == "as intended"


def test_start_takes_what_init_takes_by_name(alone):
    class Sum(smarm.Server):
        def init(self, first, second=10):
            self.sum = first + second

        def handle_call(self, request, caller):
            return self.sum

    def main():
        return Sum.start(1).call(0), Sum.start(1, second=2).call(0), Sum.start(first=5, name="sum").call(0)

    assert alone(main) == (11, 3, 15)


def test_start_outside_of_actors_says_its_name():
    with pytest.raises(smarm.NoRuntime, match=r"Echo\.start\(\) needs a running actor"):
        Echo.start()
