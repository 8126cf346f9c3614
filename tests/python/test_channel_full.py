"""Channels: what a full one does, rendezvous, close with a cause.  See also test_channel.py."""

from __future__ import annotations

import in_workers
import pytest

import smarm

# ---- on_full ---------------------------------------------------------------------------------------------------------


def test_drop_oldest_keeps_the_newest_values_and_counts_the_others(alone):
    def main():
        tx, rx = smarm.channel(2, on_full="drop_oldest")
        for number in range(5):
            tx.send([number])
        tx.close()
        return list(rx), tx.dropped, rx.dropped

    assert alone(main) == ([[3], [4]], 3, 3)


def test_drop_newest_keeps_the_oldest_values(alone):
    def main():
        tx, rx = smarm.channel(2, on_full="drop_newest")
        for number in range(5):
            tx.send(number)
        first = rx.recv()
        tx.send(5)
        tx.close()
        return first, list(rx), rx.dropped

    assert alone(main) == (0, [1, 5], 3)


def test_error_raises_full_and_sends_nothing(alone):
    def main():
        tx, rx = smarm.channel(capacity=1, on_full="error")
        tx.send(1)
        with pytest.raises(smarm.Full, match="1 values wait already"):
            tx.send(2)
        with pytest.raises(smarm.SmarmError):
            tx.send(2, timeout=5)
        assert rx.recv() == 1
        tx.send(3)
        return len(rx), len(tx), rx.recv(), tx.dropped

    assert alone(main) == (1, 1, 3, 0)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_a_sender_on_another_worker_is_never_parked_by_a_channel_that_drops(policy):
    def main():
        tx, rx = smarm.channel(4, on_full=policy)
        smarm.spawn(in_workers.count_to, tx, 1000, on=1).join()
        tx.close()
        return list(rx), rx.dropped

    expected = list(range(996, 1000)) if policy == "drop_oldest" else list(range(4))
    assert smarm.run(main, workers=2) == (expected, 996)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"capacity": 1, "on_full": "discard"}, '"drop_oldest".*not "discard"'),
        ({"on_full": "error"}, 'on_full="error" needs a channel with a capacity'),
        ({"capacity": 0, "on_full": "drop_oldest"}, "needs a channel with a capacity"),
    ],
)
def test_what_cannot_be_is_refused(alone, arguments, message):
    def main():
        with pytest.raises(smarm.ConfigError, match=message):
            smarm.channel(**arguments)
        with pytest.raises(TypeError):
            smarm.channel(1, on_full=3)
        with pytest.raises(TypeError):
            smarm.channel(1, "wait")

    alone(main)


def test_the_ends_say_what_the_channel_is_like(alone):
    def main():
        tx, rx = smarm.channel(3)
        assert (tx.capacity, rx.capacity, smarm.channel()[0].capacity) == (3, 3, None)
        assert not tx.closed
        tx.close()
        assert tx.closed
        assert rx.closed

    alone(main)


# ---- rendezvous ------------------------------------------------------------------------------------------------------


def test_at_a_rendezvous_send_returns_when_the_value_was_taken(alone, wait_until_parked):
    def main():
        tx, rx = smarm.channel(0)
        events = []

        def produce():
            for number in range(3):
                tx.send([number])
                events.append(f"sent {number}")

        handle = smarm.spawn(produce)
        wait_until_parked(handle.pid, "room in a channel")
        assert len(rx) == 0
        assert events == []
        values = [rx.recv() for _ in range(3)]
        handle.join()
        return values, events

    assert alone(main) == ([[0], [1], [2]], ["sent 0", "sent 1", "sent 2"])


def test_a_rendezvous_across_workers(on):
    def main():
        tx, rx = smarm.channel(0)
        handle = smarm.spawn(in_workers.count_to, tx, 200, on=on)
        del tx
        values = list(rx)
        handle.join()
        return values

    assert smarm.run(main, workers=2) == list(range(200))


def test_a_rendezvous_that_nobody_comes_to_times_out(alone):
    def main():
        tx, rx = smarm.channel(0)
        with pytest.raises(smarm.Timeout, match="no receiver took"):
            tx.send(1, timeout=0.001)
        with pytest.raises(smarm.Timeout, match="no value came"):
            rx.recv(timeout=0.001)

    alone(main)


def test_a_value_that_waits_at_a_rendezvous_goes_to_another_worker_with_the_receiver(wait_until_parked):
    def main():
        tx, rx = smarm.channel(0)
        sender = smarm.spawn(lambda: tx.send("immutable"))
        wait_until_parked(sender.pid)
        remote = smarm.spawn(in_workers.receive_one, rx, on=1)
        sender.join()
        return remote.join()

    assert smarm.run(main, workers=2) == "immutable"


def test_closing_a_rendezvous_frees_its_sender(alone, wait_until_parked):
    def main():
        tx, rx = smarm.channel(0)

        def produce():
            with pytest.raises(smarm.Closed):
                tx.send(1)
            return "freed"

        handle = smarm.spawn(produce)
        wait_until_parked(handle.pid)
        rx.close()
        return handle.join()

    assert alone(main) == "freed"


# ---- close with a cause ----------------------------------------------------------------------------------------------


def test_the_cause_of_a_close_reaches_receivers_after_what_was_queued(alone):
    def main():
        tx, rx = smarm.channel()
        tx.send(1)
        tx.close(cause=ValueError("bad row"))
        tx.close("too late")
        assert rx.recv() == 1
        for use in (rx.recv, lambda: tx.send(2), lambda: list(rx)):
            with pytest.raises(smarm.Closed, match=r"ValueError\('bad row'\)") as caught:
                use()
            assert isinstance(caught.value.cause, ValueError)
            assert caught.value.__cause__ is caught.value.cause

    alone(main)


def test_the_cause_may_be_any_value_and_cross_workers(on):
    def main():
        tx, rx = smarm.channel()
        handle = smarm.spawn(in_workers.close_with, tx, {"code": [7]}, on=on)
        with pytest.raises(smarm.Closed) as caught:
            for _ in rx:
                pass
        handle.join()
        assert caught.value.__cause__ is None
        return caught.value.cause

    assert smarm.run(main, workers=2) == {"code": [7]}


def test_a_receiver_closes_with_a_cause_for_its_senders(alone):
    def main():
        tx, rx = smarm.channel(1)
        tx.send("dropped")
        rx.close("enough")
        with pytest.raises(smarm.Closed, match="enough") as caught:
            tx.send(1)
        assert caught.value.cause == "enough"
        with pytest.raises(smarm.Closed):
            rx.recv()

    alone(main)


def test_a_plain_close_has_no_cause_and_ends_iterations(alone):
    def main():
        tx, rx = smarm.channel()
        tx.close(None)
        with pytest.raises(smarm.Closed) as caught:
            rx.recv()
        assert caught.value.cause is None
        return list(rx)

    assert alone(main) == []


def test_a_cause_that_cannot_be_sent_closes_nothing(alone):
    def main():
        tx, rx = smarm.channel()
        for close in (tx.close, rx.close):
            with pytest.raises(smarm.NotSendable):
                close(in_workers.unsendable())
            with pytest.raises(TypeError):
                close(1, 2)
            with pytest.raises(TypeError):
                close(reason=1)
        tx.send(1)
        return rx.recv()

    assert alone(main) == 1
