"""shield and no_preempt, however they are entered and left: in order, by hand, twice, by another actor, or never."""

from __future__ import annotations

import contextlib
import gc

import pytest

import smarm

SECTIONS = [smarm.shield, smarm.no_preempt]


@pytest.fixture(params=SECTIONS, ids=lambda section: section.__name__)
def section(request):
    return request.param


def can_be_killed(wait_until_parked, body):
    """Whether an actor that has done `body`, and waits now, ends when it is killed."""

    def act():
        kept = body()
        smarm.receive()
        smarm.yield_now()
        return kept is None

    victim = smarm.spawn(act, on="local", monitor=True)
    victim.observe()
    wait_until_parked(victim.pid)
    smarm.kill(victim.pid)
    smarm.send(victim.pid, "go on")
    return smarm.receive(victim.monitor, timeout=60).reason == "killed"


def test_a_section_that_was_not_entered_cannot_be_left(alone, section):
    def main():
        with pytest.raises(RuntimeError, match="has not begun, or has ended"):
            section().__exit__(None, None, None)
        entered = section()
        with entered, entered:
            pass
        with pytest.raises(RuntimeError, match="has not begun, or has ended"):
            entered.__exit__(None, None, None)

    alone(main)


def test_a_section_is_left_by_who_entered_it(alone, section):
    def main():
        mine = section()
        with mine:
            for call in (lambda: mine.__exit__(None, None, None), mine.__enter__):
                with pytest.raises(smarm.ActorFailed) as failed:
                    smarm.spawn(call, on="local").join()
                assert "make another" in str(failed.value.__cause__)

    alone(main)


def test_a_section_takes_no_arguments(alone, section):
    with pytest.raises(TypeError, match="takes no arguments"):
        section(1)


def entered_and_dropped():
    smarm.shield().__enter__()


def in_a_dropped_stack():
    contextlib.ExitStack().enter_context(smarm.shield())
    gc.collect()


def in_a_dropped_generator():
    def generator():
        with smarm.shield():
            yield

    next(generator())


def in_a_cycle():
    class Holder:
        pass

    holder = Holder()
    holder.itself, holder.shield = holder, smarm.shield()
    holder.shield.__enter__()
    del holder
    gc.collect()


@pytest.mark.parametrize("drop", [entered_and_dropped, in_a_dropped_stack, in_a_dropped_generator, in_a_cycle])
def test_a_dropped_shield_does_not_protect(alone, wait_until_parked, drop):
    assert alone(lambda: can_be_killed(wait_until_parked, drop))


def test_a_shield_that_is_kept_does_protect(alone, wait_until_parked):
    def enter():
        kept = smarm.shield()
        kept.__enter__()
        return kept

    assert not alone(lambda: can_be_killed(wait_until_parked, enter))


def test_a_shield_that_another_actor_drops_is_given_back_to_its_own(alone, wait_until_parked):
    def main():
        shields = []

        def enter():
            shields.append(smarm.shield())
            shields[0].__enter__()
            smarm.spawn(shields.clear, on="local").join()

        return can_be_killed(wait_until_parked, enter)

    assert alone(main)


def test_a_section_outlives_its_actor(alone, section):
    def main():
        kept = []

        def enter():
            kept.append(section())
            kept[0].__enter__()

        smarm.spawn(enter, on="local").join()
        kept.clear()

    alone(main)
