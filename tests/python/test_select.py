"""select: the first of several things."""

from __future__ import annotations

import collections
import gc
import os
import socket
import weakref

import in_workers
import pytest

import smarm
import smarm.testing


def test_select_takes_what_is_there_and_says_from_where(alone):
    def main():
        empty = smarm.channel()[1:]
        tx, rx = smarm.channel()
        tx.send([1])
        tx.send([2])
        source, value = smarm.select(rx, smarm.mailbox())
        del empty
        return source is rx, value, len(rx)

    assert alone(main) == (True, [1], 1)


def test_select_parks_until_one_of_them_comes(alone, wait_until_parked):
    def main():
        channels = [smarm.channel() for _ in range(10)]  # more than fit on the stack

        def work():
            source, value = smarm.select(*(rx for _, rx in channels))
            return [rx for _, rx in channels].index(source), value

        handle = smarm.spawn(work)
        wait_until_parked(handle.pid, "one of several things")
        channels[7][0].send("seven")
        return handle.join()

    assert alone(main) == (7, "seven")


def test_a_value_comes_from_another_worker(on):
    def main():
        one, two = smarm.channel(), smarm.channel()
        handle = smarm.spawn(in_workers.count_to, two[0], 100, on=on)
        values = [smarm.select(one[1], two[1])[1] for _ in range(100)]
        handle.join()
        return values

    assert smarm.run(main, workers=2) == list(range(100))


def test_messages_that_match_are_taken_from_the_mailbox(alone):
    def main():
        _tx, rx = smarm.channel()
        me = smarm.self()
        for message in (1, "text", 2.0):
            smarm.send(me, message)
        texts = smarm.mailbox(str)
        assert smarm.select(rx, texts) == (texts, "text")
        with pytest.raises(smarm.Timeout, match="no source had anything"):
            smarm.select(rx, texts, timeout=0.001)
        above = smarm.mailbox(lambda message: message > 1.5)
        assert smarm.select(rx, above) == (above, 2.0)
        return smarm.receive()

    assert alone(main) == 1


def test_a_match_may_come_while_the_actor_waits(alone, wait_until_parked):
    def main():
        _tx, rx = smarm.channel()
        handle = smarm.spawn(lambda: (smarm.select(rx, smarm.mailbox(int))[1], smarm.receive()))
        wait_until_parked(handle.pid)
        smarm.send(handle.pid, "noise")
        wait_until_parked(handle.pid)
        smarm.send(handle.pid, 7)
        return handle.join()

    assert alone(main) == (7, "noise")


def test_a_down_is_found_by_its_ref(alone):
    def main():
        _tx, rx = smarm.channel()
        for number in range(100):
            smarm.send(smarm.self(), number)
        handle = smarm.spawn(abs, -1, monitor=True)
        ref = handle.monitor
        _, down = smarm.select(rx, smarm.mailbox(ref))
        assert (down.ref, down.reason) == (ref, "normal")
        fresh = smarm.monitor(handle.pid)
        return smarm.select(rx, smarm.mailbox(fresh))[1].reason

    assert alone(main) == "noproc"


def test_a_predicate_that_raises_ends_the_select_and_takes_nothing(alone):
    def main():
        smarm.send(smarm.self(), 1)
        with pytest.raises(ZeroDivisionError):
            smarm.select(smarm.mailbox(lambda message: 1 / 0))
        return smarm.receive()

    assert alone(main) == 1


def test_of_sources_that_always_have_something_each_gets_its_turn(alone):
    def main():
        receivers = []
        for _ in range(3):
            tx, rx = smarm.channel()
            for number in range(600):
                tx.send(number)
            receivers.append((tx, rx))
        for number in range(600):
            smarm.send(smarm.self(), number)
        sources = [*(rx for _, rx in receivers), smarm.mailbox()]
        return collections.Counter(sources.index(smarm.select(*sources)[0]) for _ in range(600))

    counts = alone(main)
    assert len(counts) == 4
    assert min(counts.values()) > 80  # 150 expected; 80 is 6 standard deviations away


def test_in_a_simulation_the_seed_chooses():
    def main():
        channels = [smarm.channel() for _ in range(4)]
        for index, (tx, _) in enumerate(channels):
            tx.send(index)
        return [smarm.select(*(rx for _, rx in channels))[1] for _ in range(4)]

    orders = {seed: smarm.testing.simulate(main, seed=seed) for seed in range(20)}
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders.values())
    assert len(set(map(tuple, orders.values()))) > 5
    assert orders[7] == smarm.testing.simulate(main, seed=7)


def test_moments(alone):
    def main():
        _tx, rx = smarm.channel()
        late, soon = smarm.after(30), smarm.after(0.005)
        assert smarm.select(rx, late, soon) == (soon, None)
        assert smarm.select(rx, soon) == (soon, None)  # it is past
        with pytest.raises(smarm.Timeout):
            smarm.select(late, rx, timeout=0.001)
        now = smarm.after(0)
        return smarm.select(rx, now) == (now, None)

    assert alone(main)


def test_descriptors(alone):
    def main():
        _tx, rx = smarm.channel()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            source = smarm.readable(ours)
            with pytest.raises(smarm.Timeout):
                smarm.select(rx, source, timeout=0.001)
            smarm.spawn(lambda: theirs.send(b"x"))
            chosen, value = smarm.select(rx, source)
            assert chosen is source
            assert value is ours
            assert ours.recv(1) == b"x"
            out = smarm.writable(theirs.fileno())
            assert smarm.select(rx, source, out) == (out, theirs.fileno())
        with pytest.raises(ValueError, match="file descriptor"):
            smarm.select(source)  # the socket is closed now

    alone(main)


def test_a_descriptor_that_is_closed_meanwhile(alone, wait_until_parked):
    def main():
        read, write = os.pipe()
        source = smarm.readable(read)

        def work():
            with pytest.raises(smarm.Closed) as caught:
                smarm.select(source, smarm.mailbox())
            return caught.value.source is source

        handle = smarm.spawn(work)
        wait_until_parked(handle.pid)
        smarm.io.close(read)
        assert handle.join()
        with pytest.raises(OSError, match="Bad file") as caught:
            smarm.select(source)
        assert caught.value.source is source
        os.close(write)

    alone(main)


def test_a_closed_receiver_is_named(alone):
    def main():
        tx, rx = smarm.channel()
        other_tx, other = smarm.channel()
        tx.send("left")
        tx.close(cause="done")
        assert smarm.select(rx, other) == (rx, "left")
        with pytest.raises(smarm.Closed, match="done") as caught:
            smarm.select(other, rx)
        assert caught.value.source is rx
        assert caught.value.cause == "done"
        other_tx.send(1)
        return smarm.select(other)

    assert alone(main)[1] == 1


def test_a_receiver_that_closes_meanwhile_ends_the_select(on):
    def main():
        tx, rx = smarm.channel()
        _other_tx, other = smarm.channel()
        handle = smarm.spawn(in_workers.close_with, tx, "gone", on=on)
        with pytest.raises(smarm.Closed, match="gone") as caught:
            smarm.select(rx, other)
        handle.join()
        return caught.value.source is rx

    assert smarm.run(main, workers=2)


def test_sources_are_merged_until_all_are_closed(on):
    def main():
        receivers = []
        for _ in range(4):
            tx, rx = smarm.channel(2)
            smarm.spawn(in_workers.count_to, tx, 50, on=on)
            receivers.append(rx)
        del tx
        values = []
        while receivers:
            try:
                values.append(smarm.select(*receivers)[1])
            except smarm.Closed as closed:
                receivers.remove(closed.source)
        return sorted(values)

    assert smarm.run(main, workers=2) == sorted(list(range(50)) * 4)


def test_a_select_that_is_killed_leaves_its_queues(on):
    def main():
        one, two = smarm.channel(), smarm.channel()
        handle = smarm.spawn(in_workers.select_forever, one[1], two[1], on=on, monitor=True)
        while smarm.process_info(handle.pid).state != "parked":
            smarm.yield_now()
        smarm.kill(handle.pid)
        smarm.receive(handle.monitor)
        one[0].send(1)
        two[0].send(2)
        return one[1].recv(timeout=30), two[1].recv(timeout=30)

    assert smarm.run(main, workers=2) == (1, 2)


def test_a_timeout_block_ends_a_select(alone):
    def main():
        tx, rx = smarm.channel()
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001):
            smarm.select(rx, smarm.mailbox())
        tx.send("later")
        return smarm.select(rx, timeout=0)[1]

    assert alone(main) == "later"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda rx: smarm.select(), TypeError, "at least one source"),
        (lambda rx: smarm.select(1), TypeError, "not for int"),
        (lambda rx: smarm.select(rx, None), TypeError, "not for NoneType"),
        (lambda rx: smarm.select(rx, wait=1), TypeError, "unexpected keyword argument 'wait'"),
        (lambda rx: smarm.select(rx, timeout=-1), ValueError, "0 or more"),
        (lambda rx: smarm.mailbox("text"), TypeError, "a type, a tuple of types, a predicate or a Ref, not by 'text'"),
        (lambda rx: smarm.mailbox(int, 1), TypeError, "2 arguments"),
        (lambda rx: smarm.after(-1), ValueError, "0 or more"),
        (lambda rx: smarm.after("1"), TypeError, "number of seconds"),
        (lambda rx: smarm.readable("file"), TypeError, "fileno"),
        (lambda rx: smarm.writable(-1), ValueError, "negative"),
        (lambda rx: smarm.Source(), TypeError, "cannot create"),
    ],
)
def test_wrong_arguments_are_refused(alone, call, error, message):
    def main():
        _tx, rx = smarm.channel()
        with pytest.raises(error, match=message):
            call(rx)

    alone(main)


def test_select_needs_an_actor():
    with pytest.raises(smarm.NoRuntime):
        smarm.select(1)
    with pytest.raises(smarm.NoRuntime):
        smarm.after(1)


def test_sources_say_what_they_are_and_are_collected(alone):
    assert repr(smarm.mailbox(int)) == "<smarm.mailbox(<class 'int'>)>"

    class Predicate:
        def __call__(self, message):
            return True

    predicate = Predicate()
    predicate.source = smarm.mailbox(predicate)  # a cycle
    gone = weakref.ref(predicate)
    del predicate
    gc.collect()
    assert gone() is None
