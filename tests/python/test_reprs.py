"""What objects say of themselves, and where they say an actor comes from."""

from __future__ import annotations

import pytest

import smarm


def test_objects_show_their_state(alone):
    def main():
        me = smarm.self()
        mutex, event, semaphore = smarm.Mutex(), smarm.Event(), smarm.Semaphore(2)
        barrier, once, group = smarm.Barrier(3), smarm.Once(), smarm.TaskGroup()
        assert repr(mutex) == "<smarm.Mutex, free>"
        with mutex.hold(1):
            assert repr(mutex) == f"<smarm.Mutex, held by {me}>"
            assert repr(smarm.Condition(mutex)) == f"<smarm.Condition of a Mutex held by {me}>"
        assert repr(smarm.Condition(mutex)) == "<smarm.Condition of a free Mutex>"
        assert repr(event) == "<smarm.Event, not set>"
        event.set()
        assert repr(event) == "<smarm.Event, set>"
        with semaphore.hold(1):
            assert repr(semaphore) == "<smarm.Semaphore, 1 available>"
        assert repr(barrier) == "<smarm.Barrier, 0 of 3 wait>"
        assert repr(once) == "<smarm.Once, not done>"
        once.run(lambda: None, 1)
        assert repr(once) == "<smarm.Once, done>"
        assert repr(group) == "<smarm.TaskGroup, outside of its block>"
        with group:
            child = group.spawn(lambda: smarm.receive())
            assert repr(group) == "<smarm.TaskGroup, 1 running>"
            smarm.send(child, "end")
        limit = smarm.timeout(2)
        assert repr(limit) == "<smarm.timeout of 2 s, not running>"
        with limit:
            assert repr(limit) == "<smarm.timeout of 2 s, running>"
        bounded, _ = smarm.channel(3)
        bounded.send(1)
        assert repr(bounded) == "<smarm.Sender of a channel, 1 of 3 waiting>"
        free, receiver = smarm.channel()
        free.close()
        assert repr(receiver) == "<smarm.Receiver of a channel, 0 waiting, closed>"

    alone(main)


def test_supervisors_show_what_they_supervise():
    def work():
        pass

    children = [smarm.Child("one", work), smarm.Child(2, work)]
    assert repr(smarm.Supervisor(children)) == "<smarm.Supervisor, one_for_one, children: 'one', 2>"
    named = smarm.Supervisor(strategy="rest_for_one", name="top")
    assert repr(named) == "<smarm.Supervisor 'top', rest_for_one, children: none>"
    assert repr(smarm.DynamicSupervisor()) == "<smarm.DynamicSupervisor>"
    assert repr(smarm.DynamicSupervisor(max_children=5)) == "<smarm.DynamicSupervisor, at most 5 children>"


class Idle(smarm.Server):
    pass


def test_a_server_was_spawned_where_the_program_starts_it(alone):
    def main():
        return smarm.process_info(Idle.start()).spawned_at  # this line

    line = main.__code__.co_firstlineno + 1
    assert alone(main) == f"{__file__}:{line}"


def wait_for_ever():
    smarm.receive()


@pytest.mark.parametrize("where", ["local", 1])
def test_a_supervised_child_was_spawned_where_the_program_starts_the_tree(where):
    def main():
        leaf = smarm.Child("leaf", wait_for_ever, on=where)
        tree = smarm.Supervisor([smarm.Child("inner", smarm.Supervisor([leaf]))])
        with tree.start():  # this line
            return {smarm.process_info(pid).spawned_at for pid in smarm.processes() if pid != smarm.self()}

    line = main.__code__.co_firstlineno + 3
    assert smarm.run(main, workers=2) == {f"{__file__}:{line}"}


class Broken(smarm.Server):
    def handle_cast(self, message):
        raise ValueError(message)


def test_the_traceback_of_a_failure_has_no_frames_of_smarm(alone, capfd):
    def main():
        server = Broken.start()
        ref = smarm.monitor(server)
        server.cast("away")
        return smarm.receive(ref).reason.remote_traceback

    text = alone(main)
    assert "handle_cast" in text
    assert "/smarm/_server.py" not in text
    capfd.readouterr()


def test_a_failure_without_a_frame_of_the_program_shows_where_it_was_noticed(alone, capfd):
    def main():
        server = Idle.start()
        ref = smarm.monitor(server)
        server.cast("away")
        return smarm.receive(ref).reason.remote_traceback

    text = alone(main)
    assert "Idle has no handle_cast" in text
    assert text.count('File "') == 1
    capfd.readouterr()


def test_internal_frames_are_shown_on_request(run_app):
    done = run_app(
        """
        import smarm
        class Broken(smarm.Server):
            def handle_cast(self, message):
                raise ValueError(message)
        def main():
            server = Broken.start()
            ref = smarm.monitor(server)
            server.cast("away")
            print("_server.py" in smarm.receive(ref).reason.remote_traceback)
        smarm.run(main)
        """,
        env={"SMARM_INTERNAL_FRAMES": "1"},
    )
    assert done.out == "True\n"
    assert "no option" not in done.err


@pytest.mark.parametrize("name", ["Timeout", "NotRegistered", "ProcessDown", "ActorFailed", "SmarmError", "Cancelled"])
def test_errors_are_named_as_programs_import_them(name):
    error = getattr(smarm, name)
    assert (error.__module__, error.__qualname__) == ("smarm", name)


def test_every_public_name_is_there_and_completion_shows_no_other():
    assert all(hasattr(smarm, name) for name in smarm.__all__)
    assert dir(smarm) == smarm.__all__
    assert not [name for name in smarm.__all__ if name.startswith("_") and name != "__version__"]
