"""Bounded mailboxes, and dead letters."""

from __future__ import annotations

import in_workers
import pytest

import smarm


def run(main, *arguments, **options):
    return smarm.run(main, *arguments, **{"workers": 2, "report_dead_letters": 0} | options)


# ---- limits ----------------------------------------------------------------------------------------------------------


def test_a_full_mailbox_refuses_what_is_sent(on):
    def main():
        go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, mailbox_limit=3)
        for number in range(3):
            smarm.send(handle.pid, number)
        for _ in range(2):
            with pytest.raises(smarm.MailboxFull, match="mailbox_limit"):
                smarm.send(handle.pid, ["too much"])
        info = smarm.process_info(handle.pid)
        assert info.mailbox_limit == 3
        go.send(None)
        assert handle.join() == [0, 1, 2]
        return smarm.statistics().dead_letters

    assert run(main) == 0


def test_room_comes_back_when_a_message_is_taken(on):
    def main():
        handle = smarm.spawn(in_workers.reply_to, smarm.self(), on=on, mailbox_limit=1)
        for number in range(200):
            smarm.send(handle.pid, [number])
            assert smarm.receive() == [number]
        smarm.send(handle.pid, None)
        handle.join()

    run(main)


def test_drop_newest_makes_dead_letters(on):
    def main():
        go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, mailbox_limit=2, on_full="drop_newest")
        for number in range(5):
            smarm.send(handle.pid, number)
        go.send(None)
        assert handle.join() == [0, 1]
        return smarm.statistics().dead_letters

    assert run(main) == 3


def test_senders_of_several_workers_together_keep_the_limit():
    def main():
        go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on="local", mailbox_limit=10)
        senders = [smarm.spawn(in_workers.send_until_full, handle.pid, on=index % 3) for index in range(6)]
        sent = sum(smarm.join_all(senders))
        go.send(None)
        return sent, len(handle.join())

    assert run(main, workers=3) == (10, 10)


def test_a_limit_holds_before_the_actor_has_started():
    def main():
        go, rx = smarm.channel()
        # The other worker has to start first, so that most of this happens before the actor has a home.
        handle = smarm.spawn(in_workers.park_then_collect, rx, mailbox_limit=2)
        sent = in_workers.send_until_full(handle.pid)
        go.send(None)
        return sent, handle.join()

    assert run(main, workers=2) == (2, [[0], [1]])


def test_what_the_runtime_says_always_comes_in(on):
    def main():
        smarm.send(smarm.self(), "fills it")
        with pytest.raises(smarm.MailboxFull):
            smarm.send(smarm.self(), "too much")
        handle = smarm.spawn(in_workers.reply_once, on=on, monitor=True)
        assert smarm.call(handle.pid, 20) == 21
        assert smarm.receive(handle.monitor).reason == "normal"
        return smarm.receive()

    assert run(main, mailbox_limit=1) == "fills it"


def test_call_and_cast_meet_a_full_mailbox(on):
    def main():
        _go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, mailbox_limit=1)
        smarm.send(handle.pid, 1)
        with pytest.raises(smarm.MailboxFull):
            smarm.call(handle.pid, 2, timeout=None)
        with pytest.raises(smarm.MailboxFull):
            smarm.ServerRef(handle.pid).cast(3)
        smarm.kill(handle.pid)
        with pytest.raises(smarm.ActorKilled):
            handle.join()
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0)  # the given-up call left nothing

    run(main)


def test_a_timer_to_a_full_mailbox_is_a_dead_letter(on, wait_until):
    def main():
        go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, mailbox_limit=1)
        smarm.send(handle.pid, 1)
        smarm.send_after(0.001, handle.pid, 2)
        wait_until(lambda: smarm.statistics().dead_letters == 1)
        go.send(None)
        return handle.join()

    assert run(main) == [1]


def test_the_configured_limit_is_everybodys_who_has_none(alone):
    def main():
        assert smarm.process_info(smarm.self()).mailbox_limit == 4
        handles = [smarm.spawn(in_workers.park, mailbox_limit=limit) for limit in (None, 0, 7)]
        return [smarm.process_info(handle.pid).mailbox_limit for handle in handles]

    assert alone(main, mailbox_limit=4) == [4, None, 7]


# ---- bytes -----------------------------------------------------------------------------------------------------------

KIB = 1024


@pytest.mark.parametrize(
    "make", [bytes, bytearray, smarm.Buffer, lambda size: "x" * size, lambda size: (1, bytes(size))]
)
def test_bytes_that_wait_are_limited_however_they_come(on, make):
    def main():
        go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, mailbox_byte_limit=100 * KIB)
        for _ in range(3):
            smarm.send(handle.pid, make(30 * KIB))
        for _ in range(2):
            with pytest.raises(
                smarm.MailboxFull, match=r"no room for a message of 3\d{4} bytes, its mailbox_byte_limit is 102400"
            ):
                smarm.send(handle.pid, make(30 * KIB))
        smarm.send(handle.pid, b"small")
        info = smarm.process_info(handle.pid)
        assert (info.mailbox_limit, info.mailbox_byte_limit) == (None, 100 * KIB)
        go.send(None)
        return len(handle.join()), smarm.statistics().dead_letters

    assert run(main) == (4, 0)


def test_a_buffer_that_found_no_room_stays_with_its_sender(on):
    def main():
        handle = smarm.spawn(in_workers.park, on=on, mailbox_byte_limit=10 * KIB)
        buffer = smarm.Buffer(20 * KIB)
        with pytest.raises(smarm.MailboxFull):
            smarm.send(handle.pid, buffer)
        assert not buffer.moved

    run(main)


def test_room_for_bytes_comes_back_when_a_message_is_taken(on):
    def main():
        handle = smarm.spawn(in_workers.reply_to, smarm.self(), on=on, mailbox_byte_limit=10 * KIB)
        for number in range(200):
            message = bytes(8 * KIB) if number % 2 else [bytes(8 * KIB)]
            smarm.send(handle.pid, message)
            assert smarm.receive() == message
        smarm.send(handle.pid, None)
        handle.join()

    run(main)


def test_messages_that_were_looked_at_and_left_still_count():
    def main():
        def choosy():
            smarm.receive(str)
            told.send(None)
            smarm.receive(int)
            return [smarm.receive() for _ in range(smarm.message_count())]

        told, rx = smarm.channel()
        handle = smarm.spawn(choosy, mailbox_byte_limit=20 * KIB)
        smarm.send(handle.pid, [bytes(15 * KIB)])
        smarm.send(handle.pid, "look")
        rx.recv()
        with pytest.raises(smarm.MailboxFull, match="mailbox_byte_limit"):
            smarm.send(handle.pid, [bytes(15 * KIB)])
        smarm.send(handle.pid, 1)
        return handle.join()

    assert run(main) == [[bytes(15 * KIB)]]


def test_drop_newest_drops_what_has_too_many_bytes(on):
    def main():
        go, rx = smarm.channel()
        handle = smarm.spawn(
            in_workers.park_then_collect, rx, on=on, mailbox_byte_limit=10 * KIB, on_full="drop_newest"
        )
        for size in (6, 6, 1, 20):
            smarm.send(handle.pid, bytearray(size * KIB))
        go.send(None)
        return [len(message) // KIB for message in handle.join()], smarm.statistics().dead_letters

    assert run(main) == ([6, 1], 2)


def test_the_number_of_messages_is_named_when_it_is_that(on):
    def main():
        handle = smarm.spawn(in_workers.park, on=on, mailbox_limit=1, mailbox_byte_limit=10 * KIB)
        smarm.send(handle.pid, 1)
        with pytest.raises(smarm.MailboxFull, match="its mailbox_limit allows"):
            smarm.send(handle.pid, 2)

    run(main)


def test_the_configured_byte_limit_is_everybodys_who_has_none(alone):
    def main():
        assert smarm.process_info(smarm.self()).mailbox_byte_limit == 1000
        with pytest.raises(smarm.MailboxFull, match="mailbox_byte_limit is 1000"):
            smarm.send(smarm.self(), bytes(1000))
        handles = [smarm.spawn(in_workers.park, mailbox_byte_limit=limit) for limit in (None, 0, 7)]
        return [smarm.process_info(handle.pid).mailbox_byte_limit for handle in handles]

    assert alone(main, mailbox_byte_limit=1000) == [1000, None, 7]


def test_call_cast_portal_and_timers_meet_the_byte_limit(on, wait_until):
    def main():
        go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, mailbox_byte_limit=10 * KIB)
        with pytest.raises(smarm.MailboxFull, match="mailbox_byte_limit"):
            smarm.call(handle.pid, bytes(20 * KIB), timeout=None)
        with pytest.raises(smarm.MailboxFull, match="mailbox_byte_limit"):
            smarm.ServerRef(handle.pid).cast(bytes(20 * KIB))
        portal = smarm.Portal()
        with pytest.raises(smarm.MailboxFull, match="mailbox_byte_limit"):
            smarm.block_on_io(portal.send, handle.pid, bytes(20 * KIB))
        smarm.send_after(0.001, handle.pid, bytes(20 * KIB))
        wait_until(lambda: smarm.statistics().dead_letters == 1)
        go.send(None)
        return handle.join()

    assert run(main) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"mailbox_byte_limit": -1},
            smarm.ConfigError,
            r"mailbox_byte_limit must be from 0 \(none\) to \d+ bytes, not -1",
        ),
        ({"mailbox_byte_limit": 2**63 - 1}, smarm.ConfigError, "mailbox_byte_limit must be from 0"),
        ({"mailbox_byte_limit": "much"}, TypeError, "integer"),
        ({"mailbox_limit": -1}, smarm.ConfigError, "from 0"),
        ({"mailbox_limit": 2**40}, smarm.ConfigError, "not 1099511627776"),
        ({"mailbox_limit": "many"}, TypeError, "integer"),
        ({"on_full": "wait"}, smarm.ConfigError, '"error" or "drop_newest", not \'wait\''),
        ({"on_full": None}, smarm.ConfigError, "not None"),
    ],
)
def test_what_cannot_be_is_refused(alone, options, error, message):
    def main():
        with pytest.raises(error, match=message):
            smarm.spawn(abs, 1, **options)

    alone(main)


# ---- the number of messages ------------------------------------------------------------------------------------------


def test_message_count(on):
    def main():
        go, rx = smarm.channel()
        assert smarm.message_count() == 0
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, name="collector")
        smarm.register("collector", handle.pid)
        smarm.send(handle.pid, 1)
        smarm.send(smarm.self(), 1)
        while smarm.message_count("collector") != 1:
            smarm.yield_now()
        assert smarm.message_count() == 1
        go.send(None)
        handle.join()
        with pytest.raises(smarm.NotRegistered):
            smarm.message_count("collector")
        with pytest.raises(TypeError):
            smarm.message_count(1)
        with pytest.raises(TypeError):
            smarm.message_count(handle.pid, 1)
        return smarm.message_count(handle.pid)

    assert run(main) is None


# ---- dead letters ----------------------------------------------------------------------------------------------------


def test_the_first_dead_letters_are_reported_the_others_counted(run_app):
    result = run_app("""
        import smarm
        def main():
            handle = smarm.spawn(abs, -1)
            handle.join()
            for _ in range(5):
                smarm.send(handle.pid, "nobody reads this")
            print(smarm.statistics().dead_letters)
        smarm.run(main, workers=1, report_dead_letters=2)
    """)
    assert result.code == 0
    assert result.out == "5\n"
    first, second = result.err.splitlines()
    assert "a dead letter from <pid 0." in first
    assert first.endswith("which has ended")
    assert second.endswith("only counted: smarm.statistics().dead_letters)")


def test_unread_messages_are_reported_together_and_notices_are_none(run_app):
    result = run_app("""
        import smarm
        def main():
            def work():
                ref = smarm.spawn(abs, -1, monitor=True).monitor
                while smarm.message_count() != 4:  # ours, and the Down
                    smarm.yield_now()
            handle = smarm.spawn(work)
            for number in range(3):
                smarm.send(handle.pid, number)
            handle.join()
            print(smarm.statistics().dead_letters)
        smarm.run(main, workers=1)
    """)
    assert result.out == "3\n"
    assert "smarm: 3 dead letters to <pid" in result.err
    assert "ended without reading" in result.err


def test_the_end_of_the_runtime_is_no_news(succeed):
    succeed("""
        import smarm
        def main():
            handles = [smarm.spawn(smarm.sleep, 1000) for _ in range(3)]
            for handle in handles:
                smarm.send(handle.pid, "unread")
            smarm.send(smarm.self(), "unread")
        smarm.run(main, workers=2)
    """)
