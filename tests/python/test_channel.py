"""channel, Sender and Receiver."""

from __future__ import annotations

import gc
import math
import threading

import in_workers
import pytest

import smarm


def test_values_are_received_in_the_order_of_sending(alone):
    def main():
        tx, rx = smarm.channel()
        for number in range(1000):
            tx.send(number)
        waiting = len(rx)
        return waiting, [rx.recv() for _ in range(1000)]

    assert alone(main) == (1000, list(range(1000)))


def test_a_receiver_iterates_until_the_last_sender_is_gone(alone):
    def main():
        tx, rx = smarm.channel()
        handle = smarm.spawn(in_workers.count_to, tx, 100)
        del tx
        values = list(rx)
        handle.join()
        return values

    assert alone(main) == list(range(100))


def test_both_ends_go_through_actors(alone):
    def main():
        requests, their_requests = smarm.channel()
        their_replies, replies = smarm.channel()
        handle = smarm.spawn(in_workers.echo, their_requests, their_replies)
        del their_replies, their_requests
        for number in range(10):
            requests.send([number])
        requests.close()
        values = list(replies)
        return values, handle.join()

    assert alone(main) == ([[number] for number in range(10)], 10)


@pytest.mark.parametrize("value", [None, True, 10**100, 1.5, "t" * 100, b"b" * 100, ("a", (1, 2.0))])
def test_an_immutable_value_goes_by_reference_inside_one_interpreter(alone, value):
    def main():
        tx, rx = smarm.channel()
        tx.send(value)
        return rx.recv() is value

    assert alone(main)


@pytest.mark.parametrize("value", [[], {"k": [1]}, {1}, bytearray(b"x"), ([],), in_workers.Point(1, 2)])
def test_a_mutable_value_is_copied(alone, value):
    def main():
        tx, rx = smarm.channel()
        tx.send(value)
        return rx.recv()

    received = alone(main)
    assert received == value
    assert received is not value


def test_a_value_that_cannot_be_sent_names_the_path_and_sends_nothing(alone):
    def main():
        tx, rx = smarm.channel()
        with pytest.raises(smarm.NotSendable, match=r"message\[0\]\['lock'\]"):
            tx.send([{"lock": threading.Lock()}])
        return len(rx)

    assert alone(main) == 0


# ---- capacity --------------------------------------------------------------------------------------------------------


def test_a_bounded_channel_parks_its_sender_while_it_is_full(alone, wait_until_parked):
    def main():
        tx, rx = smarm.channel(2)
        sent = []

        def produce():
            for number in range(6):
                tx.send(number)
                sent.append(number)

        handle = smarm.spawn(produce)
        wait_until_parked(handle.pid, "room in a channel")
        before = list(sent), len(rx)
        values = [rx.recv() for _ in range(6)]
        handle.join()
        return before, values

    assert alone(main) == (([0, 1], 2), list(range(6)))


def test_senders_are_let_in_first_come_first_served(alone):
    def main():
        tx, rx = smarm.channel(capacity=1)
        handles = [smarm.spawn(lambda number=number: tx.send(number)) for number in range(20)]
        smarm.yield_now()
        values = []
        while len(values) < 20:
            values.append(rx.recv())
            smarm.yield_now()
        for handle in handles:
            handle.join()
        return values

    assert alone(main) == list(range(20))


@pytest.mark.parametrize("capacity", [-1, -(10**30)])
def test_a_negative_capacity_is_refused(alone, capacity):
    def main():
        with pytest.raises(smarm.ConfigError, match=f"at least 0, not {capacity}"):
            smarm.channel(capacity)

    alone(main)


@pytest.mark.parametrize("capacity", [1.0, "1", [1], object()])
def test_a_capacity_is_a_whole_number(alone, capacity):
    def main():
        with pytest.raises(TypeError):
            smarm.channel(capacity)

    alone(main)


def test_a_capacity_may_be_as_large_as_you_like(alone):
    def main():
        for capacity in (1, 2**62, 10**30, None):
            tx, rx = smarm.channel(capacity=capacity)
            tx.send("fits")
            assert rx.recv() == "fits"

    alone(main)


# ---- closing ---------------------------------------------------------------------------------------------------------


def test_after_close_receivers_take_what_is_left_and_then_learn_it(alone):
    def main():
        tx, rx = smarm.channel()
        tx.send(1)
        tx.send(2)
        tx.close()
        tx.close()
        with pytest.raises(smarm.Closed):
            tx.send(3)
        assert [rx.recv(), rx.recv()] == [1, 2]
        for _ in range(2):
            with pytest.raises(smarm.Closed):
                rx.recv()
            with pytest.raises(smarm.Closed):
                rx.recv(timeout=0)
            assert list(rx) == []

    alone(main)


def test_dropping_the_last_sender_closes_the_channel_for_a_parked_receiver(alone, wait_until_parked):
    def main():
        tx, rx = smarm.channel()
        handle = smarm.spawn(in_workers.collect, rx)
        wait_until_parked(handle.pid)
        del tx
        return handle.join()

    assert alone(main) == []


def test_a_receiver_that_is_closed_or_gone_frees_parked_senders(alone, wait_until_parked):
    def main():
        for close in (True, False):
            tx, rx = smarm.channel(1)
            tx.send("fills it")

            def produce(tx=tx):
                with pytest.raises(smarm.Closed, match="no receiver"):
                    tx.send("too much")
                return "freed"

            handle = smarm.spawn(produce)
            wait_until_parked(handle.pid)
            if close:
                rx.close()
            del rx
            assert handle.join() == "freed"

    alone(main)


def test_an_end_in_an_unread_message_still_counts(alone):
    def main():
        tx, rx = smarm.channel()
        carrier_tx, carrier_rx = smarm.channel()
        carrier_tx.send(tx)
        del tx
        with pytest.raises(smarm.Timeout):
            rx.recv(timeout=0)
        carrier_rx.recv().send("through")
        return rx.recv(), list(rx)

    assert alone(main) == ("through", [])


def test_an_end_in_a_message_that_nobody_will_read_is_gone(alone):
    def main():
        tx, rx = smarm.channel()
        carrier_tx, carrier_rx = smarm.channel()
        carrier_tx.send([tx])
        del tx, carrier_rx
        return list(rx)

    assert alone(main) == []


def test_a_channel_may_carry_its_own_ends(alone):
    def main():
        tx, rx = smarm.channel()
        tx.send((tx, rx))
        same_tx, same_rx = rx.recv()
        same_tx.send("round")
        return same_rx.recv()

    assert alone(main) == "round"


def test_many_unused_channels_leave_nothing(alone):
    def main():
        for _ in range(50_000):
            tx, _rx = smarm.channel()
            tx.send([tx])  # a cycle through the channel, broken when the receiver goes
        gc.collect()

    alone(main)


# ---- timeouts --------------------------------------------------------------------------------------------------------


def test_recv_and_send_time_out(alone):
    def main():
        tx, rx = smarm.channel(1)
        for timeout in (0, 0.001):
            with pytest.raises(smarm.Timeout, match="no value came"):
                rx.recv(timeout)
            with pytest.raises(smarm.Timeout):
                rx.recv(timeout=timeout)
        tx.send(1, timeout=0)
        for timeout in (0, 0.001):
            with pytest.raises(smarm.Timeout, match="no room"):
                tx.send(2, timeout)
        return rx.recv(timeout=0), len(rx)

    assert alone(main) == (1, 0)


PLACES = {
    "sleep": lambda timeout: smarm.sleep(timeout),
    "receive": lambda timeout: smarm.receive(timeout=timeout),
    "recv": lambda timeout: smarm.channel()[1].recv(timeout),
    "send": lambda timeout: smarm.channel()[0].send(1, timeout),
    "join": lambda timeout: smarm.spawn(smarm.receive).join(timeout),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("timeout", [-1, -0.001, -math.inf, math.nan, -(10**400)])
def test_a_timeout_that_is_negative_or_no_number_is_refused(alone, place, timeout):
    def main():
        with pytest.raises(ValueError, match=r"timeout must be 0 or more"):
            PLACES[place](timeout)

    alone(main)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("timeout", ["1", b"1", [1], 1j, object()])
def test_a_timeout_is_a_number(alone, place, timeout):
    def main():
        with pytest.raises(TypeError, match=f"number of seconds.*not {type(timeout).__name__}"):
            PLACES[place](timeout)

    alone(main)


@pytest.mark.parametrize("timeout", [1e9, 1e18, 1e300, math.inf, 10**30, 10**400])
def test_a_huge_timeout_means_never(alone, wait_until_parked, timeout):
    def main():
        tx, rx = smarm.channel()
        handles = [
            smarm.spawn(lambda: rx.recv(timeout)),
            smarm.spawn(lambda: smarm.receive(timeout=timeout)),
            smarm.spawn(lambda: smarm.sleep(timeout)),
        ]
        for handle in handles:
            wait_until_parked(handle.pid)
        tx.send("value")
        smarm.send(handles[1].pid, "message")
        return handles[0].join(), handles[1].join()

    assert alone(main) == ("value", "message")


def test_a_number_like_object_serves_as_a_timeout(alone):
    import decimal
    import fractions

    def main():
        for timeout in (decimal.Decimal("0.001"), fractions.Fraction(1, 1000), True):
            rx = smarm.channel()[1]
            with pytest.raises(smarm.Closed):
                rx.recv(timeout)

    alone(main)


def test_sleep_needs_a_number(alone):
    def main():
        with pytest.raises(TypeError):
            smarm.sleep(None)
        with pytest.raises(TypeError):
            smarm.sleep()
        smarm.sleep(0)
        smarm.sleep(1e-9)

    alone(main)


def test_sleepers_wake_in_the_order_of_their_deadlines(alone):
    def main():
        order = []

        def sleep(duration):
            smarm.sleep(duration)
            order.append(duration)

        # Far enough apart for the timers' ticks; the start of all is one turn of this worker.
        durations = [0.05, 0.01, 0.03, 0.02, 0.04]
        for handle in [smarm.spawn(sleep, duration) for duration in durations]:
            handle.join()
        return order

    assert alone(main) == [0.01, 0.02, 0.03, 0.04, 0.05]


@pytest.mark.parametrize("call", [
    lambda tx, rx: tx.send(),
    lambda tx, rx: tx.send(1, 2, 3),
    lambda tx, rx: tx.send(1, wait=2),
    lambda tx, rx: rx.recv(1, 2),
    lambda tx, rx: rx.recv(timeouts=1),
    lambda tx, rx: tx.close(1, 2),
    lambda tx, rx: smarm.channel(1, 2),
    lambda tx, rx: smarm.channel(size=1),
])  # fmt: skip
def test_wrong_arguments_are_refused(alone, call):
    def main():
        with pytest.raises(TypeError):
            call(*smarm.channel())

    alone(main)


# ---- across workers --------------------------------------------------------------------------------------------------


def test_many_producers_and_consumers_on_all_workers_lose_nothing(succeed):
    out = succeed("""
        import smarm
        def produce(tx, first, count):
            for number in range(first, first + count):
                tx.send([number])
        def consume(rx):
            return [number for [number] in rx]
        def main():
            for capacity in (1, 10, None):
                tx, rx = smarm.channel(capacity)
                producers = [smarm.spawn(produce, tx, 300 * n, 300, on=n % 3) for n in range(5)]
                consumers = [smarm.spawn(consume, rx, on=n % 3) for n in range(5)]
                del tx, rx
                for producer in producers:
                    producer.join()
                got = sorted(number for consumer in consumers for number in consumer.join())
                assert got == list(range(1500)), len(got)
            print("all")
        smarm.run(main, workers=3)
    """)
    assert out == "all\n"


def test_a_channel_in_use_moves_on_to_other_workers_with_its_content(succeed):
    out = succeed("""
        import smarm
        def drain(rx):
            return list(rx)
        def main():
            tx, rx = smarm.channel()
            tx.send("immutable")
            tx.send(["mutable"])
            local = smarm.spawn(lambda: rx.recv(), on="local")
            smarm.yield_now()
            remote = smarm.spawn(drain, rx, on=1)
            tx.send(3)
            del tx, rx
            print(local.join(), remote.join())
        smarm.run(main, workers=2)
    """)
    assert out == "immutable [['mutable'], 3]\n"


def test_an_end_that_dies_on_another_worker_closes_the_channel(succeed):
    out = succeed("""
        import smarm
        def drop(end):
            pass
        def main():
            tx, rx = smarm.channel()
            smarm.spawn(drop, tx, on=1).join()
            tx.send(1)  # ours is still there
            smarm.spawn(drop, tx, on=1)
            del tx
            print(list(rx))
            tx, rx = smarm.channel(1)
            smarm.spawn(drop, rx, on=1)
            del rx
            try:
                while True:
                    tx.send(1)
            except smarm.Closed:
                print("closed")
        smarm.run(main, workers=2)
    """)
    assert out == "[1]\nclosed\n"


def test_an_end_of_an_empty_channel_is_true(alone):
    def main():
        tx, rx = smarm.channel()
        assert tx
        assert rx
        assert len(tx) == len(rx) == 0

    alone(main)
