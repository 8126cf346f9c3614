"""Selective receive, call and reply."""

import contextlib
import time

import pytest

import smarm


def run(main, *args):
    return smarm.run(main, *args, workers=2)


def post(*messages):
    for message in messages:
        smarm.send(smarm.self(), message)


def test_the_first_match_is_taken_and_the_others_keep_their_order():
    def main():
        post(1, "a", 2.0, [3], "b", {"k": 4})
        assert smarm.receive(str) == "a"
        assert smarm.receive(lambda message: isinstance(message, dict)) == {"k": 4}
        assert smarm.receive((list, float)) == 2.0
        return [smarm.receive() for _ in range(3)]

    assert run(main) == [1, [3], "b"]


def test_nothing_matches_before_the_timeout():
    def main():
        post("a", "b")
        with pytest.raises(smarm.Timeout):
            smarm.receive(int, timeout=0)
        with pytest.raises(smarm.Timeout):
            smarm.receive(int, timeout=0.01)
        return [smarm.receive(), smarm.receive()]

    assert run(main) == ["a", "b"]


def test_a_match_may_come_later_from_another_worker():
    def main():
        post("noise")
        smarm.spawn(sends_number, smarm.self(), on=1)
        return smarm.receive(int), smarm.receive()

    assert run(main) == (7, "noise")


def sends_number(pid):
    smarm.send(pid, "first")
    smarm.send(pid, 7)


def test_a_predicate_that_raises_leaves_the_messages_where_they_are():
    def main():
        post(1, 2)
        with pytest.raises(ZeroDivisionError):
            smarm.receive(lambda message: 1 / 0)
        return [smarm.receive(), smarm.receive()]

    assert run(main) == [1, 2]


def test_a_predicate_may_park_and_receive_itself():
    def main():
        post(1, 2, 3)

        def greedy(message):
            smarm.yield_now()
            return message == 2

        return smarm.receive(greedy), smarm.receive(), smarm.receive()

    assert run(main) == (2, 1, 3)


def test_what_cannot_match_is_named():
    def main():
        with pytest.raises(TypeError, match="type, a tuple of types, a predicate or a Ref"):
            smarm.receive("text")
        with pytest.raises(TypeError):
            smarm.receive(int, 1, 2)
        with pytest.raises(ValueError, match="timeout"):
            smarm.receive(int, timeout=-1)
        with pytest.raises(ValueError, match="timeout"):
            smarm.receive(timeout=float("nan"))

    run(main)


def doubler():
    while True:
        call = smarm.receive(smarm.Call)
        if call.request == "crash":
            raise ValueError("no")
        if call.request == "late":
            smarm.receive("go".__eq__)
        smarm.reply(call, call.request * 2)


@pytest.mark.parametrize("on", ["local", 1])
def test_call_returns_the_answer(on):
    def main(on):
        handle = smarm.spawn(doubler, on=on)
        assert smarm.call(handle.pid, [1, 2]) == [1, 2, 1, 2]
        return [smarm.call(handle.pid, number) for number in range(5)]

    assert run(main, on) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("on", ["local", 1])
def test_a_late_answer_is_never_seen(on):
    def main(on):
        handle = smarm.spawn(doubler, on=on)
        with pytest.raises(smarm.Timeout):
            smarm.call(handle.pid, "late", timeout=0.01)
        smarm.send(handle.pid, "go")
        assert smarm.call(handle.pid, 3) == 6  # answered after the late one
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0)

    run(main, on)


def test_an_answer_that_comes_together_with_the_end_of_a_timeout_block_is_never_seen():
    def main():
        def answer_late():
            call = smarm.receive(smarm.Call)
            with smarm.no_preempt():
                smarm.reply(call, "late")  # the caller can run now, but has not yet
                until = time.monotonic() + 0.02
                while time.monotonic() < until:
                    pass

        handle = smarm.spawn(answer_late)
        # Woken by the answer; the block's end is looked at before the mailbox.
        with contextlib.suppress(smarm.Timeout), smarm.timeout(0.01):
            smarm.call(handle.pid, 1, timeout=None)
        handle.join()
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0)

    smarm.run(main, workers=1)


@pytest.mark.parametrize("on", ["local", 1])
def test_a_server_that_dies_or_is_dead_fails_the_call_at_once(on):
    def main(on):
        handle = smarm.spawn(doubler, on=on, monitor=True)
        with pytest.raises(smarm.ProcessDown) as caught:
            smarm.call(handle.pid, "crash", timeout=None)
        assert isinstance(caught.value.reason, smarm.ActorFailed)
        smarm.receive(handle.monitor)
        with pytest.raises(smarm.ProcessDown, match="noproc"):
            smarm.call(handle.pid, 1, timeout=None)
        with pytest.raises(smarm.ActorFailed):
            handle.join()

    run(main, on)


def test_call_does_not_disturb_other_mail():
    def main():
        handle = smarm.spawn(doubler, on="local")
        post(*range(1000))
        assert smarm.call(handle.pid, "x") == "xx"
        return [smarm.receive() for _ in range(1000)] == list(range(1000))

    assert run(main)


def test_an_actor_cannot_call_itself():
    def main():
        with pytest.raises(RuntimeError, match="itself"):
            smarm.call(smarm.self(), 1)

    run(main)


def test_reply_takes_a_call():
    def main():
        for wrong in (1, (1, 2, 3), None):
            with pytest.raises(TypeError, match="Call"):
                smarm.reply(wrong, 1)

    run(main)


@pytest.mark.parametrize(
    "take",
    [
        lambda: smarm.receive(timeout=0),
        lambda: smarm.receive(int, timeout=0),
        lambda: smarm.select(smarm.mailbox(), timeout=0),
        lambda: smarm.demonitor(smarm.monitor(smarm.self()), flush=True),
    ],
    ids=["receive", "receive a type", "select", "demonitor"],
)
def test_a_predicate_does_not_take_messages_and_loses_none(take):
    def main():
        post(1, 2)
        with pytest.raises(RuntimeError, match="the mailbox is being searched"):
            smarm.receive(lambda message: take() == 1)
        with pytest.raises(RuntimeError, match="the mailbox is being searched"):
            smarm.select(smarm.mailbox(lambda message: take() == 1))
        return smarm.receive(), smarm.receive(), smarm.message_count()

    assert run(main) == (1, 2, 0)


class Receives:
    def __reduce__(self):
        return smarm.receive, ()


def receive_an_int():
    with pytest.raises(RuntimeError, match="the mailbox is being searched"):
        smarm.receive(int)
    return smarm.receive(int)


def test_what_decodes_a_message_does_not_take_others():
    def main():
        handle = smarm.spawn(receive_an_int, on=1)
        smarm.send(handle.pid, Receives())
        smarm.send(handle.pid, 7)
        return handle.join()

    assert run(main) == 7


@pytest.mark.parametrize("match", [5, True, 0.5, "text", (), ("add", int), (int, (str, 1)), list[int], [int]])
def test_a_match_that_could_never_match_is_refused_at_the_call(alone, match):
    def main():
        smarm.send(smarm.self(), 5)
        for look in (smarm.receive, smarm.mailbox):
            with pytest.raises(TypeError, match="matched by a type, a tuple of types, a predicate or a Ref"):
                look(match)
        return smarm.receive((int, (str,)))

    assert alone(main) == 5


def test_a_timeout_given_as_match_is_called_one(alone):
    def main():
        with pytest.raises(TypeError, match="a timeout is given as timeout=5"):
            smarm.receive(5)

    alone(main)


def test_a_union_matches_as_isinstance_does(alone):
    def main():
        post(b"bytes", "text", 2.5, 7)
        assert [smarm.receive(int | str), smarm.receive(int | str), smarm.receive(None | float)] == ["text", 7, 2.5]
        with pytest.raises(TypeError):
            smarm.receive(list[int] | str)

    alone(main)


def test_match_and_timeout_can_be_given_by_name(alone):
    def main():
        post(1, "text")
        assert smarm.receive(match=str, timeout=0) == "text"
        assert smarm.receive(timeout=0, match=int) == 1
        with pytest.raises(smarm.Timeout):
            smarm.receive(match=None, timeout=0)
        for arguments, named in (
            ((int,), {"match": int}),
            ((int, 0), {"timeout": 0}),
            ((), {"wait": 0}),
        ):
            with pytest.raises(TypeError, match="takes match= and timeout=, each once"):
                smarm.receive(*arguments, **named)
        with pytest.raises(TypeError, match="3 arguments were given"):
            smarm.receive(int, 0, 0)

    alone(main)
