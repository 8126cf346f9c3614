"""Supervisors under supervisors, on any worker; what is reported, and who can be named."""

from __future__ import annotations

import pytest
import supervised
from supervised import Crash
from supervisor_helpers import PATIENCE, boss_only, child, expect, expect_down, expect_up

import smarm
from smarm import Child, Supervisor

# ---- trees -----------------------------------------------------------------------------------------------------------


def test_a_nested_supervisor_stops_in_its_place(run):
    def main():
        inner = Supervisor([child("b"), child("c")])
        supervisor = Supervisor([child("a"), Child("inner", inner), child("d")]).start()
        expect_up("a", "b", "c", "d")
        assert supervisor.count_children() == (3, 3, 1, 2)
        supervisor.stop()
        expect_down("d", "c", "b", "a")

    run(main)


def test_a_nested_supervisor_that_gives_up_is_restarted_with_its_children(run, reports):
    def main():
        inner = Supervisor([child("b"), child("c")], max_restarts=0)
        supervisor = Supervisor([child("a"), Child("inner", inner)]).start()
        _, second, _ = expect_up("a", "b", "c")
        smarm.send(second, "crash")
        expect_down("b", "c")
        expect_up("b", "c")
        supervisor.stop()
        expect_down("c", "b", "a")

    run(main)
    assert [id for id, _ in reports()] == ["b", "inner"]


def test_giving_up_goes_up_the_tree(run):
    def main():
        smarm.trap_exit(True)
        inner = Supervisor([child("b")], max_restarts=0)
        supervisor = Supervisor([child("a"), Child("inner", inner)], max_restarts=0).start()
        _, second = expect_up("a", "b")
        smarm.send(second, "crash")
        expect_down("b", "a")
        assert expect() == smarm.Exit(supervisor.pid, "shutdown")

    run(main)


def test_a_failed_start_deep_in_the_tree_stops_everything_and_names_the_cause(run):
    def main():
        inner = Supervisor([child("b"), boss_only("broken", supervised.failing_child, ack=True)])
        with pytest.raises(
            smarm.StartFailed, match="child 'inner' failed to start: StartFailed: child 'broken' failed"
        ) as caught:
            Supervisor([child("a"), Child("inner", inner)]).start()
        assert caught.value.id == "inner"
        expect_up("a", "b")
        expect_down("b", "a")

    run(main)


def test_reports_name_the_ancestors_nearest_first(run, caplog):
    def main():
        inner = Supervisor([child("a")], name="inner")
        supervisor = Supervisor([Child("inner", inner)], name="outer").start()
        smarm.send(expect_up("a"), "crash")
        expect_down("a")
        expect_up("a")
        supervisor.stop()
        expect_down("a")

    run(main)
    (record,) = caplog.records
    assert record.smarm["ancestors"] == ("inner", "outer")
    assert isinstance(record.smarm["reason"].__cause__, Crash)
    assert "Crash: told to" in record.getMessage()
    assert "Traceback" in record.getMessage()


class Fussy(smarm.Server):
    def handle_cast(self, message):
        raise Crash("not this")


def test_a_report_of_a_server_has_its_last_message(run, caplog):
    def main():
        supervisor = Supervisor([Child("fussy", Fussy, name="fussy")]).start()
        smarm.ServerRef("fussy").cast({"an": ["order"]})
        while not caplog.records:
            smarm.sleep(0.001)
        supervisor.stop()

    run(main)
    (record,) = caplog.records
    assert "'an': ['order']" in record.smarm["last_message"]
    assert "\n  last message: " in record.getMessage()
    assert record.smarm["ancestors"]
    assert "Crash: not this" in record.getMessage()


def test_a_report_of_a_function_has_no_last_message(run, caplog):
    def main():
        supervisor = Supervisor([child("a")]).start()
        smarm.send(expect_up("a"), "crash")
        expect_down("a")
        expect_up("a")
        supervisor.stop()
        expect_down("a")

    run(main)
    (record,) = caplog.records
    assert record.smarm["last_message"] is None


# ---- names and references --------------------------------------------------------------------------------------------


def test_a_name_is_registered_again_after_a_restart(run):
    def main():
        supervisor = Supervisor([child("a", supervised.plain_child, ack=False, name="the name")]).start()
        first = expect_up("a")
        assert smarm.whereis("the name") == first
        smarm.send("the name", "crash")
        second = expect_up("a")
        assert supervisor.which_children()[0].pid == second
        assert smarm.whereis("the name") == second != first
        supervisor.stop()
        assert smarm.whereis("the name") is None

    run(main)


def test_a_name_that_is_taken_makes_start_fail(run):
    def main():
        smarm.register("taken")
        with pytest.raises(smarm.StartFailed, match="taken by another actor"):
            Supervisor([child("a", name="taken")]).start()
        with pytest.raises(smarm.ActorFailed, match="taken by another actor"):
            Supervisor([], name="taken").start()

    run(main)


def test_an_old_pid_names_nobody_after_a_restart_and_a_name_the_new_actor(run):
    """kameo#392: references to a restarted actor go stale."""

    def main():
        supervisor = Supervisor([Child("counter", supervised.Counter, (smarm.self(),), name="counter")]).start()
        _, old = expect()
        by_name, by_pid = smarm.ServerRef("counter"), smarm.ServerRef(old)
        by_name.cast(5)
        assert by_pid.call("count") == 5
        with pytest.raises(smarm.ProcessDown):
            by_name.call("crash")
        expect(lambda message: message[0] == "terminated")
        expect(lambda message: message[0] == "init")
        assert supervisor.count_children().active == 1
        assert by_name.call("count") == 0
        with pytest.raises(smarm.ProcessDown) as caught:
            by_pid.call("count")
        assert caught.value.reason == "noproc"
        by_pid.cast(1)  # a dead letter
        assert by_name.call("count") == 0
        supervisor.stop()
        expect(lambda message: message[0] == "terminated")

    run(main)


def test_callers_whose_requests_are_lost_in_a_restart_are_told(run):
    """kameo#335: mail is lost on restart.  It is here, too, as in OTP, but nobody waits for an answer in vain."""

    def main():
        supervisor = Supervisor([Child("counter", supervised.Counter, (smarm.self(),), name="counter")]).start()
        _, pid = expect()

        def ask(request):
            try:
                smarm.call(pid, request, timeout=None)
            except smarm.ProcessDown as error:
                return type(error.reason)

        callers = [smarm.spawn(ask, "wait", on="local")]
        smarm.yield_now()
        callers += [smarm.spawn(ask, request, on="local") for request in ("crash", "count", "count")]
        for _ in range(3):
            smarm.yield_now()
        smarm.send(pid, "go on")
        outcomes = [caller.join(timeout=PATIENCE) for caller in callers]
        assert outcomes == [None, smarm.ActorFailed, smarm.ActorFailed, smarm.ActorFailed]
        supervisor.stop()
        for word in ("terminated", "init", "terminated"):
            expect(lambda message, word=word: message[0] == word)

    run(main)


# ---- across workers --------------------------------------------------------------------------------------------------


def test_children_run_on_the_worker_that_they_name():
    def main():
        children = [boss_only("here", supervised.which_worker, on=0), boss_only("there", supervised.which_worker, on=1)]
        supervisor = Supervisor(children, strategy="one_for_all").start()
        assert {expect(), expect()} == {("worker", 0), ("worker", 1)}
        smarm.kill(supervisor.which_children()[1].pid)
        assert {expect(), expect()} == {("worker", 0), ("worker", 1)}
        supervisor.stop()

    smarm.run(main, workers=2)


def test_a_supervisor_and_its_tree_run_on_another_worker():
    def main():
        inner = Supervisor([Child("counter", supervised.Counter, (smarm.self(),), name="counter", on="local")])
        supervisor = Supervisor([child("a"), Child("inner", inner)], strategy="rest_for_one").start(on=1)
        pid = expect_up("a")
        expect(lambda message: message[0] == "init")
        assert smarm.process_info(supervisor.pid).worker == 1
        assert smarm.ServerRef("counter").call("worker") == 1
        smarm.kill(pid)
        expect_down("a")
        assert expect() == ("terminated", "shutdown")
        expect_up("a")
        expect(lambda message: message[0] == "init")
        supervisor.stop()
        assert expect() == ("terminated", "shutdown")
        expect_down("a")

    smarm.run(main, workers=2)


def test_a_supervisor_whose_children_cannot_travel_stays_where_it_is():
    def main():
        with pytest.raises(smarm.NotSendable):
            Supervisor([Child("lambda", lambda: None)]).start(on=1)

    smarm.run(main, workers=2)
