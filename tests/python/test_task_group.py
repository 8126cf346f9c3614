"""TaskGroup: no child outlives its block, the first failure ends the others, and no error is lost."""

# ruff: noqa: PT012 - what is tested is how a block of several statements ends

import contextlib

import pytest

import smarm

PATIENCE = 60  # seconds; a test that needs more hangs


def run(main, *args):
    return smarm.run(main, *args, workers=2)


def square(number):
    return number * number


def fail(message):
    raise ValueError(message)


def fail_when_told(message):
    smarm.receive()
    raise ValueError(message)


def park(tx):
    """Park, and say so when that is over."""
    try:
        tx.send("parked")
        smarm.receive()
    finally:
        tx.send("unwound")


def fail_while_unwound():
    try:
        smarm.receive()
    finally:
        raise KeyError("on the way out")


def is_alive(handle):
    return smarm.process_info(handle.pid) is not None


def own_a_group(tx, on):
    with smarm.TaskGroup() as group:
        group.spawn(park, tx, on=on)
        smarm.receive()


def test_the_block_ends_when_every_child_has_ended(on):
    def main(on):
        with smarm.TaskGroup() as group:
            handles = [group.spawn(square, number, on=on) for number in range(50)]
        assert [handle.join(0) for handle in handles] == [number * number for number in range(50)]

    run(main, on)


def test_an_empty_group_and_a_group_again(alone):
    def main():
        group = smarm.TaskGroup()
        for _ in range(3):
            with group as entered:
                assert entered is group
        with group:
            assert group.spawn(square, 2).join() == 4

    alone(main)


def test_the_first_failure_ends_the_others_and_the_block(on):
    def main(on):
        tx, rx = smarm.channel()
        with pytest.raises(ExceptionGroup) as caught, smarm.TaskGroup() as group:
            handles = [group.spawn(park, tx, on=place) for place in (0, 1)]
            assert [rx.recv(PATIENCE) for _ in handles] == ["parked"] * 2
            handles.append(group.spawn(fail, "boom", on=on))
            smarm.receive()  # the block would wait for ever
        (error,) = caught.value.exceptions
        assert isinstance(error, smarm.ActorFailed)
        assert repr(error.__cause__) == "ValueError('boom')"
        assert [rx.recv(PATIENCE) for _ in range(2)] == ["unwound"] * 2
        assert not any(is_alive(handle) for handle in handles)

    run(main, on)


def test_a_failure_while_the_owner_waits_at_the_end_ends_the_others(on):
    def main(on):
        tx, rx = smarm.channel()
        with pytest.raises(ExceptionGroup, match="errors in a TaskGroup") as caught, smarm.TaskGroup() as group:
            group.spawn(park, tx, on=on)
            rx.recv(PATIENCE)
            failing = group.spawn(fail_when_told, "late", on=on)
            smarm.send_after(0.001, failing.pid, "now")
        assert len(caught.value.exceptions) == 1
        assert rx.recv(PATIENCE) == "unwound"

    run(main, on)


def test_a_failure_reaches_a_block_that_computes(on):
    def main(on):
        with pytest.raises(ExceptionGroup), smarm.TaskGroup() as group:
            group.spawn(fail, "boom", on=on)
            while True:
                pass

    run(main, on)


def test_an_error_of_the_block_ends_the_children_and_joins_theirs(on):
    def main(on):
        tx, rx = smarm.channel()
        with pytest.raises(ExceptionGroup) as caught, smarm.TaskGroup() as group:
            group.spawn(park, tx, on=on)
            rx.recv(PATIENCE)
            group.spawn(fail_while_unwound, on=on)
            raise ZeroDivisionError
        kinds = [type(error) for error in caught.value.exceptions]
        assert kinds[0] is ZeroDivisionError
        assert kinds[1:] in ([smarm.ActorFailed], [])  # the second may have been ended before it began
        assert rx.recv(PATIENCE) == "unwound"

    run(main, on)


def test_a_child_that_the_block_joined_is_reported_once(on):
    def main(on):
        with pytest.raises(ExceptionGroup) as caught, smarm.TaskGroup() as group:
            handle = group.spawn(fail, "boom", on=on)
            handle.join(PATIENCE)
        assert [str(error.__cause__) for error in caught.value.exceptions] == ["boom"]

    run(main, on)


def test_a_child_that_somebody_else_stops_is_a_failure(on):
    def main(on):
        tx, rx = smarm.channel()
        with pytest.raises(ExceptionGroup) as caught, smarm.TaskGroup() as group:
            others = [group.spawn(park, tx, on=place) for place in (0, 1)]
            handle = group.spawn(park, tx, on=on)
            for _ in range(3):
                rx.recv(PATIENCE)
            smarm.exit(handle.pid, "unwanted")
            smarm.receive()
        (error,) = caught.value.exceptions
        assert isinstance(error, smarm.ActorKilled)
        assert (error.pid, error.reason) == (handle.pid, "unwanted")
        assert not any(is_alive(other) for other in others)

    run(main, on)


def test_cancel_ends_the_children_and_is_no_failure(on):
    def main(on):
        tx, rx = smarm.channel()
        with smarm.TaskGroup() as group:
            group.spawn(park, tx, on=on)
            rx.recv(PATIENCE)
            group.cancel()
            with pytest.raises(RuntimeError, match="being cancelled"):
                group.spawn(square, 1)
        assert rx.recv(PATIENCE) == "unwound"

    run(main, on)


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_the_end_of_the_owner_ends_the_children_first(on, how, wait_until_parked):
    def main(on):
        tx, rx = smarm.channel()
        owner = smarm.spawn(own_a_group, tx, on, on="local")
        assert rx.recv(PATIENCE) == "parked"
        wait_until_parked(owner.pid)
        smarm.kill(owner.pid) if how == "kill" else smarm.exit(owner.pid, "enough")
        with pytest.raises(smarm.ActorKilled):
            owner.join(PATIENCE)
        assert rx.recv(0) == "unwound"  # before the owner's end

    run(main, on)


def test_an_exit_while_the_owner_waits_for_the_children_ends_them(on, wait_until_parked):
    def main(on):
        tx, rx = smarm.channel()

        def own():
            with smarm.TaskGroup() as group:
                group.spawn(park, tx, on=on)

        owner = smarm.spawn(own)
        assert rx.recv(PATIENCE) == "parked"
        wait_until_parked(owner.pid, "another actor's end")
        smarm.exit(owner.pid, "enough")
        with pytest.raises(smarm.ActorKilled) as caught:
            owner.join(PATIENCE)
        assert caught.value.reason == "enough"
        assert rx.recv(0) == "unwound"

    run(main, on)


def test_an_enclosing_timeout_ends_the_children(on):
    def main(on):
        tx, rx = smarm.channel()
        with pytest.raises(smarm.Timeout), smarm.timeout(0.01), smarm.TaskGroup() as group:
            handle = group.spawn(park, tx, on=on)
            smarm.receive()
        assert not is_alive(handle)
        tx.close()
        assert list(rx) in (["parked", "unwound"], [])  # [] when its time was over before it began
        smarm.sleep(0.001)

    run(main, on)


def test_groups_nest(on):
    def main(on):
        tx, rx = smarm.channel()
        with pytest.raises(ExceptionGroup) as caught, smarm.TaskGroup() as outer:
            outer.spawn(park, tx, on=on)
            rx.recv(PATIENCE)
            with smarm.TaskGroup() as inner:
                inner.spawn(park, tx, on=on)
                rx.recv(PATIENCE)
                outer.spawn(fail, "outer", on=on)
                smarm.receive()
        assert [str(error.__cause__) for error in caught.value.exceptions] == ["outer"]
        assert [rx.recv(PATIENCE) for _ in range(2)] == ["unwound"] * 2

    run(main, on)


def test_a_failure_inside_a_nested_group_is_the_blocks_own(alone):
    def main():
        with pytest.raises(ExceptionGroup) as caught, smarm.TaskGroup(), smarm.TaskGroup() as inner:
            inner.spawn(fail, "inner")
        (nested,) = caught.value.exceptions
        assert isinstance(nested, ExceptionGroup)

    alone(main)


def test_a_long_lived_group_forgets_children_that_returned(on):
    def main(on):
        with smarm.TaskGroup() as group:
            for number in range(2000):
                assert group.spawn(square, number, on="local").join() == number * number
            keeps = [group.spawn(square, number, on=on) for number in range(200)]
        assert smarm.join_all(keeps) == [number * number for number in range(200)]

    run(main, on)


def test_children_that_share_the_block_may_spawn_siblings(alone):
    def main():
        with smarm.TaskGroup() as group:

            def spread(depth):
                if depth:
                    group.spawn(spread, depth - 1)
                    group.spawn(spread, depth - 1)

            group.spawn(spread, 5)

    alone(main)


def test_bad_input(alone):
    def main():
        group = smarm.TaskGroup()
        with pytest.raises(RuntimeError, match="inside"):
            group.spawn(square, 1)
        group.cancel()
        with group:
            with pytest.raises(RuntimeError, match="in use"), group:
                pass
            for bad in (lambda: group.spawn(), lambda: group.spawn(5), lambda: group.spawn(square, on="nowhere")):
                with pytest.raises((TypeError, smarm.ConfigError)):
                    bad()
        with pytest.raises(RuntimeError, match="inside"):
            group.spawn(square, 1)
        with pytest.raises(TypeError):
            smarm.TaskGroup(1)

    alone(main)
    with pytest.raises(smarm.NoRuntime), smarm.TaskGroup():
        pass


# ---- entered by hand, dropped, left by others ------------------------------------------------------------------------


def stop_and_say(tx):
    try:
        smarm.receive()
    finally:
        tx.send("asked to exit")


@pytest.mark.filterwarnings("always::ResourceWarning")
@pytest.mark.parametrize("children", [0, 1])
def test_a_group_that_is_dropped_inside_its_block_lets_its_children_go(alone, children):
    def main():
        tx, rx = smarm.channel()
        group = smarm.TaskGroup()
        group.__enter__()
        for _ in range(children):
            group.spawn(stop_and_say, tx, on="local")
        smarm.yield_now()
        if children:
            with pytest.warns(ResourceWarning, match="dropped inside its block"):
                del group
            assert rx.recv(timeout=PATIENCE) == "asked to exit"
        else:
            del group
        smarm.sleep(0)  # nothing is left that could cut this short

    alone(main)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_groups_entered_by_exit_stacks_and_generators_end_with_them(alone):
    def drop_stack():
        stack = contextlib.ExitStack()
        stack.enter_context(smarm.TaskGroup()).spawn(smarm.receive, on="local")
        return "dropped"

    def close_stack():
        with contextlib.ExitStack() as stack:
            stack.enter_context(smarm.TaskGroup()).spawn(smarm.sleep, 0, on="local")
        return "closed"

    def generate():
        with smarm.TaskGroup() as group:
            group.spawn(smarm.sleep, 0, on="local")
            yield "inside"

    def open_generator(box):
        box.append(generate())
        return next(box[0])

    def main():
        assert smarm.spawn(drop_stack, on="local").join() == "dropped"
        assert smarm.spawn(close_stack, on="local").join() == "closed"
        box = []
        assert smarm.spawn(lambda: open_generator(box), on="local").join() == "inside"
        box.clear()  # its opener has ended: the generator is closed by another actor
        generator = generate()
        next(generator)
        assert smarm.spawn(lambda: generator.close(), on="local").join() is None
        while len(smarm.processes()) > 1:
            smarm.yield_now()

    alone(main)
