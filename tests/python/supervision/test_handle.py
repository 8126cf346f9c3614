"""What a SupervisorRef does, dynamic supervisors, and what is refused."""

from __future__ import annotations

import math

import pytest
import supervised
from supervised import Crash
from supervisor_helpers import boss_only, child, expect, expect_down, expect_up

import smarm
from smarm import Child, DynamicSupervisor, Supervisor

# ---- the handle ------------------------------------------------------------------------------------------------------


def test_children_can_be_added_stopped_restarted_and_deleted(run):
    def main():
        supervisor = Supervisor([child("a")]).start()
        expect_up("a")
        pid = supervisor.start_child(child("b"))
        assert expect_up("b") == pid
        with pytest.raises(smarm.SupervisorError, match="already, which is running"):
            supervisor.start_child(child("b"))
        for refused in (supervisor.delete_child, supervisor.restart_child):
            with pytest.raises(smarm.SupervisorError, match="is running: terminate it first"):
                refused("b")
        supervisor.terminate_child("b")
        expect_down("b")
        supervisor.terminate_child("b")  # again: nothing to do
        assert supervisor.count_children() == (2, 1, 0, 2)
        with pytest.raises(smarm.SupervisorError, match="already, which is stopped"):
            supervisor.start_child(child("b"))
        again = supervisor.restart_child("b")
        assert expect_up("b") == again != pid
        supervisor.terminate_child("b")
        expect_down("b")
        supervisor.delete_child("b")
        for missing in (supervisor.terminate_child, supervisor.restart_child, supervisor.delete_child):
            with pytest.raises(smarm.SupervisorError, match="there is no child with the id 'b'"):
                missing("b")
        with pytest.raises(smarm.StartFailed):
            supervisor.start_child(boss_only("broken", supervised.failing_child, ack=True))
        with pytest.raises(TypeError, match=r"takes a smarm\.Child"):
            supervisor.start_child(supervised.obey)
        assert [one.id for one in supervisor.which_children()] == ["a"]
        supervisor.stop()
        expect_down("a")
        with pytest.raises(smarm.ProcessDown):
            supervisor.stop()

    run(main)


def test_a_supervisor_is_a_context_manager(run):
    def main():
        with Supervisor([child("a")], name="s").start() as supervisor:
            expect_up("a")
            assert smarm.SupervisorRef("s").pid == supervisor.pid
        expect_down("a")

    run(main)


@pytest.mark.parametrize(("mode", "ends"), [("never", []), ("any_significant", ["a"]), ("all_significant", ["a", "b"])])
def test_auto_shutdown_follows_the_significant_children(run, mode, ends):
    def main():
        smarm.trap_exit(True)
        children = [child(id, restart="transient", significant=True) for id in "ab"] + [child("c")]
        supervisor = Supervisor(children, auto_shutdown=mode).start()
        pids = dict(zip("abc", expect_up(*"abc"), strict=True))
        for id in ends:
            smarm.send(pids[id], "end")
            expect_down(id)
        if ends:
            expect_down(*[id for id in "cba" if id not in ends])
            assert expect() == smarm.Exit(supervisor.pid, "shutdown")
        else:
            smarm.send(pids["a"], "end")
            expect_down("a")
            supervisor.stop()
            expect_down("c", "b")
            assert expect() == smarm.Exit(supervisor.pid, "normal")

    run(main)


def test_a_supervisor_can_be_the_main_actor(workers, capfd):
    def end_soon(name):
        print("running", name)

    children = [Child(id, end_soon, (id,), restart="transient", significant=True) for id in "ab"]
    assert smarm.run(Supervisor(children, auto_shutdown="all_significant"), workers=workers) is None
    assert sorted(capfd.readouterr().out.split()) == ["a", "b", "running", "running"]


def test_a_main_supervisor_that_gives_up_raises(workers):
    def crash():
        raise Crash("at once")

    with pytest.raises(smarm.SupervisorError, match="gave up: more than 1 restarts within 1e"):
        smarm.run(Supervisor([Child("a", crash)], max_restarts=1, max_seconds=1e6), workers=workers)


# ---- dynamic supervisors ---------------------------------------------------------------------------------------------


def test_dynamic_children_come_and_go(run):
    def main():
        supervisor = DynamicSupervisor(max_children=2).start()
        first = supervisor.start_child(child("a"))
        second = supervisor.start_child(supervised.plain_child, smarm.self(), "b")
        assert expect_up("a", "b") == [first, second]
        with pytest.raises(smarm.SupervisorError, match="max_children=2"):
            supervisor.start_child(child("c"))
        supervisor.terminate_child(first)
        expect_down("a")
        with pytest.raises(smarm.SupervisorError, match="no child runs as"):
            supervisor.terminate_child(first)
        assert [(one.id, one.pid) for one in supervisor.which_children()] == [("plain_child", second)]
        assert supervisor.count_children() == (1, 1, 0, 1)
        supervisor.start_child(child("c"))
        expect_up("c")
        supervisor.stop()
        expect_down("c")

    run(main)


def test_a_dynamic_child_is_restarted_alone(run, reports):
    def main():
        supervisor = DynamicSupervisor().start()
        first, second = (supervisor.start_child(child(id)) for id in "ab")
        expect_up("a", "b")
        smarm.send(first, "crash")
        expect_down("a")
        again = expect_up("a")
        assert {one.pid for one in supervisor.which_children()} == {again, second}
        supervisor.stop()
        assert {expect(), expect()} == {("down", "a"), ("down", "b")}

    run(main)
    assert reports() == [("a", "restarting it")]


def test_dynamic_children_that_end_are_forgotten(run):
    def main():
        supervisor = DynamicSupervisor().start()
        for restart in ("temporary", "transient"):
            pid = supervisor.start_child(child("a", restart=restart))
            expect_up("a")
            ref = smarm.monitor(pid)
            smarm.send(pid, "end")
            expect_down("a")
            expect(ref)
        assert supervisor.count_children() == (0, 0, 0, 0)
        supervisor.stop()

    run(main)


def test_many_dynamic_children_are_stopped_at_once(run, reports):
    def main():
        supervisor = DynamicSupervisor().start()
        for _ in range(100):
            supervisor.start_child(Child("deaf", supervised.deaf, shutdown=0.01, ack=True))
        for _ in range(100):
            supervisor.start_child(Child("obedient", smarm.receive))
        supervisor.start_child(Child("brutal", supervised.deaf, shutdown="brutal_kill", ack=True))
        supervisor.stop()

    run(main)
    assert reports() == [("deaf", "it was being stopped")] * 100


def test_a_dynamic_child_that_fails_to_start_leaves_nothing(run):
    def main():
        supervisor = DynamicSupervisor().start()
        with pytest.raises(smarm.StartFailed):
            supervisor.start_child(boss_only("broken", supervised.failing_child, ack=True))
        assert supervisor.count_children().specs == 0
        supervisor.stop()

    run(main)


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Child("x", None), TypeError, "start must be a function"),
        (lambda: Child("x", supervised.Mute()), TypeError, "must be a function|must be the class"),
        (lambda: Child("x", print, [1]), TypeError, "args must be a tuple"),
        (lambda: Child("x", print, restart="always"), ValueError, "restart is"),
        (lambda: Child("x", print, kind="boss"), ValueError, "kind is"),
        (lambda: Child("x", print, shutdown=-1), ValueError, "must not be negative"),
        (lambda: Child("x", print, shutdown=math.nan), ValueError, "must not be negative"),
        (lambda: Child("x", print, shutdown="soon"), ValueError, "shutdown is"),
        (lambda: Child("x", print, shutdown=[]), TypeError, "shutdown is seconds"),
        (lambda: Child("x", print, significant=True), ValueError, "cannot be significant"),
        (lambda: Supervisor([print]), TypeError, r"smarm\.Child objects"),
        (lambda: Supervisor([Child("x", print), Child("x", print)]), ValueError, "two children have the id 'x'"),
        (lambda: Supervisor([], strategy="some"), ValueError, "strategy is"),
        (lambda: Supervisor([], auto_shutdown="some"), ValueError, "auto_shutdown is"),
        (lambda: Supervisor([], max_restarts=-1), ValueError, "max_restarts"),
        (lambda: Supervisor([], max_restarts=1.5), ValueError, "max_restarts"),
        (lambda: Supervisor([], max_seconds=0), ValueError, "max_seconds"),
        (lambda: Supervisor([], max_seconds=None), TypeError, "max_seconds is a number of seconds, not NoneType"),
        (lambda: Supervisor([], max_seconds=math.nan), ValueError, "max_seconds"),
        (lambda: Supervisor([], name=3), TypeError, "name must be a str"),
        (lambda: DynamicSupervisor(max_children=-1), ValueError, "max_children"),
        (
            lambda: DynamicSupervisor(max_children=None),
            TypeError,
            "max_children is a number, or math.inf, not NoneType",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
