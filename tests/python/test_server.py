"""Servers: start with acknowledgement, calls, casts, other messages, and how they end."""

from __future__ import annotations

import pytest
import supervised
from supervised import Counter, Crash
from supervisor_helpers import PATIENCE, drop_messages, expect

import smarm
from smarm.testing import simulate


@pytest.fixture
def run(run_cleanly, workers):
    """Run main(on), where on is the last worker."""
    return lambda main: run_cleanly(main, workers - 1)


def start_counter(**options):
    server = Counter.start(smarm.self(), **options)
    assert expect() == ("init", server.pid)
    return server


# ---- start -----------------------------------------------------------------------------------------------------------


def test_start_waits_for_init_and_calls_are_answered(run):
    def main(on):
        server = Counter.start(smarm.self(), 40, on=on)
        assert smarm.receive(timeout=0) == ("init", server.pid)  # without waiting
        assert server.call("count") == 40
        assert server.call("worker") == on
        server.stop()
        assert expect() == ("terminated", "normal")

    run(main)


def test_start_passes_the_mailbox_options_on(run):
    def main(on):
        server = start_counter(on=on, mailbox_limit=5, mailbox_byte_limit=1000)
        info = smarm.process_info(server.pid)
        assert (info.mailbox_limit, info.mailbox_byte_limit) == (5, 1000)
        with pytest.raises(smarm.MailboxFull, match="mailbox_byte_limit is 1000"):
            server.cast(bytes(1000))
        server.stop()
        assert expect() == ("terminated", "normal")
        with pytest.raises(smarm.ConfigError, match='a mailbox\'s on_full= is "error" or "drop_newest"'):
            Counter.start(smarm.self(), on=on, on_full="wait")
        server = start_counter(on=on, mailbox_byte_limit=1000, on_full="drop_newest")
        server.cast(bytes(1000))
        server.stop()
        assert expect() == ("terminated", "normal")

    run(main)


def test_an_exception_in_init_reaches_the_starter(run, capfd):
    def main(on):
        with pytest.raises(smarm.ActorFailed) as caught:
            supervised.Broken.start(smarm.self(), on=on)
        assert isinstance(caught.value.__cause__, Crash)
        assert "in init" in caught.value.remote_traceback
        with pytest.raises(smarm.ActorFailed, match="missing 1 required positional argument"):
            Counter.start(on=on)
        with pytest.raises(smarm.ActorFailed, match=r"Mute\.init takes no arguments; 1 were given"):
            supervised.Mute.start(1, on=on)

    run(main)
    assert "nobody joined" not in capfd.readouterr().err


@pytest.mark.parametrize("trap", [False, True])
def test_an_exception_in_init_of_a_linked_server_comes_once(run, trap):
    def main(on):
        smarm.trap_exit(trap)
        with pytest.raises(smarm.ActorFailed):
            supervised.Broken.start(smarm.self(), on=on, link=True)

    run(main)


def test_a_server_that_does_not_start_in_time_is_killed(run):
    def main(on):
        with pytest.raises(smarm.Timeout, match=r"was not ready after 0\.01 s"):
            supervised.Slow.start(smarm.self(), on=on, timeout=0.01)
        while smarm.processes() != [smarm.self()]:
            smarm.yield_now()
        drop_messages()

    run(main)


def test_a_server_that_is_killed_in_init_makes_start_fail(run):
    def main(on):
        def killer():
            smarm.kill(smarm.receive(timeout=PATIENCE))

        assassin = smarm.spawn(killer, on="local")
        with pytest.raises(smarm.ActorKilled):
            supervised.Slow.start(assassin.pid, on=on)
        assassin.join()

    run(main)


def test_a_name_is_registered_before_init_and_free_after_the_end(run):
    def main(on):
        server = start_counter(name="counter", on=on)
        by_name = smarm.ServerRef("counter")
        assert by_name.pid == server.pid
        by_name.cast(2)
        assert by_name.call("count") == 2
        with pytest.raises(smarm.ActorFailed, match="taken by another actor"):
            Counter.start(smarm.self(), name="counter", on=on)
        by_name.stop()
        assert expect() == ("terminated", "normal")
        assert by_name.pid is None
        for use in (by_name.stop, lambda: by_name.call("count"), lambda: by_name.cast(1)):
            with pytest.raises(smarm.NotRegistered):
                use()

    run(main)


def test_a_server_class_inside_a_function_stays_on_its_worker(run):
    def main(on):
        seen = []

        class Local(smarm.Server):
            def handle_cast(self, message):
                seen.append(message)

        server = Local.start()
        server.cast(1)
        server.stop()
        assert seen == [1]

    run(main)


# ---- calls -----------------------------------------------------------------------------------------------------------


def test_requests_of_one_caller_are_handled_in_order(run):
    def main(on):
        server = start_counter(on=on)
        for number in range(100):
            server.cast(1)
            assert server.call("count") == number + 1
        server.stop()
        expect()

    run(main)


def test_an_answer_can_come_later(run):
    def main(on):
        server = start_counter(on=on)
        caller = smarm.spawn(lambda: server.call("later", timeout=PATIENCE), on="local")
        smarm.yield_now()
        while smarm.process_info(caller.pid).waiting_for is None:
            smarm.yield_now()
        assert server.call("count") == 0  # it goes on meanwhile
        server.cast("answer")
        assert caller.join(timeout=PATIENCE) == "at last"
        server.stop()
        expect()

    run(main)


def test_a_late_answer_is_dropped(run):
    def main(on):
        server = start_counter(on=on)
        with pytest.raises(smarm.Timeout):
            server.call("later", timeout=0)
        server.cast("answer")
        assert server.call("count") == 0  # after the answer was sent
        server.stop()
        expect()
        # run() checks that the mailbox is empty

    run(main)


@pytest.mark.parametrize(
    ("request_", "cause"), [("crash", Crash), ("unsendable", smarm.NotSendable)], ids=["crash", "unsendable answer"]
)
def test_a_crash_in_handle_call_is_the_reason_that_the_caller_sees(run, capfd, request_, cause):
    def main(on):
        server = start_counter(on=on)
        with pytest.raises(smarm.ProcessDown) as caught:
            server.call(request_)
        assert caught.value.pid == server.pid
        assert isinstance(caught.value.reason.__cause__, cause)
        word, reason = expect()
        assert (word, type(reason)) == ("terminated", cause)
        with pytest.raises(smarm.ProcessDown) as caught:
            server.call("count")
        assert caught.value.reason == "noproc"

    run(main)
    error = capfd.readouterr().err
    assert error.count("nobody joined it") == 1
    assert "was handling Call(" in error
    assert f"request='{request_}'" in error


def test_a_server_without_the_callback_says_so(run):
    def main(on):
        server = supervised.Mute.start(on=on)
        with pytest.raises(smarm.ProcessDown, match="Mute has no handle_call"):
            server.call(1)
        server = supervised.Mute.start(on=on)
        ref = smarm.monitor(server.pid)
        server.cast(1)
        assert "Mute has no handle_cast" in str(expect(ref).reason)

    run(main)


def test_other_messages_go_to_handle_info(run):
    def main(on):
        server = start_counter(on=on)
        smarm.send(server.pid, "hello")
        assert expect() == ("info", "hello")
        server.stop()
        expect()

    run(main)


def test_an_unexpected_message_is_logged_and_does_no_harm(caplog):
    def main():
        server = supervised.Mute.start(on="local")
        smarm.send(server.pid, "hello")
        server.stop()

    smarm.run(main)
    assert "got a message that it does not expect: 'hello'" in caplog.text


def test_continue_comes_before_messages_and_idle_timeout_without_them(run):
    def main(on):
        server = supervised.Restless.start(smarm.self(), on=on)
        ref = smarm.monitor(server.pid)
        assert expect() == ("continue", "from init")
        server.cast("be idle")
        assert expect() == "idle"
        assert expect(ref).reason == "normal"

    run(main)


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_stop_comes_after_what_is_in_the_mailbox_and_waits_for_terminate(run):
    def main(on):
        server = start_counter(on=on)
        smarm.send(server.pid, "before")
        server.stop("shutdown")
        assert smarm.receive(timeout=0) == ("info", "before")
        assert smarm.receive(timeout=0) == ("terminated", "shutdown")
        with pytest.raises(smarm.ProcessDown) as caught:
            server.stop()
        assert caught.value.reason == "noproc"

    run(main)


def test_stop_gives_up_after_its_timeout(run):
    def main(on):
        server = start_counter(on=on)
        caller = smarm.spawn(lambda: server.call("wait", timeout=PATIENCE), on="local")
        while smarm.process_info(caller.pid).waiting_for is None:
            smarm.yield_now()
        with pytest.raises(smarm.Timeout):
            server.stop(timeout=0)
        smarm.send(server.pid, "go on")
        assert caller.join(timeout=PATIENCE) == "go on"
        assert expect() == ("terminated", "normal")
        ref = smarm.monitor(server.pid)
        expect(ref)

    run(main)


def test_the_answer_of_a_callback_that_stops_the_server_arrives(run):
    def main(on):
        server = start_counter(on=on)
        ref = smarm.monitor(server.pid)
        assert server.call("last") == "bye"
        assert expect() == ("terminated", "normal")
        assert expect(ref).reason == "normal"

    run(main)


def test_actor_exit_in_a_callback_ends_the_server_with_that_reason(run):
    def main(on):
        server = start_counter(on=on)
        with pytest.raises(smarm.ProcessDown) as caught:
            server.call("exit")
        assert caught.value.reason == "because"
        assert expect() == ("terminated", "because")

    run(main)


@pytest.mark.parametrize("reason", ["shutdown", "kill"])
def test_terminate_is_called_for_exit_signals(run, reason):
    def main(on):
        server = start_counter(on=on)
        ref = smarm.monitor(server.pid)
        smarm.exit(server.pid, reason)
        expected = "killed" if reason == "kill" else reason
        assert expect() == ("terminated", expected)
        assert expect(ref).reason == expected

    run(main)


def test_a_server_that_traps_exits_ends_with_its_parent_and_not_with_others(run):
    def main(on):
        server = start_counter(on=on)
        assert server.call("link") is True
        other = smarm.spawn(smarm.exit, server.pid, "shutdown", on="local")
        other.join()
        assert expect() == ("info", smarm.Exit(other.pid, "shutdown"))
        smarm.unlink(server.pid)
        ref = smarm.monitor(server.pid)
        smarm.exit(server.pid, "enough")
        assert expect() == ("terminated", "enough")
        assert expect(ref).reason == "enough"

    run(main)


def test_a_server_that_waits_for_its_own_end_is_told_that_it_cannot(run, capfd):
    def main(on):
        server = start_counter(on=on)
        with pytest.raises(smarm.ProcessDown) as caught:
            server.call("stop yourself")
        assert isinstance(caught.value.reason.__cause__, RuntimeError)
        assert "self.stop(reason)" in str(caught.value.reason.__cause__)
        kind, reason = expect()
        assert (kind, type(reason)) == ("terminated", RuntimeError)

    run(main)
    assert "cannot wait for its own end" in capfd.readouterr().err


def stop_server(server):
    server.stop(timeout=PATIENCE)


@pytest.mark.parametrize("on_full", ["error", "drop_newest"])
def test_stop_passes_a_full_mailbox(run, on_full, wait_until):
    def main(on):
        server = supervised.Polite.start(smarm.self(), on=on, mailbox_limit=2, on_full=on_full)
        for number in range(3):  # one is handled, two wait
            server.cast("ask")
            if number == 0:
                first = expect(smarm.Call)
        wait_until(lambda: smarm.message_count(server.pid) == 2)
        if on_full == "error":
            with pytest.raises(smarm.MailboxFull):
                server.cast("ask")
        stopper = smarm.spawn(stop_server, server, on="local")
        wait_until(lambda: smarm.message_count(server.pid) == 3)
        smarm.reply(first, "go on")
        for _ in range(2):
            smarm.reply(expect(smarm.Call), "go on")
        stopper.join()

    run(main)


# ---- not to be started, and going on -------------------------------------------------------------------------------


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("trap", [False, True])
def test_a_server_whose_init_says_ignore_is_not_started_and_that_is_no_failure(run, link, trap):
    def starter(boss, on):
        smarm.trap_exit(trap)
        try:
            supervised.Reluctant.start(boss, on=on, link=link, name="reluctant")
        except smarm.StartIgnored as error:
            smarm.send(boss, str(error))
        with pytest.raises(smarm.Timeout):  # nor is there an Exit
            smarm.receive(timeout=0)

    def main(on):
        handle = smarm.spawn(starter, smarm.self(), on, on="local")
        call = expect(smarm.Call)
        ended = smarm.monitor(call.caller)
        smarm.reply(call, False)
        assert "init returned IGNORE" in expect(str)
        assert expect(ended).reason == "normal"
        assert smarm.whereis("reluctant") is None
        handle.join()

    run(main)


def test_a_server_that_ignored_its_start_is_gone_when_start_raises():
    """Another start by the same name would find it taken."""

    def main():
        for _ in range(3):
            with pytest.raises(smarm.StartIgnored):
                supervised.Idle.start(name="idle")
            assert smarm.whereis("idle") is None
            assert smarm.processes() == [smarm.self()]

    simulate(main, seed=1)


def test_a_child_that_ignored_its_start_is_gone_when_its_supervisor_goes_on():
    def main():
        idle = smarm.Child("idle", supervised.Idle, name="idle")
        with smarm.Supervisor([idle]).start() as supervisor:
            for _ in range(3):
                assert smarm.whereis("idle") is None
                assert supervisor.restart_child("idle") is None

    simulate(main, seed=1)


@pytest.mark.parametrize("where", ["init", "handle_continue", "handle_cast"])
def test_two_continuations_of_one_callback_are_an_error(run, where, capfd, wait_until):
    said = f"proceed() twice in one callback, with '{where}' first"

    def main(on):
        if where == "init":
            with pytest.raises(smarm.ActorFailed) as caught:
                supervised.Hasty.start(smarm.self(), where, on=on)
            assert isinstance(caught.value.__cause__, RuntimeError)
            assert said in str(caught.value)
            return
        server = supervised.Hasty.start(smarm.self(), where, on=on)
        server.cast("go")
        wait_until(lambda: smarm.process_info(server.pid) is None)

    run(main)
    assert (said in capfd.readouterr().err) == (where != "init")


def test_a_continuation_may_ask_for_another(run):
    def main(on):
        server = supervised.Hasty.start(smarm.self(), "nowhere", on=on)
        server.stop()

    run(main)
