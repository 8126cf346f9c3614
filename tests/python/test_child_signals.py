"""What a parent is told of its children: Signal.Exit, Signal.Panic, Signal.Timeout."""

import pytest

import smarm
from smarm import Signal


def run(main, *args):
    return smarm.run(main, *args, workers=2)


def returns():
    return 1


def crashes():
    raise ValueError("boom")


def waits():
    smarm.receive()


def leaves():
    raise smarm.ActorExit("tired")


def test_the_end_of_a_child_is_told_with_its_reason(on):
    def main(on):
        seen = []
        for function in (returns, leaves):
            child = smarm.spawn(function, on=on, signal=True)
            signal = smarm.receive()
            assert type(signal) is Signal.Exit
            assert signal.pid == child.pid
            seen.append(signal.reason)
        child = smarm.spawn(waits, on=on, signal=True)
        smarm.kill(child.pid)
        seen.append(smarm.receive(Signal.Exit).reason)
        return seen

    assert run(main, on) == ["normal", "tired", "killed"]


def test_a_failure_is_a_panic_with_the_exception(on):
    def main(on):
        child = smarm.spawn(crashes, on=on, signal=True)
        signal = smarm.receive()
        assert type(signal) is Signal.Panic
        assert signal.pid == child.pid
        assert isinstance(signal.error, smarm.ActorFailed)
        assert "in crashes" in signal.error.remote_traceback
        child.observe()
        return repr(signal.error.__cause__)

    assert run(main, on) == "ValueError('boom')"


def test_a_child_that_takes_too_long_is_told_once_and_goes_on(on):
    def main(on):
        child = smarm.spawn(waits, on=on, time_limit=0.001)
        assert smarm.receive() == Signal.Timeout(child.pid)
        assert child.pid in smarm.processes()
        smarm.send(child.pid, "go on")
        assert smarm.receive() == Signal.Exit(child.pid, "normal")
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0)

    run(main, on)


def test_a_child_that_ends_in_time_is_not_late():
    def main():
        child = smarm.spawn(returns, on="local", time_limit=0.02)
        assert smarm.receive() == Signal.Exit(child.pid, "normal")
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0.05)

    run(main)


def test_signals_are_messages_and_overtake_nothing():
    def main():
        def child(parent):
            for number in range(3):
                smarm.send(parent, number)

        pid = smarm.spawn(child, smarm.self(), signal=True).pid
        assert [smarm.receive() for _ in range(4)] == [0, 1, 2, Signal.Exit(pid, "normal")]

    run(main)


def test_they_come_beside_links_and_monitors():
    def main():
        smarm.trap_exit(True)
        child = smarm.spawn(returns, on="local", signal=True, monitor=True, link=True)
        told = [smarm.receive() for _ in range(3)]
        assert Signal.Exit(child.pid, "normal") in told
        assert smarm.Down(child.monitor, child.pid, "normal") in told
        assert smarm.Exit(child.pid, "normal") in told

    run(main)


def test_without_asking_nothing_is_told():
    def main():
        smarm.spawn(returns, on="local").join()
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0.01)

    run(main)


def test_they_match_can_be_sent_and_say_what_they_are():
    def main():
        child = smarm.spawn(returns, on="local", signal=True)
        match smarm.receive():
            case Signal.Exit(pid, reason):
                assert (pid, reason) == (child.pid, "normal")
        echo = smarm.spawn(lambda parent: smarm.send(parent, smarm.receive()), smarm.self())
        smarm.send(echo.pid, Signal.Timeout(child.pid))
        assert smarm.receive() == Signal.Timeout(child.pid)
        return repr(Signal.Exit(child.pid, "x"))

    assert run(main).startswith("Signal.Exit(pid=<pid ")


@pytest.mark.parametrize("limit", [-1, float("nan"), "soon"])
def test_a_bad_time_limit_is_refused_and_nothing_is_spawned(limit):
    def main():
        before = smarm.statistics().actors
        with pytest.raises((ValueError, TypeError)):
            smarm.spawn(returns, on="local", time_limit=limit)
        assert smarm.statistics().actors == before

    run(main)


def test_a_huge_time_limit_is_none():
    def main():
        child = smarm.spawn(returns, on="local", time_limit=1e300)
        assert smarm.receive() == Signal.Exit(child.pid, "normal")

    run(main)
