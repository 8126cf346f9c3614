"""smarm.map: order, laziness, failures, chunks, ends."""

from __future__ import annotations

import functools
import itertools
import threading

import pytest
import work_tasks as tasks

import smarm


def run(main, *arguments, **options):
    return smarm.run(main, *arguments, **{"workers": 2} | options)


# ---- results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_results_come_in_the_order_of_the_items(workers, chunk):
    def main():
        return list(smarm.map(tasks.square, range(1000), chunk=chunk))

    assert run(main, workers=workers) == [number * number for number in range(1000)]


def test_without_order_every_result_comes_once():
    def main():
        return sorted(smarm.map(tasks.square, range(1000), ordered=False))

    assert run(main) == [number * number for number in range(1000)]


def test_without_order_nothing_waits_for_a_slow_item():
    def main():
        slow = smarm.Event()
        items = [(slow, True), *((slow, False) for _ in range(50))]
        results = smarm.map(lambda item: tasks.wait_for(item[0]) if item[1] else "fast", items, ordered=False)
        got = [next(results) for _ in range(50)]
        slow.set()
        return got, list(results)

    assert run(main) == (["fast"] * 50, ["waited"])


def test_no_items_give_no_results():
    assert run(lambda: list(smarm.map(tasks.square, []))) == []


def test_items_are_taken_as_results_are():
    def main():
        taken = []

        def items():
            for number in itertools.count():
                taken.append(number)
                yield number

        results = smarm.map(tasks.square, items())
        assert taken == []
        first = [next(results) for _ in range(3)]
        bound = len(taken)
        smarm.sleep(0.01)
        assert len(taken) == bound, "nothing is taken while nobody asks"
        results.close()
        return first, bound

    first, bound = run(main)
    assert first == [0, 1, 4]
    assert bound < 10_000


def test_an_error_of_the_items_ends_the_map():
    def main():
        def items():
            yield 1
            raise LookupError("no more")

        with pytest.raises(LookupError, match="no more"):
            list(smarm.map(tasks.square, items()))

    run(main)


def test_concurrency_is_how_many_run_at_a_time():
    def main():
        barrier = smarm.Barrier(10)  # passes only if ten are there
        return len(list(smarm.map(tasks.meet, [barrier] * 10, concurrency=10, chunk=1)))

    assert run(main) == 10


def test_every_worker_takes_part():
    def main():
        barrier = smarm.Barrier(3)
        return set(smarm.map(tasks.meet, [barrier] * 3, chunk=1))

    assert run(main, workers=3) == {0, 1, 2}


@pytest.mark.parametrize(("placement", "expected"), [("main", {0}), ("local", {0}), (1, {1})])
def test_placement_says_where(placement, expected):
    def main():
        return set(smarm.map(tasks.where, range(20), placement=placement))

    assert run(main) == expected


# ---- failures --------------------------------------------------------------------------------------------------------


def test_the_first_failure_is_raised_behind_the_results_before_it():
    def main():
        got = []
        results = smarm.map(tasks.fail_at, range(100))
        with pytest.raises(KeyError) as caught:
            got.extend(results)
        return got, str(caught.value.__cause__)

    got, cause = run(main)
    assert got == [0, 1, 2, 3, 4]
    assert "in fail_at" in cause
    assert "raise KeyError(where)" in cause


@pytest.mark.parametrize("ordered", [True, False])
def test_a_failure_ends_what_runs(ordered):
    def main():
        tell, told = smarm.channel()

        def work(item):
            if item == 0:
                tell_number = told_first.recv()
                raise KeyError(tell_number)
            tasks.tell_and_wait(tell, item)

        first, told_first = smarm.channel()
        second = smarm.spawn(lambda: first.send(told.recv()))  # the first fails when the second runs
        with pytest.raises(KeyError):
            list(smarm.map(work, [0, 1], chunk=1, ordered=ordered))
        second.join()
        return told.recv(timeout=60)

    assert run(main) == -1


def test_exceptions_can_be_returned_in_the_place_of_results():
    def main():
        return list(smarm.map(tasks.fail_at, range(10), on_error="return"))

    results = run(main)
    assert isinstance(results[5], KeyError)
    assert results[:5] + results[6:] == [0, 1, 2, 3, 4, 6, 7, 8, 9]


@pytest.mark.parametrize("ordered", [True, False])
def test_failures_can_be_skipped(ordered):
    def main():
        return sorted(smarm.map(tasks.fail_at, range(1000), on_error="skip", ordered=ordered))

    assert run(main) == [number for number in range(1000) if number != 5]


def test_an_item_that_takes_too_long_is_a_timeout():
    def main():
        with pytest.raises(smarm.Timeout):
            list(smarm.map(tasks.sleep, [0.0, 60.0], timeout=1.0))
        return list(smarm.map(tasks.sleep, [0.0, 60.0, 0.0], timeout=1.0, on_error="return"))

    first, second, third = run(main)
    assert (first, third) == (0.0, 0.0)
    assert isinstance(second, smarm.Timeout)


def test_an_item_that_cannot_be_sent_is_that_items_failure():
    def main():
        lock = threading.Lock()
        return list(smarm.map(tasks.take, [1, lock, "text", lock, 2.0], on_error="return"))

    one, first, text, second, two = run(main)
    assert (one, text, two) == ("int", "str", "float")
    for error in (first, second):
        assert isinstance(error, smarm.NotSendable)
        assert "lock" in str(error)


def test_an_item_that_cannot_be_sent_is_found_in_a_chunk():
    def main():
        items = [*range(20), threading.Lock(), *range(20)]
        results = list(smarm.map(tasks.take, items, chunk=10, on_error="return"))
        return [index for index, result in enumerate(results) if isinstance(result, smarm.NotSendable)], len(results)

    assert run(main) == ([20], 41)


def test_a_result_that_cannot_be_sent_is_that_items_failure():
    def main():
        def work(number):
            return tasks.return_lock() if number == 3 else number

        return list(smarm.map(work, range(6), on_error="return", chunk=6))

    results = run(main)
    assert results[:3] + results[4:] == [0, 1, 2, 4, 5]
    assert isinstance(results[3], smarm.NotSendable)


# ---- chunks ----------------------------------------------------------------------------------------------------------


def test_chunks_grow_while_items_are_cheap():
    from smarm.work.chunks import MOST, TARGET, Chunks

    chunks = Chunks(None)
    assert chunks.size == 1
    sizes = []
    for _ in range(8):
        chunks.measured(chunks.size, chunks.size * 1e-7)
        sizes.append(chunks.size)
    assert sizes == sorted(sizes)
    assert sizes[0] == 8
    assert sizes[-1] == int(TARGET / 1e-7 + 0.5) <= MOST


def test_chunks_shrink_at_once_when_items_cost_more():
    from smarm.work.chunks import Chunks

    chunks = Chunks(None)
    for _ in range(8):
        chunks.measured(chunks.size, chunks.size * 1e-7)
    chunks.measured(10, 0.1)
    assert chunks.size == 1


def test_what_is_behind_a_slow_item_of_a_chunk_comes_back():
    from smarm.work import slots

    def main():
        slots._run(smarm.self(), 1, 40, [2 * slots.LONGEST, 0.0, 0.0], tasks.sleep, False)
        return smarm.receive()

    number, first, values, failures, left, seconds, done = run(main)
    assert (number, first, values, failures, left, done) == (1, 40, [2 * slots.LONGEST], None, [0.0, 0.0], True)
    assert seconds > slots.LONGEST


def test_what_has_come_back_is_done_in_its_order():
    def main():
        items = [0.0, 0.005, 0.0, 0.005, 0.0, 0.0, 0.003] * 3
        return items, list(smarm.map(tasks.sleep, items, chunk=7))

    items, results = run(main)
    assert results == items


def test_buffers_move_into_the_items_and_out_of_the_results():
    def main():
        buffers = [smarm.Buffer(1 << 20) for _ in range(20)]
        results = list(smarm.map(tasks.fill, buffers))
        assert all(buffer.moved for buffer in buffers)
        return [buffer[0] for buffer in results], {len(buffer) for buffer in results}

    assert run(main) == ([7] * 20, {1 << 20})


# ---- the end ---------------------------------------------------------------------------------------------------------


def wait_for_two(tell, told):
    results = smarm.map(lambda number: tasks.tell_and_wait(tell, number), [1, 2], chunk=1)
    numbers = []
    reader = smarm.spawn(lambda: numbers.extend(told.recv(timeout=60) for _ in range(2)), on="local")
    return results, reader, numbers


def ends(told):
    return sorted(told.recv(timeout=60) for _ in range(2))


def test_closing_the_generator_ends_what_runs():
    def main():
        slow = smarm.Event()
        results = smarm.map(lambda item: item if item == 0 else tasks.wait_for(slow), [0, 1, 2], chunk=1)
        assert next(results) == 0
        results.close()
        return len(smarm.processes())

    run(main)


def test_a_deadline_ends_what_runs():
    def main():
        list(smarm.map(tasks.meet, [smarm.Barrier(2)] * 2, chunk=1))  # both workers are there
        tell, told = smarm.channel()
        results, reader, numbers = wait_for_two(tell, told)
        with pytest.raises(smarm.Timeout), smarm.timeout(1.0):
            next(results)
        reader.join()
        return sorted(numbers), ends(told)

    assert run(main) == ([1, 2], [-2, -1])


def test_the_end_of_the_submitter_ends_what_runs(wait_until):
    def main():
        tell, told = smarm.channel()

        def submit():
            list(smarm.map(functools.partial(tasks.tell_and_wait, tell), [1, 2], chunk=1))

        submitter = smarm.spawn(submit, on="local")
        running = sorted(told.recv(timeout=60) for _ in range(2))
        smarm.kill(submitter.pid)
        with pytest.raises(smarm.ActorKilled):
            submitter.join()
        return running, ends(told)

    assert run(main) == ([1, 2], [-2, -1])


def test_the_runtimes_end_ends_it(run_app):
    result = run_app("""
        import smarm
        import time

        def main():
            results = smarm.map(time.sleep, [0, 100], chunk=1)
            next(results)
            return results

        if __name__ == "__main__":
            smarm.run(main, workers=2)
            print("ended")
    """)
    assert (result.code, result.out, result.err) == (0, "ended\n", "")


# ---- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"concurrency": 0}, smarm.ConfigError),
        ({"concurrency": "2"}, TypeError),
        ({"chunk": 0}, smarm.ConfigError),
        ({"chunk": 1.5}, TypeError),
        ({"on_error": "ignore"}, smarm.ConfigError),
        ({"timeout": -1}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"progress": 3}, TypeError),
        ({"ordering": True}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_at_the_call(options, error):
    with pytest.raises(error):
        smarm.map(tasks.square, [1], **options)


def test_what_is_no_function_and_what_are_no_items_is_refused_at_the_call():
    with pytest.raises(TypeError, match="function"):
        smarm.map(3, [1])
    with pytest.raises(TypeError, match="iterable"):
        smarm.map(tasks.square, 3)


def test_a_wrong_placement_is_refused_with_what_there_is():
    def main():
        with pytest.raises(smarm.ConfigError, match="placement= is"):
            list(smarm.map(tasks.square, [1], placement="everywhere"))

    run(main)


# ---- progress --------------------------------------------------------------------------------------------------------


def test_a_function_hears_how_many_are_done_of_how_many():
    def main():
        told = []
        list(smarm.map(tasks.square, range(100), progress=lambda done, total: told.append((done, total))))
        return told

    told = run(main)
    assert told[-1] == (100, 100)
    assert told == sorted(told)


def test_the_total_of_a_generator_is_unknown():
    def main():
        told = []
        list(smarm.map(tasks.square, iter(range(10)), progress=lambda done, total: told.append((done, total))))
        return told[-1]

    assert run(main) == (10, None)
