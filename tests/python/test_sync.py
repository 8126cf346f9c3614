"""Semaphore, Event, Condition, Barrier and Once: first come first served, across workers, never without a timeout."""

import contextlib

import pytest

import smarm

PATIENCE = 60  # seconds; a test that needs more hangs


def run(main, *args):
    return smarm.run(main, *args, workers=2)


# ---- Semaphore -------------------------------------------------------------------------------------------------------


def note_with_permit(semaphore, tx, number):
    with semaphore.hold(PATIENCE):
        tx.send(number)


def take_and_park(semaphore, tx, times):
    for _ in range(times):
        semaphore.acquire(PATIENCE)
    tx.send("taken")
    smarm.receive()


def release_permit(semaphore):
    try:
        semaphore.release()
    except RuntimeError as error:
        return str(error)


def test_permits_go_to_the_waiters_in_order(on, wait_until_parked):
    def main(on):
        semaphore = smarm.Semaphore(2)
        tx, rx = smarm.channel()
        semaphore.acquire(PATIENCE)
        semaphore.acquire(PATIENCE)
        with pytest.raises(smarm.LockTimeout):
            semaphore.acquire(0.001)
        handles = []
        for number in range(5):
            handles.append(smarm.spawn(note_with_permit, semaphore, tx, number, on=on))
            wait_until_parked(handles[-1].pid, "a lock")
        semaphore.release()
        assert [rx.recv(PATIENCE) for _ in handles] == list(range(5))
        smarm.join_all(handles)
        semaphore.release()
        assert semaphore.available == 2

    run(main, on)


def test_the_death_of_an_actor_gives_its_permits_back(on):
    def main(on):
        semaphore = smarm.Semaphore(3)
        tx, rx = smarm.channel()
        owner = smarm.spawn(take_and_park, semaphore, tx, 3, on=on)
        assert rx.recv(PATIENCE) == "taken"
        waiter = smarm.spawn(note_with_permit, semaphore, tx, "next", on=on)
        smarm.kill(owner.pid)
        assert rx.recv(PATIENCE) == "next"
        waiter.join(PATIENCE)
        assert semaphore.available == 3

    run(main, on)


def test_a_permit_can_be_released_by_its_owner_only_and_once(on):
    def main(on):
        semaphore = smarm.Semaphore(1)
        semaphore.acquire(0)
        assert (
            smarm.spawn(release_permit, semaphore, on=on).join(PATIENCE) == "this actor has no permit of the Semaphore"
        )
        semaphore.release()
        with pytest.raises(RuntimeError, match="has no permit"):
            semaphore.release()
        with pytest.raises(RuntimeError, match="has no permit"), semaphore.hold(1):
            semaphore.release()
        assert semaphore.available == 1

    run(main, on)


@pytest.mark.parametrize(
    ("permits", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("1", TypeError), (10**30, OverflowError)],
)
@pytest.mark.parametrize("kind", [smarm.Semaphore, smarm.Barrier])
def test_a_bad_count_is_refused(kind, permits, error):
    with pytest.raises(error):
        kind(permits)


# ---- Event -----------------------------------------------------------------------------------------------------------


def wait_and_note(event, tx):
    event.wait(PATIENCE)
    tx.send("passed")


def set_event(event):
    event.set()


def test_set_wakes_everybody_and_stays_until_cleared(on, wait_until_parked):
    def main(on):
        event = smarm.Event()
        tx, rx = smarm.channel()
        with pytest.raises(smarm.Timeout) as caught:
            event.wait(0)
        assert not isinstance(caught.value, smarm.LockTimeout)
        handles = [smarm.spawn(wait_and_note, event, tx, on=on) for _ in range(3)]
        for handle in handles:
            wait_until_parked(handle.pid, "an event")
        smarm.spawn(set_event, event, on=on).join()
        assert [rx.recv(PATIENCE) for _ in handles] == ["passed"] * 3
        event.wait(0)
        assert event.is_set()
        event.clear()
        assert not event.is_set()
        with pytest.raises(smarm.Timeout):
            event.wait(0.001)
        smarm.join_all(handles)

    run(main, on)


# ---- Condition -------------------------------------------------------------------------------------------------------


def take_items(condition, items, tx, count):
    for _ in range(count):
        with condition.mutex.hold(PATIENCE):
            condition.wait_for(lambda: len(items) > 0, timeout=PATIENCE)
            tx.send(items.recv(0))


def wait_notified(condition, tx, number):
    with condition.mutex.hold(PATIENCE):
        tx.send("waits")
        condition.wait(PATIENCE)
        tx.send(number)


def poison_and_notify(condition):
    condition.mutex.acquire(PATIENCE)
    condition.notify_all()


def wait_poisoned(condition, tx):
    with condition.mutex.hold(PATIENCE):
        tx.send("waits")
        try:
            condition.wait(PATIENCE)
        except smarm.LockPoisoned:
            tx.send(condition.mutex.holder == smarm.self())
            raise


def test_a_queue_made_of_mutex_and_condition(on):
    def main(on):
        condition = smarm.Condition(smarm.Mutex())
        items_tx, items = smarm.channel()
        tx, rx = smarm.channel()
        consumers = [smarm.spawn(take_items, condition, items, tx, 10, on=on) for _ in range(3)]
        for number in range(30):
            with condition.mutex.hold(PATIENCE):
                items_tx.send(number)
                condition.notify()
        assert sorted(rx.recv(PATIENCE) for _ in range(30)) == list(range(30))
        smarm.join_all(consumers, PATIENCE)

    run(main, on)


def test_notify_wakes_the_oldest_and_the_mutex_is_held_after_a_timeout(on, wait_until_parked):
    def main(on):
        mutex = smarm.Mutex()
        condition = smarm.Condition(mutex)
        tx, rx = smarm.channel()
        handles = []
        for number in range(3):
            handles.append(smarm.spawn(wait_notified, condition, tx, number, on=on))
            assert rx.recv(PATIENCE) == "waits"
            wait_until_parked(handles[-1].pid, "a condition")
        with mutex.hold(PATIENCE):
            with pytest.raises(smarm.Timeout):
                condition.wait(0.001)
            assert mutex.holder == smarm.self()
            condition.notify(2)
        assert [rx.recv(PATIENCE) for _ in range(2)] == [0, 1]
        with mutex.hold(PATIENCE):
            condition.notify_all()
        assert rx.recv(PATIENCE) == 2
        smarm.join_all(handles, PATIENCE)

    run(main, on)


def test_a_killed_waiter_holds_the_mutex_while_it_is_unwound(on, wait_until_parked):
    def main(on):
        mutex = smarm.Mutex()
        condition = smarm.Condition(mutex)
        tx, rx = smarm.channel()
        waiter = smarm.spawn(wait_notified, condition, tx, 0, on=on)
        assert rx.recv(PATIENCE) == "waits"
        wait_until_parked(waiter.pid, "a condition")
        mutex.acquire(PATIENCE)
        smarm.kill(waiter.pid)
        wait_until_parked(waiter.pid, "a lock")
        mutex.release()
        with pytest.raises(smarm.ActorKilled):
            waiter.join(PATIENCE)
        assert mutex.poisoned == waiter.pid  # killed inside its block

    run(main, on)


def test_a_waiter_whose_mutex_is_poisoned_comes_back_without_it(on, wait_until_parked):
    def main(on):
        condition = smarm.Condition(smarm.Mutex())
        tx, rx = smarm.channel()
        waiter = smarm.spawn(wait_poisoned, condition, tx, on=on)
        assert rx.recv(PATIENCE) == "waits"
        wait_until_parked(waiter.pid, "a condition")
        smarm.spawn(poison_and_notify, condition, on=on).join(PATIENCE)
        assert rx.recv(PATIENCE) is False
        with pytest.raises(smarm.ActorFailed, match="LockPoisoned"):
            waiter.join(PATIENCE)

    run(main, on)


def test_a_condition_is_used_with_its_mutex_held(alone):
    def main():
        mutex = smarm.Mutex()
        condition = smarm.Condition(mutex)
        assert condition.mutex == mutex
        for call in (
            lambda: condition.wait(1),
            lambda: condition.wait_for(bool, timeout=1),
            condition.notify,
            condition.notify_all,
        ):
            with pytest.raises(RuntimeError, match="only its holder can"):
                call()
        with pytest.raises(TypeError):
            smarm.Condition(None)
        with mutex.hold(1):
            with pytest.raises(ValueError, match="number of actors"):
                condition.notify(-1)
            with pytest.raises(TypeError):
                condition.wait()
            with pytest.raises(TypeError):
                condition.wait_for(bool)
            with pytest.raises(ZeroDivisionError):
                condition.wait_for(lambda: 1 / 0, timeout=1)
            assert condition.wait_for(lambda: "found", timeout=0) == "found"

    alone(main)


# ---- Barrier ---------------------------------------------------------------------------------------------------------


def pass_barrier(barrier, rounds):
    return sum(barrier.wait(PATIENCE) for _ in range(rounds))


def test_a_barrier_opens_for_all_and_again(on):
    def main(on):
        barrier = smarm.Barrier(4)
        handles = [smarm.spawn(pass_barrier, barrier, 25, on=on) for _ in range(3)]
        lasts = pass_barrier(barrier, 25) + sum(smarm.join_all(handles, PATIENCE))
        assert lasts == 25  # in each round one was the last
        assert (barrier.parties, barrier.waiting) == (4, 0)

    run(main, on)


def test_one_that_gives_up_at_a_barrier_is_not_counted(on, wait_until_parked):
    def main(on):
        barrier = smarm.Barrier(2)
        with pytest.raises(smarm.Timeout):
            barrier.wait(0.001)
        gone = smarm.spawn(pass_barrier, barrier, 1, on=on)
        wait_until_parked(gone.pid, "a barrier")
        smarm.kill(gone.pid)
        with pytest.raises(smarm.ActorKilled):
            gone.join(PATIENCE)
        assert barrier.waiting == 0
        other = smarm.spawn(pass_barrier, barrier, 1, on=on)
        barrier.wait(PATIENCE)
        other.join(PATIENCE)

    run(main, on)


# ---- Once ------------------------------------------------------------------------------------------------------------


def run_once(once, tx):
    return once.run(lambda: tx.send("done"), timeout=PATIENCE)


def run_and_park(once, tx):
    def work():
        tx.send("begun")
        smarm.receive()

    once.run(work, timeout=PATIENCE)


def test_once_is_run_by_one_actor_only(on):
    def main(on):
        once = smarm.Once()
        tx, rx = smarm.channel()
        handles = [smarm.spawn(run_once, once, tx, on=on) for _ in range(10)]
        assert sorted(smarm.join_all(handles, PATIENCE)) == [False] * 9 + [True]
        assert rx.recv(0) == "done"
        assert len(rx) == 0
        assert once.done

    run(main, on)


def test_when_the_first_fails_or_dies_the_next_does_it(on, wait_until_parked):
    def main(on):
        once = smarm.Once()
        tx, rx = smarm.channel()
        with pytest.raises(ZeroDivisionError):
            once.run(lambda: 1 / 0, timeout=1)
        first = smarm.spawn(run_and_park, once, tx, on=on)
        assert rx.recv(PATIENCE) == "begun"
        with pytest.raises(smarm.Timeout):
            once.run(list, timeout=0)
        second = smarm.spawn(run_once, once, tx, on=on)
        wait_until_parked(second.pid, "a lock")
        smarm.kill(first.pid)
        assert second.join(PATIENCE) is True
        assert once.run(list, timeout=0) is False

    run(main, on)


def test_once_refuses_to_wait_for_itself(alone):
    def main():
        once = smarm.Once()
        with pytest.raises(RuntimeError, match="already"):
            once.run(lambda: once.run(list, timeout=1), timeout=1)
        with pytest.raises(TypeError):
            once.run(list)
        assert not once.done

    alone(main)


# ---- all -------------------------------------------------------------------------------------------------------------


def test_killing_waiters_loses_no_wake_up_of_any_kind():
    """Actors that wait for every kind are killed while others are woken; the others all come through."""

    def main():
        condition = smarm.Condition(smarm.Mutex())
        semaphore = smarm.Semaphore(2)
        event = smarm.Event()
        handles = [smarm.spawn(wait_for_everything, condition, semaphore, event, on=number % 2) for number in range(30)]
        for handle in handles[::3]:
            smarm.exit(handle.pid, "no more")
            smarm.yield_now()
        event.set()
        for handle in handles[::3]:
            with contextlib.suppress(smarm.ActorKilled):
                handle.join(PATIENCE)
        smarm.join_all([handle for index, handle in enumerate(handles) if index % 3], PATIENCE)
        assert semaphore.available == 2

    run(main)


def wait_for_everything(condition, semaphore, event):
    event.wait(PATIENCE)
    for _ in range(5):
        with semaphore.hold(PATIENCE):
            smarm.yield_now()
        with contextlib.suppress(smarm.LockPoisoned), condition.mutex.hold(PATIENCE):
            condition.notify()
        if condition.mutex.poisoned:
            with condition.mutex.repair(PATIENCE):
                pass
