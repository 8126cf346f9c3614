"""send and receive: an actor's mailbox."""

from __future__ import annotations

import threading

import in_workers
import pytest

import smarm


def test_messages_are_received_in_the_order_of_sending(alone):
    def main():
        me = smarm.self()
        for number in range(1000):
            smarm.send(me, number)
        return [smarm.receive() for _ in range(1000)]

    assert alone(main) == list(range(1000))


def test_receive_parks_until_a_message_comes(alone, wait_until_parked):
    def main():
        handle = smarm.spawn(smarm.receive)
        wait_until_parked(handle.pid, "a message")
        smarm.send(handle.pid, "here")
        return handle.join()

    assert alone(main) == "here"


def test_two_actors_talk(alone):
    def main():
        me = smarm.self()
        handle = smarm.spawn(in_workers.reply_to, me)
        answers = []
        for number in range(100):
            smarm.send(handle.pid, number)
            answers.append(smarm.receive())
        smarm.send(handle.pid, None)
        handle.join()
        return answers

    assert alone(main) == list(range(100))


@pytest.mark.parametrize("value", [None, True, 10**100, 1.5, "t" * 100, b"b" * 100, ("a", (1, 2.0)), frozenset({1})])
def test_an_immutable_message_goes_by_reference_inside_one_interpreter(alone, value):
    def main():
        smarm.send(smarm.self(), value)
        return smarm.receive() is value

    assert alone(main)


@pytest.mark.parametrize("value", [[], [1, [2]], {"k": {1}}, {1, 2}, bytearray(b"x"), ([],), in_workers.Point(1, 2)])
def test_a_mutable_message_is_copied(alone, value):
    def main():
        smarm.send(smarm.self(), value)
        return smarm.receive()

    received = alone(main)
    assert received == value
    assert received is not value


def test_changing_what_was_sent_does_not_reach_the_receiver(alone):
    def main():
        rows = [1, [2]]
        smarm.send(smarm.self(), rows)
        rows[1].append("late")
        rows.clear()
        return smarm.receive()

    assert alone(main) == [1, [2]]


def test_a_message_that_cannot_be_sent_names_the_path_and_sends_nothing(alone):
    def main():
        with pytest.raises(smarm.NotSendable, match=r"message\['rows'\]\[1\]"):
            smarm.send(smarm.self(), {"rows": [1, threading.Lock()]})
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0)

    alone(main)


def test_a_message_to_an_actor_that_has_ended_is_a_dead_letter(alone):
    def main():
        handle = smarm.spawn(abs, -1)
        handle.join()
        before = smarm.statistics().dead_letters
        for message in ("text", [1]):
            assert smarm.send(handle.pid, message) is None
        return smarm.statistics().dead_letters - before

    assert alone(main) == 2


def test_what_an_actor_leaves_unread_is_dead(alone):
    def main():
        handle = smarm.spawn(smarm.receive)
        for number in range(5):
            smarm.send(handle.pid, number)
        assert handle.join() == 0
        return smarm.statistics().dead_letters

    assert alone(main) == 4


def test_a_stale_pid_never_reaches_the_next_actor_of_its_slot(alone):
    def main():
        stale = smarm.spawn(abs, -1)
        stale.join()
        heirs = []
        while not any(heir.pid.index == stale.pid.index for heir in heirs):
            heirs.append(smarm.spawn(smarm.receive))
        heir = next(heir for heir in heirs if heir.pid.index == stale.pid.index)
        assert heir.pid != stale.pid
        smarm.send(stale.pid, "for the dead")
        smarm.send(heir.pid, "for the heir")
        return heir.join()

    assert alone(main) == "for the heir"


def test_a_pid_of_an_earlier_runtime_reaches_nobody(alone):
    strangers = alone(lambda: [smarm.self(), *(smarm.spawn(abs, -1).pid for _ in range(20))])

    def main():
        handles = [smarm.spawn(smarm.receive) for _ in range(20)]
        for stranger in strangers:
            assert smarm.process_info(stranger) is None
            smarm.send(stranger, "from another life")
        for handle in handles:
            smarm.send(handle.pid, "mine")
        return {handle.join() for handle in handles}

    assert alone(main) == {"mine"}


@pytest.mark.parametrize("target", [None, 1, "name", (0, 1), object()])
def test_send_needs_a_pid_or_a_name(alone, target):
    def main():
        with pytest.raises((TypeError, smarm.SmarmError)):
            smarm.send(target, "message")

    alone(main)


@pytest.mark.parametrize("arguments", [(), (1, 2, 3)])
def test_send_takes_a_pid_and_a_message(alone, arguments):
    def main():
        with pytest.raises(TypeError, match=r"send\(\)"):
            smarm.send(*arguments)

    alone(main)


def test_receive_times_out(alone):
    def main():
        for timeout in (0, 0.0, 0.001):
            with pytest.raises(smarm.Timeout, match=r"no .*message came"):
                smarm.receive(timeout=timeout)
        smarm.send(smarm.self(), "there")
        return smarm.receive(timeout=0)

    assert alone(main) == "there"


def test_a_message_waits_for_an_actor_that_does_something_else(alone, wait_until_parked):
    def main():
        tx, rx = smarm.channel()

        def work():
            value = rx.recv()
            return value, smarm.receive(timeout=0)

        handle = smarm.spawn(work)
        wait_until_parked(handle.pid, "a channel's value")
        smarm.send(handle.pid, "message")  # does not wake it
        smarm.yield_now()
        assert smarm.process_info(handle.pid).state == "parked"
        tx.send("value")
        return handle.join()

    assert alone(main) == ("value", "message")


def test_the_number_of_waiting_messages_is_seen(alone):
    def main():
        handle = smarm.spawn(smarm.sleep, 0)
        for number in range(3):
            smarm.send(handle.pid, number)
        return smarm.process_info(handle.pid).messages

    assert alone(main) == 3


def test_a_big_mailbox_is_no_problem(alone):
    def main():
        me = smarm.self()
        for number in range(200_000):
            smarm.send(me, number)
        total = 0
        for _ in range(200_000):
            total += smarm.receive()
        return total

    assert alone(main) == sum(range(200_000))


def test_messages_cross_workers_in_order(succeed):
    out = succeed("""
        import smarm
        def forward(to):
            while (message := smarm.receive()) is not None:
                smarm.send(to, (smarm.worker_index(), message))
        def main():
            me = smarm.self()
            forwarders = [smarm.spawn(forward, me, on=index) for index in range(3)]
            for number in range(500):
                for forwarder in forwarders:
                    smarm.send(forwarder.pid, [number])
            last = [-1] * 3
            for _ in range(1500):
                worker, (number,) = smarm.receive()
                assert last[worker] == number - 1
                last[worker] = number
            for forwarder in forwarders:
                smarm.send(forwarder.pid, None)
                forwarder.join()
            print(last)
        smarm.run(main, workers=3)
    """)
    assert out == "[499, 499, 499]\n"


def test_messages_to_an_actor_that_has_not_started_keep_their_order(succeed):
    out = succeed("""
        import smarm
        def collect():
            return [smarm.receive() for _ in range(200)]
        def main():
            for _ in range(20):
                handles = [smarm.spawn(collect) for _ in range(5)]
                for number in range(200):
                    for handle in handles:
                        smarm.send(handle.pid, number)
                for handle in handles:
                    assert handle.join() == list(range(200))
            print("in order")
        smarm.run(main, workers=2)
    """)
    assert out == "in order\n"
