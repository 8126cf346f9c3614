"""Supervisors keep OTP's rules: strategies, restart types, restart intensity."""

from __future__ import annotations

import pytest
import supervised
from supervisor_helpers import answer, boss_only, child, expect, expect_down, expect_up, wait_for_end

import smarm
from smarm import Supervisor

# ---- strategies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "stopped", "started"),
    [("one_for_one", "", "b"), ("rest_for_one", "c", "bc"), ("one_for_all", "ca", "abc")],
)
def test_the_strategy_says_what_is_restarted_with_a_child(run, reports, strategy, stopped, started):
    def main():
        supervisor = Supervisor([child("a"), child("b"), child("c")], strategy=strategy).start()
        old = dict(zip("abc", expect_up("a", "b", "c"), strict=True))
        smarm.send(old["b"], "crash")
        expect_down("b", *stopped)
        new = old | {id: expect_up(id) for id in started}
        assert {one.id: one.pid for one in supervisor.which_children()} == new
        assert {id for id in "abc" if old[id] != new[id]} == set(started)
        supervisor.stop()
        expect_down("c", "b", "a")

    run(main)
    assert [id for id, _ in reports()] == ["b"]


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def test_two_children_that_crash_together_are_both_restarted(run, strategy):
    def main():
        supervisor = Supervisor([child("a"), child("b")], strategy=strategy).start()
        for pid in expect_up("a", "b"):
            smarm.send(pid, "crash")
        # How often depends on who comes first; in the end both run, once.
        expect(lambda message: message[:2] == ("up", "a"))
        expect(lambda message: message[:2] == ("up", "b"))
        assert supervisor.count_children().active == 2
        supervisor.stop()
        while True:
            try:
                assert smarm.receive(timeout=0)[0] in ("up", "down")
            except smarm.Timeout:
                return

    run(main)


def test_temporary_children_are_not_restarted_with_the_others(run):
    def main():
        children = [child("a"), child("b"), child("temporary", restart="temporary")]
        supervisor = Supervisor(children, strategy="one_for_all").start()
        smarm.send(expect_up("a", "b", "temporary")[0], "crash")
        expect_down("a", "temporary", "b")
        expect_up("a", "b")
        assert [one.id for one in supervisor.which_children()] == ["a", "b"]
        supervisor.stop()
        expect_down("b", "a")

    run(main)


def test_a_transient_child_that_has_ended_is_started_again_with_the_others(run):
    def main():
        supervisor = Supervisor([child("a"), child("b", restart="transient")], strategy="one_for_all").start()
        first, second = expect_up("a", "b")
        smarm.send(second, "end")
        expect_down("b")
        smarm.send(first, "crash")
        expect_down("a")
        expect_up("a", "b")
        supervisor.stop()
        expect_down("b", "a")

    run(main)


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize(
    "end", ["end", ("exit", "shutdown"), ("exit", ("shutdown", 1)), ("exit", "odd"), "crash", "kill"]
)
def test_the_restart_type_and_the_reason_say_whether_a_child_is_restarted(run, reports, restart, end):
    orderly = end in ("end", ("exit", "shutdown"), ("exit", ("shutdown", 1)))
    restarted = restart == "permanent" or (restart == "transient" and not orderly)

    def main():
        supervisor = Supervisor([child("it", restart=restart), child("witness")]).start()
        pid, _ = expect_up("it", "witness")
        ref = smarm.monitor(pid)
        if end == "kill":
            smarm.kill(pid)
        else:
            smarm.send(pid, end)
        expect_down("it")
        expect(ref)
        if restarted:
            assert expect_up("it") != pid
        states = {one.id: one.state for one in supervisor.which_children()}
        assert states.get("it") == ("running" if restarted else None if restart == "temporary" else "stopped")
        supervisor.stop()
        expect_down("witness")
        if restarted:
            expect_down("it")

    run(main)
    assert len(reports()) == (restarted or not orderly)


# ---- restart intensity -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_more_restarts_than_allowed_stop_the_children_and_end_the_supervisor_with_shutdown(run, reports, limit):
    def main():
        smarm.trap_exit(True)
        supervisor = Supervisor([child("a"), child("b")], max_restarts=limit, max_seconds=1e6).start()
        first, _ = expect_up("a", "b")
        for _ in range(limit):
            smarm.send(first, "crash")
            expect_down("a")
            first = expect_up("a")
        smarm.send(first, "crash")
        expect_down("a", "b")
        assert expect() == smarm.Exit(supervisor.pid, "shutdown")
        with pytest.raises(smarm.ProcessDown):
            supervisor.which_children()

    run(main)
    assert len(reports()) == limit + 1
    assert "stopping this supervisor" in reports()[-1][1]


def test_old_restarts_do_not_count(run):
    def main():
        supervisor = Supervisor([child("a")], max_restarts=1, max_seconds=1e-9).start()
        for _ in range(20):
            smarm.send(expect_up("a"), "crash")
            expect_down("a")
        expect_up("a")
        supervisor.stop()
        expect_down("a")

    run(main)


def test_a_restart_storm_ends_after_the_allowed_restarts(run, reports):
    def main():
        smarm.trap_exit(True)
        supervisor = Supervisor([boss_only("storm", supervised.storm)], max_restarts=10, max_seconds=1e6).start()
        assert expect(smarm.Exit) == smarm.Exit(supervisor.pid, "shutdown")
        for _ in range(11):
            assert expect() == "started"

    run(main)
    assert len(reports()) == 11


def test_a_restart_that_fails_in_init_is_tried_again_and_counts(run, reports):
    def main():
        one = child("a", supervised.asking_child)
        smarm.spawn(
            supervised.start_supervisor, smarm.self(), Supervisor([one], max_restarts=3, max_seconds=1e6), on="local"
        )
        pid = expect_up("a")
        answer(("may start", "a"), "yes")
        supervisor = expect(smarm.SupervisorRef)
        smarm.send(pid, "crash")
        expect_down("a")
        for verdict in ("fail", "fail", "yes"):
            pid = expect_up("a")
            answer(("may start", "a"), verdict)
        assert [one.pid for one in supervisor.which_children()] == [pid]
        starter = smarm.process_info(supervisor.pid).parent
        supervisor.stop()
        expect_down("a")
        smarm.send(starter, "end")
        wait_for_end(starter)

    run(main)
    assert reports() == [("a", "restarting it"), ("a", "trying again"), ("a", "trying again")]


def test_a_restart_that_always_fails_ends_the_supervisor(run, reports):
    def main():
        one = child("a", supervised.asking_child)
        starter = smarm.spawn(
            supervised.start_supervisor, smarm.self(), Supervisor([one], max_restarts=2, max_seconds=1e6), on="local"
        )
        pid = expect_up("a")
        answer(("may start", "a"), "yes")
        supervisor = expect(smarm.SupervisorRef)
        smarm.send(pid, "crash")
        expect_down("a")
        for _ in range(2):
            expect_up("a")
            answer(("may start", "a"), "fail")
        assert wait_for_end(supervisor.pid) in ("shutdown", "noproc")
        assert wait_for_end(starter.pid) in ("shutdown", "noproc")  # linked

    run(main)
    assert len(reports()) == 3


def test_rest_for_one_goes_on_with_the_child_whose_start_failed(run):
    def main():
        children = [child("a"), child("b"), child("c", supervised.asking_child), child("d")]
        supervisor = Supervisor(children, strategy="rest_for_one", max_seconds=1e6)
        starter = smarm.spawn(supervised.start_supervisor, smarm.self(), supervisor, on="local")
        _, second, _ = expect_up("a", "b", "c")
        answer(("may start", "c"), "yes")
        expect_up("d")
        running = expect(smarm.SupervisorRef)
        smarm.send(second, "crash")
        expect_down("b", "d", "c")
        expect_up("b", "c")
        answer(("may start", "c"), "fail")
        expect_up("c")  # b runs already
        answer(("may start", "c"), "yes")
        expect_up("d")
        running.stop()
        expect_down("d", "c", "b", "a")
        smarm.send(starter.pid, "end")
        starter.join()

    run(main)
