"""send_after and interval: what they send, when they end, and that cancel knows."""

import math

import pytest

import smarm

PATIENCE = 60  # seconds; a test that needs more hangs


def run(main, *args):
    return smarm.run(main, *args, workers=2)


def receive_and_tell(tx, count):
    for _ in range(count):
        tx.send(smarm.receive(timeout=PATIENCE))


def cancel(timer):
    return timer.cancel()


def arm_and_end(pid):
    smarm.send_after(0.001, pid, "from beyond")


@pytest.mark.parametrize("message", [5, "text", ("a", 1), {"a": [1, 2]}, [b"x"]])
def test_the_message_comes(on, message):
    def main(on):
        tx, rx = smarm.channel()
        target = smarm.spawn(receive_and_tell, tx, 1, on=on)
        timer = smarm.send_after(0.001, target.pid, message)
        assert rx.recv(PATIENCE) == message
        target.join(PATIENCE)
        assert timer.cancel() is None
        assert not timer.armed

    run(main, on)


def test_messages_come_in_the_order_of_their_deadlines(alone):
    def main():
        for number in (3, 1, 2, 0):
            smarm.send_after(number / 1000, smarm.self(), number)
        assert [smarm.receive(timeout=PATIENCE) for _ in range(4)] == [0, 1, 2, 3]

    alone(main)


def test_the_message_is_taken_as_it_is_now(alone):
    def main():
        rows = [1]
        smarm.send_after(0, smarm.self(), rows)
        rows.append(2)
        assert smarm.receive(timeout=PATIENCE) == [1]

    alone(main)


def test_cancel_returns_the_time_left_and_no_message_comes(on):
    def main(on):
        timer = smarm.send_after(1000, smarm.self(), "late")
        assert timer.armed
        left = smarm.spawn(cancel, timer, on=on).join(PATIENCE)
        assert 0 < left <= 1000
        assert (timer.cancel(), timer.armed) == (None, False)
        assert smarm.process_info(smarm.self()).messages == 0

    run(main, on)


def test_a_timer_goes_on_when_its_maker_ends(on):
    def main(on):
        smarm.spawn(arm_and_end, smarm.self(), on=on).join(PATIENCE)
        assert smarm.receive(timeout=PATIENCE) == "from beyond"

    run(main, on)


def test_a_message_to_an_ended_actor_is_a_dead_letter(on, wait_until):
    def main(on):
        gone = smarm.spawn(smarm.self, on=on)
        gone.join(PATIENCE)
        before = smarm.statistics().dead_letters
        timer = smarm.send_after(0.001, gone.pid, "too late")
        wait_until(lambda: not timer.armed)
        assert smarm.statistics().dead_letters == before + 1

    run(main, on)


def test_an_interval_ticks_until_it_is_cancelled(on):
    def main(on):
        timer = smarm.interval(0.001, smarm.self(), ["tick"])
        assert [smarm.receive(timeout=PATIENCE) for _ in range(5)] == [["tick"]] * 5
        left = smarm.spawn(cancel, timer, on=on).join(PATIENCE)
        assert 0 <= left <= 0.001
        for _ in range(smarm.process_info(smarm.self()).messages):
            smarm.receive(timeout=0)
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0.01)
        assert "over" in repr(timer)

    run(main, on)


def test_an_interval_ends_with_its_target(on, wait_until):
    def main(on):
        tx, rx = smarm.channel()
        target = smarm.spawn(receive_and_tell, tx, 3, on=on)
        timer = smarm.interval(0.001, target.pid, "tick")
        assert [rx.recv(PATIENCE) for _ in range(3)] == ["tick"] * 3
        target.join(PATIENCE)
        wait_until(lambda: not timer.armed)
        assert timer.cancel() is None

    run(main, on)


def test_a_hundred_thousand_timers(alone):
    def main():
        me = smarm.self()
        for number in range(100_000):
            smarm.send_after(number % 50 / 1000, me, number)
        kept = [smarm.send_after(1000 + number, me, "never") for number in range(1000)]
        assert {smarm.receive(timeout=PATIENCE) for _ in range(100_000)} == set(range(100_000))
        assert all(timer.cancel() for timer in kept)

    alone(main)


def test_timers_that_are_armed_at_the_end_are_dropped():
    def main():
        for number in range(1000):
            smarm.send_after(1000, smarm.self(), (number, "text"))
            smarm.interval(1000, smarm.self(), [number])
        smarm.spawn(arm_for_others, smarm.self(), on=1).join(PATIENCE)
        return smarm.send_after(math.inf, smarm.self(), {})

    timer = run(main)
    assert not timer.armed
    with pytest.raises(smarm.NoRuntime):
        timer.cancel()


def arm_for_others(pid):
    for _ in range(1000):
        smarm.send_after(1000, pid, {"a": 1})


@pytest.mark.parametrize("function", [smarm.send_after, smarm.interval])
@pytest.mark.parametrize(
    ("seconds", "error"),
    [(-1, ValueError), (-(10**400), ValueError), (math.nan, ValueError), ("1", TypeError), (None, TypeError)],
)
def test_a_bad_time_is_refused(alone, function, seconds, error):
    def main():
        with pytest.raises(error):
            function(seconds, smarm.self(), 1)

    alone(main)


def test_other_bad_input(alone):
    def main():
        me = smarm.self()
        for function in (smarm.send_after, smarm.interval):
            with pytest.raises(TypeError):
                function(1, 5, "message")
            with pytest.raises(TypeError):
                function(1, me)
            with pytest.raises(smarm.NotRegistered):
                function(1, "nobody", "message")
            with pytest.raises(smarm.NotSendable):
                function(1, me, lambda: None)
            for huge in (math.inf, 1e300, 10**400):
                assert function(huge, me, 1).cancel() > 1e9
        with pytest.raises(ValueError, match="longer than 0"):
            smarm.interval(0, me, 1)
        with pytest.raises(smarm.NotSendable, match="again and again"):
            smarm.interval(1, me, [smarm.Mutex()])
        with pytest.raises(TypeError):
            smarm.Timer()

    alone(main)
    with pytest.raises(smarm.NoRuntime):
        smarm.send_after(1, None, 1)
