"""JoinHandle: waiting for an actor, its value, and what cannot be joined."""

from __future__ import annotations

import math

import in_workers
import pytest

import smarm


def test_join_waits_and_gives_the_value_again_and_again(alone):
    def main():
        tx, rx = smarm.channel()
        handle = smarm.spawn(in_workers.collect, rx)
        tx.send(1)
        tx.send("two")
        del tx
        return handle.join(), handle.join(), handle.join(timeout=0)

    assert alone(main) == ([1, "two"],) * 3


def test_many_actors_may_join_one(alone):
    def main():
        target = smarm.spawn(lambda: [smarm.receive()])
        joiners = [smarm.spawn(lambda: target.join()) for _ in range(20)]
        smarm.yield_now()
        smarm.send(target.pid, "go")
        return [joiner.join() for joiner in joiners]

    assert alone(main) == [["go"]] * 20


def test_a_failure_is_raised_at_every_join(alone):
    def main():
        handle = smarm.spawn(in_workers.fail, "broken")
        texts = []
        for _ in range(3):
            with pytest.raises(smarm.ActorFailed) as caught:
                handle.join()
            texts.append(str(caught.value))
        return texts

    texts = alone(main)
    assert len(set(texts)) == 1
    assert "ValueError: broken" in texts[0]


def test_joining_oneself_is_refused(alone):
    def main():
        box = {}

        def join_myself():
            with pytest.raises(RuntimeError, match="cannot join itself"):
                box["handle"].join()
            with pytest.raises(RuntimeError, match="cannot join itself"):
                box["handle"].join(timeout=0)
            return "refused"

        box["handle"] = smarm.spawn(join_myself)
        return box["handle"].join()

    assert alone(main) == "refused"


def test_a_join_times_out_and_can_be_tried_again(alone):
    def main():
        handle = smarm.spawn(smarm.receive)
        for timeout in (0, 0.0, 0.001, True):
            with pytest.raises(smarm.Timeout, match="did not end") as caught:
                handle.join(timeout if timeout is not True else 0)
        assert isinstance(caught.value, TimeoutError)
        smarm.send(handle.pid, "done")
        return handle.join(timeout=60)

    assert alone(main) == "done"


def test_a_timeout_of_an_actor_that_has_ended_does_not_matter(alone):
    def main():
        handle = smarm.spawn(abs, -4)
        handle.join()
        return [handle.join(timeout) for timeout in (0, None, math.inf, 1e300)]

    assert alone(main) == [4] * 4


def test_an_actor_that_is_stopped_while_it_joins_is_unwound(alone, wait_until_parked):
    unwound = []

    def join(handle):
        try:
            handle.join()
        finally:
            unwound.append(1)

    def main():
        target = smarm.spawn(smarm.receive)
        joiner = smarm.spawn(lambda: join(target))
        wait_until_parked(joiner.pid, "another actor's end")

    alone(main)
    assert unwound == [1]


def test_a_handle_cannot_be_sent_and_says_what_can(alone):
    def main():
        handle = smarm.spawn(abs, -1)
        with pytest.raises(smarm.NotSendable, match=r"send handle\.pid"):
            smarm.send(smarm.self(), handle)
        with pytest.raises(smarm.NotSendable, match=r"args\[0\]"):
            smarm.spawn(in_workers.identity, handle)

    alone(main)


def test_a_handle_says_what_became_of_the_actor(alone):
    def main():
        running = smarm.spawn(smarm.receive)
        returned = smarm.spawn(abs, -1)
        failed = smarm.spawn(in_workers.fail, "expected")
        returned.join()
        with pytest.raises(smarm.ActorFailed):
            failed.join()
        return [repr(handle) for handle in (running, returned, failed)]

    running, returned, failed = alone(main)
    assert running.endswith("running>")
    assert returned.endswith("returned>")
    assert failed.endswith("failed>")
    assert running.startswith("<smarm.JoinHandle of pid ")


def test_handles_cannot_be_made_by_hand():
    for kind in (smarm.JoinHandle, smarm.Sender, smarm.Receiver, smarm.Pid):
        with pytest.raises(TypeError, match="cannot create"):
            kind()


def test_an_actor_that_ended_before_it_ran_was_killed(alone):
    handles = []

    def main():
        handles.append(smarm.spawn(abs, -1))

    def late():
        with pytest.raises(smarm.ActorKilled):
            handles[0].join()

    alone(main)  # ends before the actor had a turn
    alone(late)


def test_actors_of_all_workers_are_joined(succeed):
    out = succeed("""
        import smarm
        def work(n):
            if n % 10 == 3:
                raise KeyError(n)
            return [smarm.worker_index(), n]
        def main():
            handles = [smarm.spawn(work, n, on=n % 3) for n in range(60)]
            failed = 0
            for n, handle in enumerate(handles):
                try:
                    assert handle.join() == [n % 3, n]
                except smarm.ActorFailed as error:
                    assert type(error.__cause__) is KeyError and error.__cause__.args == (n,)
                    failed += 1
            print(failed)
        smarm.run(main, workers=3)
    """)
    assert out == "6\n"
