"""Supervisors keep OTP's rules: start order, strategies, restart types, intensity, shutdown, and what is reported."""

from __future__ import annotations

import logging
import math

import pytest
import supervised
from supervised import Crash

import smarm
from smarm import Child, DynamicSupervisor, Supervisor

PATIENCE = 30  # seconds; a test that needs more hangs


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def workers(request):
    return request.param


@pytest.fixture
def run(workers):
    """Run main in a runtime; it must leave neither actors nor messages behind."""

    def run(main):
        def checked():
            main()
            assert smarm.processes() == [smarm.self()]
            with pytest.raises(smarm.Timeout):
                raise AssertionError(f"left in the mailbox: {smarm.receive(timeout=0)!r}")

        smarm.run(checked, workers=workers)

    return run


@pytest.fixture
def reports(caplog):
    """What supervisors have reported so far: (id of the child, decision)."""
    caplog.set_level(logging.INFO, logger="smarm.supervisor")
    return lambda: [(record.smarm["id"], record.smarm["decision"]) for record in caplog.records]


@pytest.fixture(autouse=True)
def never_reported_twice(capfd):
    yield
    assert "nobody joined" not in capfd.readouterr().err


def expect(match=None):
    return smarm.receive(match, timeout=PATIENCE)


def expect_up(*ids):
    """Take the next messages, which say that these children start in this order; return their pids."""
    pids = []
    for id in ids:
        message = expect()
        assert message[:2] == ("up", id)
        pids.append(message[2])
    return pids[0] if len(ids) == 1 else pids


def expect_down(*ids):
    for id in ids:
        assert expect() == ("down", id)


def answer(request, value):
    """Answer the next call, which must be this request."""
    call = expect(smarm.Call)
    assert call.request == request
    smarm.reply(call, value)


def wait_for_end(pid):
    return expect(smarm.monitor(pid)).reason


def child(id, function=supervised.child, **options):
    return Child(id, function, (smarm.self(), id), **{"ack": True, **options})


def boss_only(id, function, **options):
    return Child(id, function, (smarm.self(),), **options)


# ---- start and stop --------------------------------------------------------------------------------------------------


def test_children_start_in_order_and_stop_in_reverse(run, reports):
    def main():
        supervisor = Supervisor([child("a"), child("b"), child("c")]).start()
        pids = expect_up("a", "b", "c")
        assert [(one.id, one.pid, one.state) for one in supervisor.which_children()] == [
            (id, pid, "running") for id, pid in zip("abc", pids, strict=True)
        ]
        assert supervisor.count_children() == (3, 3, 0, 3)
        supervisor.stop()
        expect_down("c", "b", "a")

    run(main)
    assert reports() == []


def test_a_child_starts_only_when_the_one_before_has_acknowledged(run):
    def main():
        first = child("slow", supervised.asking_child)
        smarm.spawn(
            supervised.start_supervisor, smarm.self(), Supervisor([first, child("next")]), link=True, on="local"
        )
        expect_up("slow")
        with pytest.raises(smarm.Timeout):
            smarm.receive(lambda message: message[0] == "up", timeout=0)
        answer(("may start", "slow"), "yes")
        expect_up("next")
        supervisor = expect(smarm.SupervisorRef)
        starter = smarm.process_info(supervisor.pid).parent
        supervisor.stop()
        expect_down("next", "slow")
        smarm.send(starter, "end")
        wait_for_end(starter)

    run(main)


def test_a_plain_function_counts_as_started_when_it_is_spawned(run):
    def main():
        def never_acknowledges():
            smarm.receive()

        supervisor = Supervisor([Child("plain", never_acknowledges), child("next")]).start()
        expect_up("next")
        supervisor.stop()
        expect_down("next")

    run(main)


def test_a_childs_mailbox_is_limited_as_its_specification_says_at_each_start(run, workers):
    limits = {"mailbox_limit": 2, "mailbox_byte_limit": 1000}

    def main():
        for kind in (Supervisor, DynamicSupervisor):
            with kind().start() as ref:
                pid = ref.start_child(
                    Child(
                        "a",
                        supervised.child,
                        (smarm.self(), "a"),
                        ack=True,
                        on=workers - 1,
                        restart="permanent",
                        **limits,
                    )
                )
                for _ in range(2):
                    assert expect() == ("up", "a", pid)
                    info = smarm.process_info(pid)
                    assert (info.mailbox_limit, info.mailbox_byte_limit) == (2, 1000)
                    with pytest.raises(smarm.MailboxFull, match="mailbox_byte_limit is 1000"):
                        smarm.send(pid, bytes(1000))
                    smarm.exit(pid, "again")
                    assert expect() == ("down", "a")
                    _, _, pid = up = expect()
                    assert up[:2] == ("up", "a")
                    smarm.send(smarm.self(), up)
                expect()
            assert expect() == ("down", "a")

    run(main)


def test_a_mailbox_option_that_cannot_be_makes_start_fail(run, workers):
    def main():
        children = [Child("a", supervised.obey, on=workers - 1, mailbox_limit=-1)]
        with pytest.raises(smarm.StartFailed, match="could not be spawned: mailbox_limit must be from 0"):
            Supervisor(children).start()

    run(main)


def test_a_server_has_started_when_init_has_returned(run):
    def main():
        me = smarm.self()
        supervisor = Supervisor([Child("server", supervised.Counter, (me,)), child("next")]).start()
        assert expect()[0] == "init"
        expect_up("next")
        supervisor.stop()
        expect_down("next")
        assert expect() == ("terminated", "shutdown")

    run(main)


@pytest.mark.parametrize("broken", [supervised.failing_child, supervised.Broken])
def test_a_crash_in_init_makes_start_fail_and_stops_what_was_started_in_reverse(run, reports, broken):
    def main():
        children = [child("a"), child("b"), boss_only("broken", broken, ack=True), child("never")]
        with pytest.raises(smarm.StartFailed, match=r"child 'broken' failed to start: Crash: in init") as caught:
            Supervisor(children).start()
        assert caught.value.id == "broken"
        assert isinstance(caught.value.reason, smarm.ActorFailed)
        assert isinstance(caught.value.__cause__.__cause__, Crash)
        expect_up("a", "b")
        expect_down("b", "a")

    run(main)
    assert reports() == []  # the starter has been told


def test_a_starter_that_traps_exits_gets_the_error_and_no_exit_message(run):
    def main():
        smarm.trap_exit(True)
        with pytest.raises(smarm.StartFailed):
            Supervisor([boss_only("broken", supervised.failing_child, ack=True)]).start()
        # run() checks that the mailbox is empty

    run(main)


def test_an_actor_that_is_linked_during_init_learns_of_the_crash(run):
    """kameo#229: links miss a crash in init."""

    def main():
        supervisor = Supervisor([child("linked", supervised.asking_child)])
        starter = smarm.spawn(supervised.start_supervisor, smarm.self(), supervisor, on="local")
        pid = expect_up("linked")
        smarm.spawn(supervised.linked_to, smarm.self(), pid)
        expect(lambda message: message == "linked")
        answer(("may start", "linked"), "fail")
        told = expect(smarm.Exit)
        assert told.pid == pid
        assert isinstance(told.reason.__cause__, Crash)
        assert expect(smarm.StartFailed).id == "linked"
        smarm.send(starter.pid, "end")
        starter.join()
        for other in smarm.processes():
            if other != smarm.self():
                wait_for_end(other)

    run(main)


def test_a_child_that_returns_before_it_acknowledges_has_not_started(run):
    def main():
        with pytest.raises(smarm.StartFailed, match="it returned before it was ready"):
            Supervisor([boss_only("returns", supervised.returning_child, ack=True)]).start()

    run(main)


def test_a_child_that_is_killed_in_init_makes_start_fail(run):
    def main():
        supervisor = Supervisor([child("a"), boss_only("doomed", supervised.doomed_child, ack=True)])
        starter = smarm.spawn(supervised.start_supervisor, smarm.self(), supervisor, on="local")
        smarm.kill(expect(smarm.Call).request[1])
        error = expect(smarm.StartFailed)
        assert (error.id, error.reason) == ("doomed", "killed")
        expect_up("a")
        expect_down("a")
        smarm.send(starter.pid, "end")
        starter.join()

    run(main)


def test_a_child_that_cannot_be_spawned_makes_start_fail(run):
    def main():
        with pytest.raises(smarm.StartFailed, match="cannot be sent"):
            Supervisor([child("a"), Child("bad", supervised.child, (lambda: None,))]).start()
        expect_up("a")
        expect_down("a")
        with pytest.raises(smarm.StartFailed, match="on= is"):
            Supervisor([child("a", on=99)]).start()

    run(main)


def test_a_child_that_calls_its_supervisor_from_init_gets_an_error_instead_of_a_deadlock(run):
    """kameo#84: the start waits for the child, which waits for the supervisor."""

    def main():
        one = Child("caller", supervised.child_that_calls_its_supervisor, (smarm.self(), "boss"), ack=True)
        supervisor = Supervisor([one], name="boss").start()
        assert "before it was started" in expect()
        supervisor.stop()

    run(main)


def test_a_start_that_takes_too_long_is_given_up_and_leaves_nothing(run):
    def main():
        with pytest.raises(smarm.Timeout, match="was not ready"):
            Supervisor([child("a"), Child("never", supervised.obey, ack=True)]).start(timeout=0.01)
        # a may or may not have come so far
        for pid in smarm.processes():
            if pid != smarm.self():
                wait_for_end(pid)
        while True:
            try:
                smarm.receive(timeout=0)
            except smarm.Timeout:
                return

    run(main)


def test_the_end_of_the_starter_ends_a_supervisor_that_is_still_starting(run):
    def main():
        children = [child("a"), child("slow", supervised.asking_child)]
        starter = smarm.spawn(supervised.start_supervisor, smarm.self(), Supervisor(children), on="local")
        first, slow = expect_up("a", "slow")
        expect(smarm.Call)
        smarm.kill(starter.pid)
        assert {wait_for_end(slow), wait_for_end(first)} <= {"shutdown", "noproc"}
        expect_down("a")
        for pid in smarm.processes():
            if pid != smarm.self():
                wait_for_end(pid)

    run(main)


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


# ---- shutdown --------------------------------------------------------------------------------------------------------


def test_a_child_that_ignores_the_exit_signal_is_killed_after_its_time(run, reports):
    def main():
        supervisor = Supervisor([child("deaf", supervised.deaf_child, shutdown=0.01)]).start()
        expect_up("deaf")
        supervisor.stop()
        expect_down("deaf")

    run(main)
    assert reports() == [("deaf", "it was being stopped")]


def test_brutal_kill_does_not_ask_and_is_not_reported(run, reports):
    def main():
        supervisor = Supervisor([child("deaf", supervised.deaf_child, shutdown="brutal_kill")]).start()
        ref = smarm.monitor(expect_up("deaf"))
        supervisor.stop()
        expect_down("deaf")
        assert expect(ref).reason == "killed"

    run(main)
    assert reports() == []


@pytest.mark.parametrize("shutdown", ["inf", math.inf, 1e6])
def test_a_child_gets_its_time_to_shut_down(run, reports, shutdown):
    def main():
        supervisor = Supervisor([child("careful", supervised.careful_child, shutdown=shutdown)]).start()
        expect_up("careful")
        stopper = smarm.spawn(lambda: supervisor.stop(), on="local")
        answer(("may end", "careful", "shutdown"), None)
        stopper.join()

    run(main)
    assert reports() == []


def test_a_child_that_survives_kill_is_given_up_and_reported(run, reports, monkeypatch):
    from smarm import _starting

    monkeypatch.setattr(_starting, "PATIENCE", 0.05)

    def main():
        supervisor = Supervisor([child("a"), child("cat", supervised.swallowing_child, shutdown=0)]).start()
        _, cat = expect_up("a", "cat")
        supervisor.stop()
        expect_down("a")
        smarm.send(cat, "end")
        wait_for_end(cat)

    run(main)
    assert reports() == [("cat", "it was being stopped")]


def test_a_child_that_fails_while_it_is_stopped_is_reported_once(run, reports):
    def main():
        def fails_at_the_end():
            smarm.started()
            try:
                smarm.receive()
            finally:
                raise Crash("in finally")

        Supervisor([Child("bad", fails_at_the_end, ack=True)]).start().stop()

    run(main)
    assert reports() == [("bad", "it was being stopped")]


def test_the_end_of_the_starter_stops_the_children_in_reverse(run):
    def main():
        supervisor = Supervisor([child("a"), child("b")])
        starter = smarm.spawn(supervised.start_supervisor, smarm.self(), supervisor, on="local")
        expect_up("a", "b")
        ref = smarm.monitor(expect(smarm.SupervisorRef).pid)
        smarm.send(starter.pid, "end")
        expect_down("b", "a")
        assert expect(ref).reason == "normal"

    run(main)


def test_the_children_of_a_killed_supervisor_end_through_their_links(run):
    def main():
        inner = Supervisor([child("b"), child("c")])
        supervisor = Supervisor([child("a"), Child("inner", inner)]).start(link=False)
        refs = [smarm.monitor(pid) for pid in expect_up("a", "b", "c")]
        smarm.kill(supervisor.pid)
        for ref in refs:
            expect(ref)
        assert sorted(expect()[1] for _ in refs) == ["a", "b", "c"]
        for pid in smarm.processes():
            if pid != smarm.self():
                wait_for_end(pid)

    run(main)


def test_exit_signals_of_strangers_do_not_stop_a_supervisor(run):
    def main():
        supervisor = Supervisor([child("a")]).start()
        pid = expect_up("a")
        smarm.spawn(smarm.exit, supervisor.pid, "shutdown").join()
        assert [one.pid for one in supervisor.which_children()] == [pid]
        smarm.unlink(supervisor.pid)
        smarm.exit(supervisor.pid, "shutdown")  # from its parent, though
        assert wait_for_end(supervisor.pid) in ("shutdown", "noproc")
        expect_down("a")

    run(main)


def test_an_unexpected_or_undecodable_message_does_not_end_a_supervisor(run):
    def main():
        supervisor = Supervisor([child("a")]).start()
        expect_up("a")
        smarm.send(supervisor.pid, "what is this?")
        smarm.send(supervisor.pid, supervised.Unwelcome())
        assert supervisor.count_children().active == 1
        supervisor.stop()
        expect_down("a")

    run(main)


@pytest.mark.parametrize("how", ["exit", "crash"])
def test_a_child_whose_reason_cannot_be_decoded_is_restarted(run, reports, how):
    def main():
        supervisor = Supervisor([Child("a", supervised.ends_unspeakably, (smarm.self(), how))]).start()
        smarm.send(expect_up("a"), "end")
        expect_up("a")
        supervisor.stop()

    run(main)
    assert reports() == [("a", "restarting it")]


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
        (lambda: Child("x", print, significant=True), ValueError, "cannot be significant"),
        (lambda: Supervisor([print]), TypeError, r"smarm\.Child objects"),
        (lambda: Supervisor([Child("x", print), Child("x", print)]), ValueError, "two children have the id 'x'"),
        (lambda: Supervisor([], strategy="some"), ValueError, "strategy is"),
        (lambda: Supervisor([], auto_shutdown="some"), ValueError, "auto_shutdown is"),
        (lambda: Supervisor([], max_restarts=-1), ValueError, "max_restarts"),
        (lambda: Supervisor([], max_restarts=1.5), ValueError, "max_restarts"),
        (lambda: Supervisor([], max_seconds=0), ValueError, "max_seconds"),
        (lambda: Supervisor([], max_seconds=math.nan), ValueError, "max_seconds"),
        (lambda: Supervisor([], name=3), TypeError, "name must be a str"),
        (lambda: DynamicSupervisor(max_children=-1), ValueError, "max_children"),
    ],
)
def test_what_does_not_fit_together_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
