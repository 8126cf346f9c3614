"""Mutex: one actor at a time, of any worker, in the order of asking; a holder's death is noticed."""

import contextlib
import math

import pytest

import smarm

PATIENCE = 60  # seconds; a test that needs more hangs
HUGE = (math.inf, 1e300, 10**400)


def run(main, *args):
    return smarm.run(main, *args, workers=2)


def hold_and_park(mutex, tx):
    mutex.acquire(PATIENCE)
    tx.send(smarm.self())
    smarm.receive()


def hold_in_block(mutex, tx):
    with mutex.hold(PATIENCE):
        tx.send(smarm.self())
        smarm.receive()


def return_while_holding(mutex):
    mutex.acquire(PATIENCE)


def note(mutex, tx, number):
    with mutex.hold(PATIENCE):
        tx.send(number)


def outcome(mutex, tx):
    try:
        mutex.acquire(PATIENCE)
    except smarm.LockPoisoned as error:
        tx.send(error.pid)
    else:
        mutex.release()
        tx.send("acquired")


def release_only(mutex):
    try:
        mutex.release()
    except RuntimeError as error:
        return str(error)


def test_waiters_get_it_in_the_order_in_which_they_came(on, wait_until_parked):
    def main(on):
        mutex = smarm.Mutex()
        tx, rx = smarm.channel()
        with mutex.hold(PATIENCE):
            handles = []
            for number in range(6):
                handles.append(smarm.spawn(note, mutex, tx, number, on=on))
                wait_until_parked(handles[-1].pid, "a lock")
        assert [rx.recv(PATIENCE) for _ in handles] == list(range(6))
        smarm.join_all(handles)

    run(main, on)


def test_one_actor_at_a_time_on_two_workers():
    def main():
        mutex = smarm.Mutex()
        tx, rx = smarm.channel()
        tx.send(0)
        handles = [smarm.spawn(increment, mutex, tx, rx, on=number % 2) for number in range(8)]
        smarm.join_all(handles, PATIENCE)
        return rx.recv(0)

    assert run(main) == 8 * 100


def increment(mutex, tx, rx):
    for _ in range(100):
        with mutex.hold(PATIENCE):
            number = rx.recv(timeout=0)  # there, because nobody else is inside
            smarm.yield_now()
            tx.send(number + 1)


def test_the_timeout_of_one_waiter_leaves_the_others_their_turn(on):
    def main(on):
        mutex = smarm.Mutex()
        tx, rx = smarm.channel()
        holder = smarm.spawn(hold_in_block, mutex, tx, on=on)
        assert rx.recv(PATIENCE) == mutex.holder == holder.pid
        with pytest.raises(smarm.LockTimeout):
            mutex.acquire(0)
        with pytest.raises(smarm.Timeout), mutex.hold(timeout=0.001):
            pytest.fail("the lock was taken")
        waiter = smarm.spawn(note, mutex, tx, "next", on=on)
        smarm.send(holder.pid, "go on")
        assert rx.recv(PATIENCE) == "next"
        waiter.join()
        assert (mutex.holder, mutex.poisoned) == (None, None)

    run(main, on)


@pytest.mark.parametrize("target", [hold_and_park, hold_in_block])
def test_a_killed_holder_poisons_it_for_those_who_wait_and_those_who_come(on, target, wait_until_parked):
    def main(on):
        mutex = smarm.Mutex()
        tx, rx = smarm.channel()
        holder = smarm.spawn(target, mutex, tx, on=on)
        rx.recv(PATIENCE)
        waiters = [smarm.spawn(outcome, mutex, tx, on=place) for place in (0, 1)]
        for waiter in waiters:
            wait_until_parked(waiter.pid, "a lock")
        smarm.kill(holder.pid)
        assert [rx.recv(PATIENCE) for _ in waiters] == [holder.pid] * 2
        with pytest.raises(smarm.LockPoisoned) as caught:
            mutex.acquire(PATIENCE)
        assert caught.value.pid == mutex.poisoned == holder.pid
        assert str(holder.pid) in str(caught.value)
        assert mutex.holder is None  # LockPoisoned leaves the caller without it
        assert release_only(mutex) == "only its holder can release a Mutex: nobody holds it"

    run(main, on)


def test_an_actor_that_returns_while_it_holds_the_lock_has_poisoned_it_before_join_returns(on):
    def main(on):
        mutex = smarm.Mutex()
        holder = smarm.spawn(return_while_holding, mutex, on=on)
        holder.join(PATIENCE)
        assert mutex.poisoned == holder.pid

    run(main, on)


def test_a_repair_that_succeeds_ends_the_poison(on):
    def main(on):
        mutex = smarm.Mutex()
        holder = smarm.spawn(return_while_holding, mutex, on=on)
        holder.join(PATIENCE)
        with pytest.raises(ZeroDivisionError), mutex.repair(PATIENCE):
            raise ZeroDivisionError
        assert mutex.poisoned == holder.pid
        with mutex.repair(PATIENCE):
            assert mutex.holder == smarm.self()
            assert mutex.poisoned == holder.pid
        assert mutex.poisoned is None
        with mutex.hold(0):
            pass
        with mutex.repair(0):  # of a sound one: as hold
            pass

    run(main, on)


def test_an_exception_of_the_block_itself_does_not_poison(alone):
    def main():
        mutex = smarm.Mutex()
        with pytest.raises(KeyError), mutex.hold(1):
            raise KeyError
        with pytest.raises(smarm.Timeout), smarm.timeout(0.001), mutex.hold(1):
            smarm.receive()
        assert (mutex.holder, mutex.poisoned) == (None, None)

    alone(main)


def test_killing_waiters_at_any_moment_loses_no_wake_up():
    def main():
        mutex = smarm.Mutex()
        tx, _rx = smarm.channel()
        handles = []
        mutex.acquire(PATIENCE)
        for number in range(40):
            handles.append(smarm.spawn(note, mutex, tx, number, on=number % 2))
        mutex.release()
        for handle in handles[::2]:
            smarm.exit(handle.pid, "no more")
            smarm.yield_now()
        for handle in handles:
            with contextlib.suppress(smarm.ActorKilled):
                handle.join(PATIENCE)
        # Those killed inside their block poisoned it, at worst: it is free in any case.
        with mutex.repair(PATIENCE):
            pass

    run(main)


def test_only_the_holder_can_release_it_and_once(on):
    def main(on):
        mutex = smarm.Mutex()
        assert release_only(mutex) == "only its holder can release a Mutex: nobody holds it"
        mutex.acquire(1)
        message = smarm.spawn(release_only, mutex, on=on).join(PATIENCE)
        assert message == f"only its holder can release a Mutex: actor {smarm.self()} holds it"
        with pytest.raises(RuntimeError, match="holds the Mutex already"):
            mutex.acquire(1)
        mutex.release()
        with pytest.raises(RuntimeError, match="nobody holds it"):
            mutex.release()
        with pytest.raises(RuntimeError, match="nobody holds it"), mutex.hold(1):
            mutex.release()

    run(main, on)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, ValueError),
        (-(10**400), ValueError),
        (math.nan, ValueError),
        ("1", TypeError),
        (None, TypeError),
        ([], TypeError),
    ],
)
def test_a_bad_timeout_is_refused_and_nothing_is_taken(alone, timeout, error):
    def main():
        mutex = smarm.Mutex()
        for method in (mutex.acquire, mutex.hold, mutex.repair, smarm.Semaphore(1).acquire, smarm.Event().wait):
            with pytest.raises(error):
                method(timeout)
        assert mutex.holder is None

    alone(main)


def test_the_timeout_is_mandatory_and_may_be_huge(alone):
    def main():
        mutex = smarm.Mutex()
        for bad in (
            lambda: mutex.acquire(),
            lambda: mutex.hold(),
            lambda: mutex.acquire(1, 2),
            lambda: mutex.acquire(time=1),
        ):
            with pytest.raises(TypeError):
                bad()
        for timeout in HUGE:
            mutex.acquire(timeout=timeout)
            mutex.release()

    alone(main)


def test_it_needs_an_actor_and_takes_no_arguments():
    mutex = smarm.Mutex()
    with pytest.raises(smarm.NoRuntime):
        mutex.acquire(1)
    with pytest.raises(smarm.NoRuntime):
        mutex.release()
    with pytest.raises(TypeError):
        smarm.Mutex(1)


def test_a_copy_that_came_in_a_message_is_the_same_mutex(alone):
    def main():
        mutex = smarm.Mutex()
        smarm.send(smarm.self(), [mutex, smarm.Mutex()])
        copy, other = smarm.receive()
        assert copy == mutex != other
        assert hash(copy) == hash(mutex)
        mutex.acquire(1)
        assert copy.holder == smarm.self()
        copy.release()
        assert mutex.holder is None

    alone(main)
