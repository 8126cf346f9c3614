"""smarm.Executor: calls, failures, ends, and others that use it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import operator
import threading
import weakref

import pytest
import work_tasks as tasks

import smarm
import smarm.testing


def run(main, *arguments, **options):
    return smarm.run(main, *arguments, **{"workers": 2} | options)


def in_thread(function):
    """Run it in a plain thread; the calling actor parks."""
    box = []

    def target():
        try:
            box.append((function(), None))
        except BaseException as error:
            box.append((None, error))

    thread = threading.Thread(target=target)
    thread.start()
    smarm.block_on_io(thread.join)
    value, error = box[0]
    if error is not None:
        raise error
    return value


@pytest.fixture(params=["main actor", "actor of a worker", "thread", "thread of a worker"])
def everywhere(request):
    """Run a function where an Executor can be used inside of a runtime."""

    def run_there(function, **options):
        def main():
            if request.param == "main actor":
                return function()
            if request.param == "thread":
                return in_thread(function)
            if request.param == "thread of a worker":
                return smarm.spawn(in_thread, function, on=1).join()
            return smarm.spawn(function, on=1).join()

        return smarm.run(main, **{"workers": 2} | options)

    return run_there


# ---- calls -----------------------------------------------------------------------------------------------------------


def submit_and_map():
    with smarm.Executor() as executor:
        executor_says = executor.submit(pow, 2, exp=10).result(), list(executor.map(tasks.square, range(100)))
    return *executor_says, list(smarm.map(lambda number: number * number, range(100)))


def test_it_works_in_actors_and_in_threads(everywhere):
    squares = [number * number for number in range(100)]
    assert everywhere(submit_and_map) == (1024, squares, squares)


def test_map_takes_several_iterables_and_a_chunksize():
    def main():
        with smarm.Executor() as executor:
            adds = (operator.add, lambda left, right: left + right)
            sizes = (1, 7, 1000)
            return [list(executor.map(add, range(100), range(100), chunksize=size)) for size in sizes for add in adds]

    assert run(main) == [[2 * number for number in range(100)]] * 6


def test_workers_is_how_many_calls_run_at_a_time():
    def main():
        barrier = smarm.Barrier(20)
        with smarm.Executor(20) as executor:
            return len([executor.submit(tasks.meet, barrier).result for _ in range(20)]), executor._max_workers

    assert run(main) == (20, 20)


def test_by_default_every_worker_has_one():
    def main():
        barrier = smarm.Barrier(3)
        with smarm.Executor() as executor:
            calls = [executor.submit(tasks.meet, barrier) for _ in range(3)]
            return {call.result() for call in calls}, executor._max_workers

    assert run(main, workers=3) == ({0, 1, 2}, 3)


@pytest.mark.parametrize(("placement", "expected"), [("main", {0}), ("local", {0}), (1, {1})])
def test_placement_says_where(placement, expected):
    def main():
        with smarm.Executor(3, placement=placement) as executor:
            return set(executor.map(tasks.where, range(20)))

    assert run(main) == expected


def test_a_wrong_placement_is_the_calls_failure():
    def main():
        with smarm.Executor(placement=7) as executor:
            with pytest.raises(smarm.ConfigError, match="index from 0 to 1"):
                executor.submit(tasks.square, 1).result()
            with pytest.raises(concurrent.futures.BrokenExecutor, match="placement"):
                executor.submit(tasks.square, 1)

    run(main)


def test_a_generators_results_come_as_a_list():
    def main():
        with smarm.Executor() as executor:
            return executor.submit(tasks.return_generator, 5).result()

    assert run(main) == [0, 2, 4, 6, 8]


def test_buffers_move_in_and_out():
    def main():
        buffer = smarm.Buffer(1 << 20)
        with smarm.Executor() as executor:
            filled = executor.submit(tasks.fill, buffer).result()
        return buffer.moved, filled[0]

    assert run(main) == (True, 7)


def test_the_initializer_runs_in_each_of_its_actors():
    def main():
        with smarm.Executor(1, placement=1, initializer=tasks.initialise, initargs=("value",)) as executor:
            return executor.submit(tasks.get_initialised).result()

    assert run(main) == ["value"]


def test_a_failing_initializer_breaks_it():
    def main():
        with smarm.Executor(initializer=tasks.fail_to_initialise) as executor:
            call = executor.submit(tasks.square, 2)
            with pytest.raises(concurrent.futures.BrokenExecutor, match="error in initializer"):
                call.result()
            executor._pool.ended.wait()
            with pytest.raises(concurrent.futures.BrokenExecutor):
                executor.submit(tasks.square, 2)

    run(main)


# ---- failures --------------------------------------------------------------------------------------------------------


def failure_of(function, *arguments):
    def main():
        with smarm.Executor() as executor:
            return executor.submit(function, *arguments).exception(timeout=60)

    return run(main)


def test_an_exception_comes_with_its_traceback():
    error = failure_of(tasks.fail_at, 5)
    assert type(error) is KeyError
    assert error.args == (5,)
    assert "work_tasks.py" in str(error.__cause__)
    assert "raise KeyError(where)" in str(error.__cause__)
    assert "slots.py" not in str(error.__cause__), "frames of smarm say nothing about the program"


def test_exceptions_with_other_arguments_than_their_constructors():
    error = failure_of(tasks.raise_needs_two)
    assert type(error) is tasks.NeedsTwo
    assert (str(error), error.right) == ("1 and 2", 2)


def test_an_exception_that_cannot_travel_is_described():
    error = failure_of(tasks.raise_unsendable)
    assert type(error) is smarm.ActorFailed
    assert "Unsendable: with a generator" in str(error)
    assert "raise Unsendable" in error.remote_traceback


def test_system_exit_is_the_calls_failure_and_ends_nothing():
    error = failure_of(tasks.raise_exit)
    assert type(error) is SystemExit
    assert error.code == 3


@pytest.mark.parametrize("function", [tasks.return_lock])
def test_a_result_that_cannot_be_sent_is_the_calls_failure(function):
    error = failure_of(function)
    assert isinstance(error, smarm.NotSendable)
    assert str(error).startswith("result: _thread.lock cannot be sent")


def test_an_argument_that_cannot_be_sent_is_the_calls_failure():
    error = failure_of(tasks.take, {"key": threading.Lock()})
    assert isinstance(error, smarm.NotSendable)
    assert str(error).startswith("args[0]['key']: _thread.lock cannot be sent: a lock belongs to one actor")


def test_an_argument_that_cannot_be_decoded_is_the_calls_failure_and_hits_no_other():
    def main():
        with smarm.Executor() as executor:
            calls = [executor.submit(tasks.take, tasks.BadState() if each in (3, 8) else each) for each in range(20)]
            return [repr(call.exception(timeout=60)) for call in calls]

    errors = run(main)
    assert [index for index, error in enumerate(errors) if error != "None"] == [3, 8]
    assert errors[3] == "ValueError('not here')"


def test_a_result_that_cannot_be_decoded_is_the_calls_failure():
    def main():
        with smarm.Executor() as executor:
            bad, good = executor.submit(tasks.return_bad_state), executor.submit(tasks.square, 2)
            return repr(bad.exception(timeout=60)), good.result(timeout=60)

    assert run(main) == ("ValueError('not here')", 4)


def test_the_end_of_a_task_actor_is_its_calls_failure_and_another_takes_its_place():
    def main():
        with smarm.Executor(1, placement=1) as executor:
            with pytest.raises(smarm.ActorKilled, match="the task was stopped"):
                executor.submit(lambda: smarm.kill(smarm.self()) or smarm.receive()).result(timeout=60)
            return executor.submit(tasks.square, 3).result(timeout=60)

    assert run(main) == 9


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_shutdown_waits_for_what_was_submitted():
    def main():
        with smarm.Executor() as executor:
            calls = [executor.submit(tasks.sleep, 0.01) for _ in range(10)]
        assert all(call.done() for call in calls)
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(tasks.square, 1)

    run(main)


def test_shutdown_without_a_call_starts_nothing():
    executor = smarm.Executor()
    executor.shutdown()
    assert "shut down" in repr(executor)


def test_what_has_not_begun_can_be_cancelled():
    def main():
        event = smarm.Event()
        with smarm.Executor(1) as executor:
            first = executor.submit(tasks.wait_for, event)
            calls = [executor.submit(tasks.square, number) for number in range(100)]
            assert calls[-1].cancel()
            assert calls[-1].cancelled()
            executor.shutdown(wait=False, cancel_futures=True)
            event.set()
        assert first.result() == "waited"
        return sum(call.cancelled() for call in calls)

    assert run(main) >= 98  # one may wait for the task actor already


def test_a_kill_of_its_owner_ends_what_runs():
    def main():
        tell, told = smarm.channel()

        def own():
            with smarm.Executor() as executor:
                executor.submit(tasks.tell_and_wait, tell, 1).result()

        owner = smarm.spawn(own, on="local")
        assert told.recv(timeout=60) == 1
        smarm.kill(owner.pid)
        with pytest.raises(smarm.ActorKilled):
            owner.join()
        return told.recv(timeout=60)

    assert run(main) == -1


def test_a_deadline_around_its_block_ends_what_runs():
    def main():
        tell, told = smarm.channel()
        list(smarm.map(tasks.meet, [smarm.Barrier(2)] * 2, chunk=1))  # both workers are there
        with pytest.raises(smarm.Timeout), smarm.timeout(1.0), smarm.Executor() as executor:
            executor.submit(tasks.tell_and_wait, tell, 1).result()
        return told.recv(timeout=60), told.recv(timeout=60)

    assert run(main) == (1, -1)


def test_the_runtimes_end_leaves_nobody_waiting():
    calls = []

    def main():
        executor = smarm.Executor(1)
        calls.append(executor.submit(tasks.wait_for, smarm.Event()))
        calls.extend(executor.submit(tasks.square, number) for number in range(10))
        while not calls[0].running():
            smarm.yield_now()
        return executor

    executor = run(main)
    assert isinstance(calls[0].exception(timeout=60), smarm.NoRuntime)
    assert calls[-1].cancelled()
    with pytest.raises(RuntimeError, match="runtime of this pool has ended"):
        executor.submit(tasks.square, 1)


def test_without_references_it_does_what_was_submitted_and_ends():
    def main():
        executor = smarm.Executor()
        gone = weakref.ref(executor)
        pool = executor._pool
        calls = [executor.submit(tasks.square, number) for number in range(50)]
        del executor
        gc.collect()
        assert gone() is None
        assert pool.ended.wait(60)
        return [call.result() for call in calls]

    assert run(main) == [number * number for number in range(50)]


def test_a_callback_of_a_call_may_shut_it_down():
    def main():
        executor = smarm.Executor()
        call = executor.submit(tasks.square, 3)
        call.add_done_callback(lambda _: executor.shutdown())
        executor._pool.ended.wait()
        return call.result()

    assert run(main) == 9


def test_it_stays_in_its_interpreter():
    def main():
        with smarm.Executor() as executor, pytest.raises(smarm.NotSendable, match="make one where it is used"):
            smarm.send(smarm.self(), executor)

    run(main)


def test_no_message_goes_astray():
    def main():
        for _ in range(20):
            with smarm.Executor(3) as executor:
                list(executor.map(tasks.square, range(20)))
        return smarm.statistics().dead_letters

    assert run(main) == 0


def test_many_submitters_of_one_executor_lose_nothing():
    def main():
        with smarm.Executor() as executor:

            def submit(first):
                calls = [executor.submit(tasks.square, number) for number in range(first, first + 300)]
                return sum(call.result() for call in calls)

            actors = [smarm.spawn(submit, 300 * each, on="local") for each in range(4)]
            threads = in_thread(lambda: [submit(300 * each) for each in range(4, 6)])
            return sum(smarm.join_all(actors)) + sum(threads)

    assert run(main) == sum(number * number for number in range(1800))


@pytest.mark.parametrize("workers", [0, -1])
def test_at_least_one_call_can_run(workers):
    with pytest.raises(ValueError, match="greater than 0"):
        smarm.Executor(workers)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError):
        smarm.Executor("two")
    with pytest.raises(TypeError):
        smarm.Executor(initializer=3)
    with pytest.raises(TypeError):
        smarm.Executor(thread_name_prefix="x")


def test_a_forked_child_does_not_wait_for_its_parents_task_actors(run_app):
    result = run_app("""
        import os
        import warnings
        import smarm

        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: signals, reports

        def main():
            executor = smarm.Executor()
            print(executor.submit(abs, -1).result(), flush=True)
            if (child := os.fork()) == 0:
                try:
                    executor.submit(abs, -1)
                except RuntimeError as error:
                    print(error, flush=True)
                executor.shutdown()
                os._exit(0)
            os.waitpid(child, 0)
            print(executor.submit(abs, -2).result())

        if __name__ == "__main__":
            smarm.run(main, workers=1)
    """)
    assert (result.code, result.err) == (0, "")
    assert result.out == ("1\ncannot schedule new futures: this process was forked from the one that has the pool\n2\n")


# ---- others that use it ----------------------------------------------------------------------------------------------


def test_asyncio_runs_calls_in_it():
    async def use(executor):
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, tasks.square, number) for number in range(20)))

    def main():
        with smarm.Executor() as executor:
            return asyncio.run(use(executor))

    assert run(main) == [number * number for number in range(20)]


def test_wait_and_as_completed_mix_it_with_others():
    def main():
        with smarm.Executor() as ours, concurrent.futures.ThreadPoolExecutor(2) as theirs:
            calls = [executor.submit(tasks.square, number) for number in range(50) for executor in (ours, theirs)]
            done, not_done = concurrent.futures.wait(calls)
            assert not not_done
            return sorted(call.result() for call in concurrent.futures.as_completed(done))

    assert run(main) == sorted([number * number for number in range(50)] * 2)


def test_any_interleaving_gives_the_same_results():
    """Under simulation: what seeds choose are the turns and the preemptions of the program's own code."""

    def main():
        with smarm.Executor(3) as executor:
            calls = [executor.submit(tasks.square, number) for number in range(10)]
            calls[7].cancel()
            done = [call.result() for call in calls if not call.cancelled()]
        assert set(done) <= {number * number for number in range(10)}
        assert len(done) >= 9
        assert list(smarm.map(tasks.square, range(20))) == [number * number for number in range(20)]
        assert sorted(smarm.map(tasks.square, range(20), ordered=False)) == [number * number for number in range(20)]

    smarm.testing.explore(main, seeds=range(30))
