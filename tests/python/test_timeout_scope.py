"""smarm.timeout: a block ends at its deadline, wherever it is, and nothing of that leaks out of it."""

# ruff: noqa: PT012 - what is tested is how a block of several statements ends

import contextlib
import math

import pytest

import smarm

PATIENCE = 60  # seconds; a test that needs more hangs


def test_it_ends_whatever_the_block_waits_for(alone):
    def main():
        tx, rx = smarm.channel(capacity=1)
        tx.send(1)
        mutex = smarm.Mutex()
        mutex.acquire(1)
        parked = smarm.spawn(lambda: smarm.receive())
        waits = [
            smarm.receive,
            lambda: smarm.sleep(PATIENCE),
            lambda: tx.send(2),
            lambda: (rx.recv(), rx.recv()),
            parked.join,
            lambda: smarm.Event().wait(PATIENCE),
            lambda: smarm.Barrier(2).wait(PATIENCE),
            lambda: smarm.Semaphore(1).acquire(0) or smarm.receive(timeout=PATIENCE),
        ]
        for wait in waits:
            with pytest.raises(smarm.Timeout, match="did not end within"), smarm.timeout(0.001) as scope:
                wait()
            assert scope.expired
        smarm.kill(parked.pid)

    alone(main)


def test_it_ends_a_block_that_computes(alone):
    def main():
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001):
            while True:
                pass

    alone(main)


def test_the_cause_says_where_the_block_was(alone):
    def main():
        with pytest.raises(smarm.Timeout) as caught, smarm.timeout(0.001):
            smarm.sleep(PATIENCE)
        assert isinstance(caught.value.__cause__, smarm.Cancelled)
        assert caught.value.__cause__.__traceback__ is not None

    alone(main)


def test_nothing_inside_takes_it_for_its_own_timeout(alone):
    def main():
        seen = []
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001):
            try:
                smarm.receive(timeout=PATIENCE)
            except Exception as error:
                seen.append(error)
        assert seen == []

    alone(main)


def test_clean_up_may_park(alone):
    def main():
        steps = []
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001):
            try:
                smarm.receive()
            finally:
                smarm.sleep(0.001)
                steps.append("cleaned up")
        assert steps == ["cleaned up"]

    alone(main)


def test_a_block_that_ends_in_time_leaves_nothing_behind(alone):
    def main():
        for _ in range(100):
            with smarm.timeout(PATIENCE) as scope:
                smarm.yield_now()
            assert not scope.expired
        with smarm.timeout(0) as scope:
            pass  # over before anything could end it
        smarm.sleep(0.001)
        assert not scope.expired

    alone(main)


def test_an_expiry_does_not_hit_what_comes_after_the_block(alone):
    def main():
        with smarm.timeout(0.001) as scope, smarm.shield():
            smarm.sleep(0.005)
        assert scope.expired  # it was to be ended, but ended by itself
        smarm.sleep(0.001)
        smarm.yield_now()

    alone(main)


@pytest.mark.parametrize(
    ("outer", "inner", "ends"), [(0.001, PATIENCE, "outer"), (PATIENCE, 0.001, "inner"), (0, 0, "outer")]
)
def test_nested_blocks_end_at_the_right_one(alone, outer, inner, ends):
    def main():
        ended = "none"
        try:
            with smarm.timeout(outer):
                try:
                    with smarm.timeout(inner):
                        smarm.receive()
                except smarm.Timeout:
                    ended = "inner"
        except smarm.Timeout:
            ended = "outer"
        assert ended == ends
        smarm.sleep(0)

    alone(main)


def test_the_outer_deadline_counts_on_after_the_inner_one(alone):
    def main():
        with pytest.raises(smarm.Timeout), smarm.timeout(0.003):
            with contextlib.suppress(smarm.Timeout), smarm.timeout(0.001):
                smarm.receive()
            smarm.receive()

    alone(main)


def test_scopes_of_different_actors_do_not_meet(alone):
    def main():
        def sleeper(number):
            with contextlib.suppress(smarm.Timeout), smarm.timeout(0.001 * (1 + number % 3)):
                smarm.receive()
            return number

        handles = [smarm.spawn(sleeper, number) for number in range(100)]
        assert smarm.join_all(handles, PATIENCE) == list(range(100))

    alone(main)


def test_an_exit_goes_before_a_deadline(alone, wait_until_parked):
    def main():
        seen = []

        def child():
            with smarm.timeout(PATIENCE):
                try:
                    smarm.receive()
                except BaseException as error:
                    seen.append(type(error))
                    raise

        handle = smarm.spawn(child)
        wait_until_parked(handle.pid)
        smarm.exit(handle.pid, "enough")
        with pytest.raises(smarm.ActorKilled):
            handle.join(PATIENCE)
        assert seen == [smarm.ActorExit]

    alone(main)


def test_exceptions_of_the_block_pass(alone):
    def main():
        with pytest.raises(KeyError), smarm.timeout(PATIENCE):
            raise KeyError
        with pytest.raises(smarm.Timeout, match="no such message") as caught, smarm.timeout(PATIENCE):
            smarm.receive(timeout=0)
        assert caught.value.__cause__ is None

    alone(main)


def test_left(alone):
    def main():
        scope = smarm.timeout(PATIENCE)
        assert scope.left() is None
        with scope:
            assert 0 < scope.left() <= PATIENCE
        assert scope.left() is None
        for seconds in (None, math.inf, 10**400):
            with smarm.timeout(seconds) as scope:
                assert scope.left() == math.inf

    alone(main)


def test_a_scope_can_be_used_again_but_not_inside_itself(alone):
    def main():
        scope = smarm.timeout(0.001)
        for _ in range(3):
            with pytest.raises(smarm.Timeout), scope:
                smarm.receive()
        scope = smarm.timeout(PATIENCE)
        with scope, pytest.raises(RuntimeError, match="in use"), scope:
            pass

    alone(main)


def test_a_block_that_its_actor_never_leaves_ends_with_the_actor(alone):
    def main():
        kept = []

        def scoped():
            with smarm.timeout(PATIENCE) as scope:
                kept.append(scope)
                yield

        def child():
            blocks = scoped()
            next(blocks)
            kept.append(blocks)  # suspended inside the block

        smarm.spawn(child).join(PATIENCE)
        assert kept[0].left() is None
        kept[1].close()

    alone(main)


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), ([], TypeError)]
)
def test_bad_input(alone, seconds, error):
    def main():
        with pytest.raises(error):
            smarm.timeout(seconds)
        with pytest.raises(TypeError):
            smarm.timeout()

    alone(main)
    with pytest.raises(smarm.NoRuntime):
        smarm.timeout(1)


def test_a_scope_that_is_dropped_inside_its_block_cuts_nothing_short(alone):
    def main():
        smarm.timeout(0.001).__enter__()
        smarm.sleep(0.05)

    alone(main)


# ---- what the end of a block overtakes -------------------------------------------------------------------------------------


def wait_in_a_group():
    with smarm.TaskGroup():
        wait_and_clean_up()


def wait_and_clean_up():
    try:
        smarm.sleep(PATIENCE)
    finally:
        smarm.sleep(PATIENCE)


@pytest.mark.parametrize("wait", [wait_and_clean_up, wait_in_a_group])
def test_an_exit_whose_clean_up_it_cuts_short_goes_on(alone, wait):
    def again_and_again():
        while True:
            with contextlib.suppress(smarm.Timeout), smarm.timeout(0.03):
                wait()

    def main():
        handle = smarm.spawn(again_and_again, on="local")
        smarm.sleep(0.01)
        smarm.exit(handle.pid, "enough")
        with pytest.raises(smarm.ActorKilled, match="enough"):
            handle.join(timeout=PATIENCE / 2)

    alone(main)


def test_a_block_in_the_clean_up_of_an_exit_leaves_that_alone(alone):
    def main():
        log = []

        def victim():
            try:
                smarm.sleep(PATIENCE)
            except smarm.ActorExit:
                with contextlib.suppress(smarm.Timeout), smarm.timeout(0.001):
                    smarm.sleep(PATIENCE)
                smarm.sleep(0.001)
                log.append("cleaned up")
                raise

        handle = smarm.spawn(victim, on="local")
        smarm.yield_now()
        smarm.exit(handle.pid, "enough")
        with pytest.raises(smarm.ActorKilled, match="enough"):
            handle.join(timeout=PATIENCE / 2)
        assert log == ["cleaned up"]

    alone(main)


def test_what_was_handled_is_the_context_of_what_is_requested(alone):
    def main():
        with pytest.raises(smarm.Timeout) as caught, smarm.timeout(0.001):
            try:
                raise KeyError
            finally:
                smarm.sleep(PATIENCE)
        assert isinstance(caught.value.__cause__.__context__, KeyError)

    alone(main)
