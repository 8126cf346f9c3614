"""Links, monitors, exit signals and kill have Erlang's meaning, on one worker and across two."""

import pytest

import smarm


def run(main, *args):
    return smarm.run(main, *args, workers=2)


def crash():
    raise ValueError("boom")


def wait():
    return smarm.receive()


def returns():
    return 1


def kind(reason):
    return type(reason).__name__ if isinstance(reason, smarm.ActorFailed) else reason


def parent_of_waiting_child(reply_to):
    child = smarm.spawn(wait, on="local", link=True)
    smarm.send(reply_to, child.pid)
    smarm.receive()


def trapper(reply_to):
    smarm.trap_exit(True)
    smarm.send(reply_to, "ready")
    while True:
        smarm.send(reply_to, smarm.receive())


def test_a_monitor_tells_how_an_actor_ended(on):
    def main(on):
        reasons = []
        for function in (returns, crash):
            handle = smarm.spawn(function, on=on, monitor=True)
            down = smarm.receive(smarm.Down)
            assert (down.ref, down.pid) == (handle.monitor, handle.pid)
            reasons.append(kind(down.reason))
            if function is crash:
                assert repr(down.reason.__cause__) == "ValueError('boom')"
        return reasons

    assert run(main, on) == ["normal", "ActorFailed"]


def test_a_monitor_of_an_ended_actor_says_noproc_at_once(on):
    def main(on):
        handle = smarm.spawn(returns, on=on)
        handle.join()
        ref = smarm.monitor(handle.pid)
        return smarm.receive() == smarm.Down(ref, handle.pid, "noproc")

    # The joiner may be ahead of the actor's own end by a moment; then the reason is the real one.
    assert run(main, on) in (True, False)


def test_a_monitor_of_a_stale_pid_says_noproc():
    def main():
        handle = smarm.spawn(returns, on="local", monitor=True)
        smarm.receive(handle.monitor)
        ref = smarm.monitor(handle.pid)
        assert smarm.receive() == smarm.Down(ref, handle.pid, "noproc")
        assert smarm.receive(smarm.monitor("nobody has this name")).reason == "noproc"

    run(main)


def test_demonitor_ends_the_monitor_and_flush_takes_its_message(on):
    def main(on):
        handle = smarm.spawn(wait, on=on)
        ref = smarm.monitor(handle.pid)
        assert smarm.demonitor(ref) is True
        assert smarm.demonitor(ref) is False
        second = smarm.monitor(handle.pid)
        smarm.kill(handle.pid)
        third = smarm.receive(smarm.monitor(handle.pid))
        assert third.reason in ("killed", "noproc")
        smarm.demonitor(second, flush=True)  # its Down has come or is under way: either way it is never seen
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0.01)

    run(main, on)


def test_a_link_ends_the_other_side_with_the_same_reason(on):
    def main(on):
        smarm.spawn(parent_of_waiting_child, smarm.self(), on=on)
        child = smarm.receive()
        parent = smarm.process_info(child).parent
        ref = smarm.monitor(child)
        smarm.exit(parent, "bye")
        return smarm.receive(ref).reason

    assert run(main, on) == "bye"


def test_an_exit_signal_with_reason_normal_is_ignored(on):
    def main(on):
        handle = smarm.spawn(wait, on=on)
        smarm.exit(handle.pid, "normal")
        smarm.send(handle.pid, "still here")
        return handle.join()

    assert run(main, on) == "still here"


@pytest.mark.parametrize("way", ["receive", "select", "flush"])
def test_a_down_is_found_by_its_ref_after_a_search_has_passed_it(on, way):
    def main(on):
        handle = smarm.spawn(returns, on=on, monitor=True)
        while smarm.message_count() == 0:
            smarm.yield_now()
        with pytest.raises(smarm.Timeout):
            smarm.receive(str, timeout=0)
        with pytest.raises(smarm.Timeout):
            smarm.receive(lambda message: False, timeout=0)
        if way == "receive":
            assert smarm.receive(handle.monitor, timeout=0).ref == handle.monitor
        elif way == "select":
            assert smarm.select(smarm.mailbox(handle.monitor), timeout=0)[1].ref == handle.monitor
        else:
            smarm.demonitor(handle.monitor, flush=True)
        assert smarm.message_count() == 0
        return True

    assert run(main, on)


def exit_itself(reason, trap, shielded):
    smarm.trap_exit(trap)
    if shielded:
        with smarm.shield():
            smarm.exit(smarm.self(), reason)
            smarm.yield_now()
    smarm.exit(smarm.self(), reason)
    return smarm.receive(timeout=0)


@pytest.mark.parametrize("shielded", [False, True])
def test_an_actor_that_exits_itself_with_normal_ends_unless_it_traps_exits(on, shielded):
    def main(on):
        handle = smarm.spawn(exit_itself, "normal", False, shielded, on=on, monitor=True)
        assert smarm.receive(handle.monitor).reason == "normal"
        assert handle.join() is None
        handle = smarm.spawn(exit_itself, "normal", True, False, on=on)
        assert handle.join() == smarm.Exit(handle.pid, "normal")
        return True

    assert run(main, on)


def test_an_actor_that_traps_exits_gets_messages(on):
    def main(on):
        handle = smarm.spawn(trapper, smarm.self(), on=on)
        assert smarm.receive() == "ready"
        smarm.exit(handle.pid, {"why": [1]})
        assert smarm.receive() == smarm.Exit(smarm.self(), {"why": [1]})
        smarm.exit(handle.pid, "normal")
        assert smarm.receive() == smarm.Exit(smarm.self(), "normal")
        ref = smarm.monitor(handle.pid)
        smarm.kill(handle.pid)
        return smarm.receive(ref).reason

    assert run(main, on) == "killed"


def test_linking_to_an_ended_actor_gives_noproc():
    def main():
        handle = smarm.spawn(returns, on="local", monitor=True)
        smarm.receive(handle.monitor)
        smarm.trap_exit(True)
        smarm.link(handle.pid)
        return smarm.receive()

    assert run(main).reason == "noproc"


def test_unlink_keeps_the_exit_signal_away(on):
    def main(on):
        handle = smarm.spawn(wait, on=on, link=True, monitor=True)
        smarm.unlink(handle.pid)
        smarm.exit(handle.pid, "bad")
        return smarm.receive(handle.monitor).reason

    assert run(main, on) == "bad"


def test_kill_runs_finally_blocks_and_cannot_be_swallowed(on):
    def main(on):
        handle = smarm.spawn(swallow, smarm.self(), on=on, monitor=True)
        assert smarm.receive() == "ready"
        while (
            smarm.process_info(handle.pid).state != "parked"
        ):  # a kill may act at any safe point: here it must find it waiting
            smarm.yield_now()
        smarm.kill(handle.pid)
        assert [smarm.receive(str) for _ in range(3)] == ["swallowed 1", "swallowed 2", "finally"]
        return smarm.receive(handle.monitor).reason

    assert run(main, on) == "killed"


def swallow(reply_to):
    smarm.send(reply_to, "ready")
    try:
        for attempt in (1, 2):
            try:
                smarm.receive()
            except smarm.ActorExit:
                smarm.send(reply_to, f"swallowed {attempt}")
        smarm.receive()
    finally:
        smarm.send(reply_to, "finally")


def test_shield_holds_a_kill_back_until_its_end(on):
    def main(on):
        handle = smarm.spawn(shielded, smarm.self(), on=on, monitor=True)
        assert smarm.receive() == "in"
        smarm.kill(handle.pid)
        smarm.send(handle.pid, "go on")
        assert smarm.receive(str) == "after go on"
        return smarm.receive(handle.monitor).reason

    assert run(main, on) == "killed"


def shielded(reply_to):
    with smarm.shield():
        smarm.send(reply_to, "in")
        smarm.send(reply_to, "after " + smarm.receive())
    smarm.send(reply_to, "never sent")


def test_a_busy_actor_is_killed_at_a_safe_point(on):
    def main(on):
        handle = smarm.spawn(busy_with_finally, smarm.self(), on=on, monitor=True)
        assert smarm.receive() == "running"
        smarm.kill(handle.pid)
        assert smarm.receive() == "finally"
        return smarm.receive(handle.monitor).reason

    assert run(main, on) == "killed"


def busy_with_finally(reply_to):
    try:
        smarm.send(reply_to, "running")
        while True:
            pass
    finally:
        smarm.send(reply_to, "finally")


def test_raising_actor_exit_gives_the_actor_that_reason(on):
    def main(on):
        handle = smarm.spawn(leaves, on=on, monitor=True)
        assert smarm.receive(handle.monitor).reason == ("done", 3)
        with pytest.raises(smarm.ActorKilled) as caught:
            handle.join()
        return caught.value.reason

    assert run(main, on) == ("done", 3)


def leaves():
    raise smarm.ActorExit(("done", 3))


def test_an_actor_can_exit_itself():
    def main():
        def suicidal():
            smarm.exit(smarm.self(), "enough")

        handle = smarm.spawn(suicidal, monitor=True)
        return smarm.receive(handle.monitor).reason

    assert run(main) == "enough"


def test_signals_overtake_a_full_mailbox():
    def main():
        def sleeper():
            smarm.receive(smarm.Ref)  # matches nothing that is sent here

        handle = smarm.spawn(sleeper, monitor=True)
        for number in range(1_000_000):
            smarm.send(handle.pid, number)
        smarm.exit(handle.pid, "now")
        return smarm.receive(handle.monitor).reason

    assert run(main) == "now"


def test_an_actor_killed_before_its_first_turn_never_runs():
    def main():
        ran = []
        handle = smarm.spawn(lambda: ran.append(1), monitor=True)
        smarm.kill(handle.pid)
        assert smarm.receive(handle.monitor).reason == "killed"
        with pytest.raises(smarm.ActorKilled):
            handle.join()
        return ran

    assert run(main) == []


def test_bad_input_is_named():
    def main():
        for function in (smarm.link, smarm.unlink, smarm.monitor, smarm.kill):
            with pytest.raises(TypeError, match="its Pid, its registered name or what has a"):
                function(42)
        with pytest.raises(smarm.NotRegistered):
            smarm.kill("nobody")
        with pytest.raises(smarm.NotSendable, match="reason"):
            smarm.exit(smarm.self(), lambda: None)
        with pytest.raises(TypeError):
            smarm.exit(smarm.self())
        with pytest.raises(TypeError):
            smarm.demonitor("ref")
        handle = smarm.spawn(returns, on="local")
        handle.join()
        smarm.yield_now()
        assert smarm.kill(handle.pid) is False
        assert smarm.exit(handle.pid, "x") is False

    run(main)


def test_two_actors_that_link_each_other_at_once_are_linked_once(on):
    def main(on):
        smarm.trap_exit(True)
        handle = smarm.spawn(links_back, smarm.self(), on=on, link=True)
        smarm.link(handle.pid)
        assert smarm.receive() == "linked"
        smarm.send(handle.pid, "end")
        assert smarm.receive() == smarm.Exit(handle.pid, "over")
        with pytest.raises(smarm.Timeout):
            smarm.receive(timeout=0.01)

    run(main, on)


def links_back(other):
    smarm.link(other)
    smarm.send(other, "linked")
    smarm.receive()
    raise smarm.ActorExit("over")


def test_links_agree_after_unlinks_and_links_have_crossed():
    """An undisturbed link() works, whatever a race before it has left."""
    from smarm.testing import simulate

    def partner(boss):
        smarm.trap_exit(True)
        smarm.link(boss)
        smarm.send(boss, "linked")
        smarm.receive()
        smarm.unlink(boss)
        smarm.sleep(1)  # nothing is under way any more
        smarm.link(boss)
        smarm.sleep(1)
        raise smarm.ActorExit("crash")

    def main():
        smarm.trap_exit(True)
        handle = smarm.spawn(partner, smarm.self(), on="local")
        handle.observe()
        assert smarm.receive() == "linked"
        smarm.send(handle.pid, "go")
        smarm.unlink(handle.pid)
        smarm.link(handle.pid)
        return smarm.receive(timeout=10) == smarm.Exit(handle.pid, "crash")

    assert all(simulate(main, seed=seed) for seed in range(150))
