"""What CPython keeps per thread is the actor's own: it survives every switch, and others do not see it."""

# ruff: noqa: PT017 - what an except block sees while others run is the very point
from __future__ import annotations

import asyncio
import contextvars
import decimal
import gc
import logging
import random
import subprocess
import sys
import threading
import warnings
import weakref

import pytest

import smarm

ACTORS = 20
TURNS = 30


def run_interleaved(alone, body, actors=ACTORS, turns=TURNS):
    """Run body(number) in actors that switch at each of its yields; return what the bodies return."""

    def drive(number):
        generator = body(number)
        while True:
            try:
                next(generator)
            except StopIteration as stop:
                return stop.value
            smarm.yield_now()

    def main():
        handles = [smarm.spawn(drive, number) for number in range(actors)]
        return [handle.join() for handle in handles]

    return alone(main)


def test_thread_locals_are_the_actors(alone):
    local = threading.local()

    def body(number):
        assert not hasattr(local, "number")
        local.number = number
        for _ in range(TURNS):
            yield
            assert local.number == number
        return True

    assert all(run_interleaved(alone, body))
    assert not hasattr(local, "number")


def test_thread_locals_die_with_the_actor(alone):
    class Thing:
        pass

    local = threading.local()
    alive = []

    def work():
        local.thing = Thing()
        alive.append(weakref.ref(local.thing))
        smarm.yield_now()
        assert alive[-1]() is not None

    def main():
        for handle in [smarm.spawn(work) for _ in range(ACTORS)]:
            handle.join()
        smarm.yield_now()
        gc.collect()
        return [reference() for reference in alive]

    assert alone(main) == [None] * ACTORS


def test_a_finaliser_of_a_thread_local_may_park(alone):
    finalised = []

    class Thing:
        def __del__(self):
            smarm.sleep(0)
            smarm.yield_now()
            finalised.append(smarm.self())

    local = threading.local()

    def work():
        local.thing = Thing()
        return smarm.self()

    def main():
        pids = [handle.join() for handle in [smarm.spawn(work) for _ in range(5)]]
        while len(finalised) < 5:
            smarm.yield_now()
        return pids

    assert alone(main) == finalised


def test_context_variables_are_the_actors(alone):
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outside")

    def body(number):
        assert variable.get() == "unset"  # an actor starts with a context of its own
        token = variable.set(number)
        for _ in range(TURNS):
            yield
            assert variable.get() == number
        variable.reset(token)
        assert variable.get() == "unset"
        return True

    assert all(run_interleaved(alone, body))
    assert variable.get() == "outside"


def test_a_context_that_is_run_may_switch(alone):
    variable = contextvars.ContextVar("variable")

    def body(number):
        context = contextvars.copy_context()

        def inside():
            variable.set(number)
            for _ in range(5):
                smarm.yield_now()
                assert variable.get() == number
            return True

        yield
        ran = context.run(inside)
        assert variable.get(None) is None
        return ran

    assert all(run_interleaved(alone, body))


def test_decimal_contexts_are_the_actors(alone):
    def body(number):
        with decimal.localcontext() as context:
            context.prec = number + 2
            for _ in range(TURNS):
                yield
                assert decimal.getcontext().prec == number + 2
                assert len((decimal.Decimal(1) / 3).as_tuple().digits) == number + 2
        return decimal.getcontext().prec

    assert run_interleaved(alone, body) == [28] * ACTORS


def test_the_handled_exception_is_the_actors(alone):
    def body(number):
        assert sys.exception() is None
        try:
            raise ValueError(number)
        except ValueError as error:
            for _ in range(TURNS):
                yield
                assert sys.exception() is error
                assert sys.exc_info()[1] is error
            try:
                raise KeyError(number)
            except KeyError as second:
                yield
                assert second.__context__ is error
                assert sys.exception() is second
            with pytest.raises(ValueError, match=str(number)):
                raise
            assert sys.exception() is error
        assert sys.exception() is None
        return True

    assert all(run_interleaved(alone, body))


def test_an_exception_raised_while_others_handle_theirs_has_no_context_of_them(alone):
    def handle_for_long():
        try:
            raise ValueError("theirs")
        except ValueError:
            smarm.receive()

    def main():
        handle = smarm.spawn(handle_for_long)
        smarm.yield_now()
        with pytest.raises(KeyError) as caught:
            raise KeyError("mine")
        smarm.send(handle.pid, "end")
        handle.join()
        return caught.value.__context__

    assert alone(main) is None


def test_tracing_and_profiling_are_the_actors(alone):
    def body(number):
        lines = []

        def trace(frame, event, argument):
            lines.append(frame.f_code.co_name)
            return None

        assert sys.gettrace() is None
        if number % 2:
            sys.settrace(trace)
        yield
        (lambda: None)()
        yield
        sys.settrace(None)
        return lines.count("<lambda>")

    assert run_interleaved(alone, body) == [number % 2 for number in range(ACTORS)]


def test_generators_may_be_shared_but_not_entered_twice(alone):
    def numbers():
        for number in range(100):
            smarm.yield_now()
            yield number

    def main():
        generator = numbers()

        def take():
            got = 0
            while True:
                try:
                    next(generator)
                    got += 1
                except ValueError as error:
                    assert "already executing" in str(error)
                    smarm.yield_now()
                except StopIteration:
                    return got

        handles = [smarm.spawn(take) for _ in range(3)]
        return sum(handle.join() for handle in handles)

    assert alone(main) == 100


def test_get_ident_is_the_actors_and_the_main_actors_is_the_threads(alone):
    before = threading.get_ident()

    def body(number):
        mine = threading.get_ident()
        yield
        assert threading.get_ident() == mine
        return mine

    idents = run_interleaved(alone, body)
    assert len({*idents, before}) == ACTORS + 1
    assert alone(threading.get_ident) == before
    assert alone(threading.current_thread) is threading.current_thread()


# ---- asyncio --------------------------------------------------------------------------------------------------------


def test_asyncio_runs_inside_an_actor(alone):
    async def both():
        return await asyncio.gather(asyncio.sleep(0, "one"), asyncio.sleep(0.001, "two"))

    assert alone(lambda: smarm.spawn(lambda: asyncio.run(both())).join()) == ["one", "two"]


def test_each_actor_has_a_running_loop_of_its_own(alone):
    async def work():
        loop = asyncio.get_running_loop()
        for _ in range(5):
            await asyncio.sleep(0)
            smarm.yield_now()
            assert asyncio.get_running_loop() is loop
            assert asyncio.current_task() is not None
        return id(loop)

    def start():
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        with asyncio.Runner() as runner:
            return runner.run(work())

    def main():
        handles = [smarm.spawn(start) for _ in range(5)]
        return [handle.join() for handle in handles]

    assert len(alone(main)) == 5


def test_a_loop_of_main_is_not_disturbed_by_others(alone):
    async def work():
        handles = [smarm.spawn(lambda: asyncio.run(asyncio.sleep(0, "inner"))) for _ in range(3)]
        values = [handle.join() for handle in handles]
        await asyncio.sleep(0)
        return values

    assert alone(lambda: asyncio.run(work())) == ["inner"] * 3


def test_run_inside_a_coroutine_works():
    async def work():
        value = smarm.run(lambda: smarm.spawn(abs, -1).join(), workers=1)
        await asyncio.sleep(0)
        return value

    assert asyncio.run(work()) == 1


# ---- threads and processes ------------------------------------------------------------------------------------------


def test_threads_started_in_an_actor_run_and_are_joined(alone):
    def work(number):
        values = []
        threads = [threading.Thread(target=lambda n=n: values.append((number, n))) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(values)

    def main():
        handles = [smarm.spawn(lambda number=number: work(number)) for number in range(5)]
        return [handle.join() for handle in handles]

    assert alone(main) == [[(number, n) for n in range(3)] for number in range(5)]


def test_threads_work_in_every_worker(succeed):
    out = succeed("""
        import concurrent.futures, smarm, threading
        def work():
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                return sum(pool.map(abs, range(-10, 0)))
        def main():
            print([smarm.spawn(work, on=index).join() for index in range(3)])
        smarm.run(main, workers=3)
    """)
    assert out == "[55, 55, 55]\n"


def test_a_thread_is_not_an_actor_and_has_none_of_its_state(alone):
    local = threading.local()

    def work():
        local.value = 1
        seen = []
        thread = threading.Thread(target=lambda: seen.append((hasattr(local, "value"), smarm.worker_index())))
        thread.start()
        thread.join()
        return seen

    assert alone(lambda: smarm.spawn(work).join()) == [(False, None)]


def test_subprocesses_run_inside_actors(alone):
    def work(number):
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"print({number} * 2)"], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    def main():
        handles = [smarm.spawn(lambda number=number: work(number)) for number in range(3)]
        return [handle.join() for handle in handles]

    assert alone(main) == [0, 2, 4]


def test_subprocesses_run_in_every_worker(succeed):
    out = succeed("""
        import os, subprocess, smarm
        def work(n):
            return int(subprocess.check_output(["echo", str(n)])), os.system("true")
        def main():
            print([smarm.spawn(work, n, on=n).join() for n in range(3)])
        smarm.run(main, workers=3)
    """)
    assert out == "[(0, 0), (1, 0), (2, 0)]\n"


FORK = """
    import os, smarm, warnings
    warnings.simplefilter("ignore")
    def fork():
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    def attempt(on):
        try:
            return smarm.spawn(fork, on=on).join()
        except smarm.ActorFailed as error:
            return type(error.__cause__).__name__
"""


def test_os_fork_works_on_the_main_lane_while_it_is_alone(succeed):
    out = succeed(
        FORK
        + """
    smarm.run(lambda: print(attempt("main")), workers=1)
    """
    )
    assert out == "7\n"


def test_os_fork_is_refused_where_the_child_would_crash(succeed):
    out = succeed(
        FORK
        + """
    smarm.run(lambda: print(attempt(1), attempt("main")), workers=2)
    """
    )
    # CPython cannot fork in a subinterpreter, nor (3.13) in a process that has one.
    assert out in ("RuntimeError RuntimeError\n", "RuntimeError 7\n")


# ---- collection and finalisers --------------------------------------------------------------------------------------


def test_collecting_while_many_actors_are_parked_finds_only_garbage(alone, wait_until_parked):
    class Node:
        pass

    def work(number):
        kept = Node()
        kept.self, kept.number = kept, number
        garbage = Node()
        garbage.self = garbage
        reference = weakref.ref(garbage)
        del garbage
        smarm.receive()
        return kept.self.number, reference() is None

    def main():
        handles = [smarm.spawn(lambda number=number: work(number)) for number in range(100)]
        for handle in handles:
            wait_until_parked(handle.pid)
        gc.collect()
        for handle in handles:
            smarm.send(handle.pid, "go")
        return [handle.join() for handle in handles]

    assert alone(main) == [(number, True) for number in range(100)]


def test_a_finaliser_that_parks_does_not_stop_collection_for_the_others(alone, wait_until):
    class Slow:
        def __init__(self):
            self.self = self

        def __del__(self):
            smarm.sleep(0.001)
            finalised.append(1)

    finalised = []

    def make():
        Slow()
        gc.collect()

    def main():
        handles = [smarm.spawn(make) for _ in range(10)]
        for handle in handles:
            handle.join()
        gc.collect()
        wait_until(lambda: len(finalised) == 10)
        return gc.isenabled()

    assert alone(main)


def test_tracebacks_and_frames_of_parked_actors_may_be_kept(alone, wait_until_parked):
    def main():
        frames = []

        def work():
            frames.append(sys._getframe())
            smarm.receive()
            return "done"

        handle = smarm.spawn(work)
        wait_until_parked(handle.pid)
        line = frames[0].f_lineno
        names = [frames[0].f_code.co_name]
        smarm.send(handle.pid, "go")
        handle.join()
        frames[0].clear()
        return names, line > 0

    assert alone(main) == (["work"], True)


def test_generators_that_outlive_their_actor_go_on(alone):
    kept = []

    def work():
        def numbers():
            yield from range(10)

        generator = numbers()
        next(generator)
        kept.append(generator)

    def main():
        smarm.spawn(work).join()
        smarm.yield_now()
        return list(kept[0])

    assert alone(main) == list(range(1, 10))


# ---- other process-wide state ---------------------------------------------------------------------------------------


def test_logging_from_many_actors_is_whole(succeed):
    out = succeed("""
        import logging, sys, smarm
        def work(n):
            logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
            for i in range(20):
                logging.info("actor %d line %d", n, i)
                smarm.yield_now()
        def main():
            for handle in [smarm.spawn(work, n, on=n % 2) for n in range(10)]:
                handle.join()
        smarm.run(main, workers=2)
    """)
    assert sorted(out.splitlines()) == sorted(f"actor {n} line {i}" for n in range(10) for i in range(20))
    assert logging.getLogger().handlers is not None


def test_warnings_and_random_work_in_actors(alone):
    def work():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("careful", stacklevel=1)
            return len(caught), random.Random(5).random()

    assert alone(lambda: smarm.spawn(work).join()) == (1, random.Random(5).random())


def test_mixed_work_of_many_actors_crosses_nothing(alone):
    """Everything above at once, in random order from a fixed seed."""
    local = threading.local()
    variable = contextvars.ContextVar("variable")

    def body(number):
        source = random.Random(number)
        local.number = number
        variable.set(number)
        decimal.getcontext().prec = 5 + number % 20
        for _ in range(50):
            try:
                raise ValueError(number)
            except ValueError as error:
                for _ in range(source.randrange(3)):
                    smarm.yield_now()
                if source.randrange(4) == 0:
                    smarm.sleep(source.random() / 1000)
                assert sys.exception() is error
            assert local.number == variable.get() == number
            assert decimal.getcontext().prec == 5 + number % 20
            yield
        return number

    assert run_interleaved(alone, body, actors=100) == list(range(100))
