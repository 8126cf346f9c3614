"""Supervisors keep OTP's rules: start order, acknowledgement, shutdown in reverse."""

from __future__ import annotations

import math

import pytest
import stuck_clean_up
import supervised
from supervised import Crash
from supervisor_helpers import answer, boss_only, child, drop_messages, expect, expect_down, expect_up, wait_for_end

import smarm
from smarm import Child, DynamicSupervisor, Supervisor

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
        drop_messages()

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


@pytest.mark.parametrize("kind", stuck_clean_up.WAYS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_a_child_that_waits_for_a_lock_while_it_is_unwound_is_killed_after_its_time(kind, dynamic, reports):
    """Whatever kill_patience is: the child has had its time to clean up."""

    def main():
        spec = Child(
            "stuck", stuck_clean_up.be_stuck, (kind, smarm.self()), on="local", shutdown=0.2, restart="temporary"
        )
        supervisor = (DynamicSupervisor() if dynamic else Supervisor([spec])).start()
        if dynamic:
            supervisor.start_child(spec)
        assert smarm.receive(timeout=60) == "held"
        ref = smarm.monitor(supervisor.which_children()[0].pid)
        supervisor.stop(timeout=60)
        assert smarm.receive(ref, timeout=0)

    smarm.run(main, workers=1, kill_patience=86400)
    assert reports() == [("stuck", "it was being stopped")]


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


@pytest.mark.parametrize("function", [supervised.swallowing_child, supervised.shielded_child])
def test_a_child_that_survives_kill_is_given_up_and_reported(run, reports, monkeypatch, function):
    from smarm.supervision import starting

    monkeypatch.setattr(starting, "patience_with_killed", lambda: 0.05)

    def main():
        supervisor = Supervisor([child("a"), child("cat", function, shutdown=0)]).start()
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


# ---- a server that is not to be started ------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", ["permanent", "temporary"])
def test_a_child_whose_init_says_ignore_is_a_stopped_one_and_the_others_start(run, reports, restart):
    def main():
        reluctant = boss_only("reluctant", supervised.Reluctant, restart=restart)
        starter = smarm.spawn(
            supervised.start_supervisor, smarm.self(), Supervisor([child("a"), reluctant, child("b")]), on="local"
        )
        expect_up("a")
        smarm.reply(expect(smarm.Call), False)
        expect_up("b")
        supervisor = expect(smarm.SupervisorRef)
        states = [(one.id, one.state) for one in supervisor.which_children()]
        if restart == "temporary":  # its specification goes, as in OTP
            assert states == [("a", "running"), ("b", "running")]
        else:
            assert states == [("a", "running"), ("reluctant", "stopped"), ("b", "running")]
            restarter = smarm.spawn(supervisor.restart_child, "reluctant", on="local")
            call = expect(smarm.Call)
            smarm.reply(call, True)
            assert restarter.join() == call.caller
        supervisor.terminate_child("a")
        expect_down("a")
        if restart == "permanent":
            supervisor.terminate_child("reluctant")
        supervisor.stop()
        expect_down("b")
        smarm.send(starter.pid, "end")
        starter.join()

    run(main)
    assert reports() == []


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_start_child_returns_none_for_a_server_whose_init_says_ignore(run, kind):
    def main():
        supervisor = kind().start()
        starter = smarm.spawn(
            supervisor.start_child, boss_only("reluctant", supervised.Reluctant, restart="temporary"), on="local"
        )
        smarm.reply(expect(smarm.Call), False)
        assert starter.join() is None
        assert supervisor.which_children() == []
        supervisor.stop()

    run(main)


def test_the_end_of_the_runtime_is_no_failure_of_children(succeed):
    assert (
        succeed("""
        import smarm
        from smarm import Child, Supervisor

        def returns():
            pass

        def waits():
            smarm.receive()

        def main():
            children = [Child(number, waits, on=number % 2) for number in range(20)]
            for on in ("main", 1):
                Supervisor([Child("again", returns), *children], max_restarts=10**9).start(on=on)

        if __name__ == "__main__":
            for _ in range(5):
                smarm.run(main, workers=2)
    """)
        == ""
    )


@pytest.mark.parametrize(
    ("ends", "told"), [("crash", [("a", "not restarting it, for the runtime ends")]), (("exit", "killed"), [])]
)
def test_while_the_runtime_ends_nothing_is_restarted_and_what_fails_by_itself_is_told(
    run, reports, monkeypatch, ends, told
):
    def main():
        supervisor = Supervisor([child("a"), child("b")]).start(link=False)
        first, _ = expect_up("a", "b")
        monkeypatch.setattr(smarm._core, "_is_ending", lambda: True)
        smarm.send(first, ends)
        expect_down("a", "b")
        assert wait_for_end(supervisor.pid) in ("shutdown", "noproc")

    run(main)
    assert reports() == told
