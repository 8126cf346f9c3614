"""smarm.timeout and TaskGroup in a generator or coroutine: while it is suspended nobody outside of its block is cut short."""

# ruff: noqa: PT012 - what is tested is how a block of several statements ends

import asyncio
import contextlib
import threading
import time

import pytest

import smarm

PATIENCE = 60  # seconds; a test that needs more hangs


def suspended(scope):
    """Return a generator that waits inside a block of the scope, and what became of the block."""
    seen = []

    def steps():
        try:
            with scope():
                yield
                seen.append("runs on")
                smarm.sleep(PATIENCE)
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    generator = steps()
    next(generator)
    return generator, seen


def failing_group():
    group = smarm.TaskGroup()

    class Block:
        def __enter__(self):
            group.__enter__()
            group.spawn(divmod, 1, 0, on="local")

        def __exit__(self, *error):
            return group.__exit__(*error)

    return Block()


SCOPES = {"timeout": lambda: smarm.timeout(0.001), "TaskGroup": failing_group}
ENDS = {"timeout": "Timeout", "TaskGroup": "ExceptionGroup"}


def elsewhere():
    smarm.sleep(0.02)
    with contextlib.suppress(smarm.Timeout):
        smarm.receive(timeout=0.02)
    threading.Event().wait(0.02)
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        pass


@pytest.mark.parametrize("scope", SCOPES)
def test_a_block_in_a_suspended_generator_does_not_hit_the_code_outside(alone, scope):
    def main():
        generator, seen = suspended(SCOPES[scope])
        elsewhere()
        assert seen == []
        if scope == "timeout":
            generator.close()
            elsewhere()
            assert seen == ["GeneratorExit"]

    alone(main, interrupt_after=0)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_block_in_a_generator_is_left_when_the_generator_runs_on(alone, scope):
    def main():
        generator, seen = suspended(SCOPES[scope])
        elsewhere()
        with pytest.raises((smarm.Timeout, ExceptionGroup)):
            next(generator)
        assert seen[-1] == ENDS[scope]

    alone(main)


def test_a_block_in_a_generator_that_computes_is_left_there(alone):
    def main():
        def steps():
            with smarm.timeout(0.001, interrupt_after=0):
                yield
                while True:
                    pass

        generator = steps()
        next(generator)
        elsewhere()
        with pytest.raises(smarm.Timeout):
            next(generator)

    alone(main)


def test_a_block_in_a_generator_that_waits_is_left_there(alone):
    def inner():
        smarm.sleep(PATIENCE)
        yield

    def steps():
        with smarm.timeout(0.01):
            yield
            yield from inner()

    def main():
        generator = steps()
        next(generator)
        with pytest.raises(smarm.Timeout):
            next(generator)

    alone(main)


def test_other_requests_and_blocks_go_on_while_a_generator_is_suspended(alone):
    def main():
        _generator, seen = suspended(SCOPES["timeout"])
        smarm.sleep(0.01)
        for _ in range(2):
            with pytest.raises(smarm.Timeout), smarm.timeout(0.01):
                smarm.receive()
        with pytest.raises(smarm.ActorExit):
            smarm.exit(smarm.self(), "enough")
        assert seen == []

    alone(main)


def test_a_block_around_a_generator_is_left_after_that_of_the_generator(alone):
    def main():
        generator, _seen = suspended(SCOPES["timeout"])
        smarm.sleep(0.01)
        passed = []
        with pytest.raises(smarm.Timeout), smarm.timeout(0.01):
            with contextlib.suppress(smarm.Timeout):
                next(generator)
            passed.append("generator")
            smarm.receive()
        assert passed == ["generator"]

    alone(main)


@pytest.mark.parametrize("where", ["function", "generator"])
def test_a_context_manager_made_of_a_generator_opens_its_callers_block(alone, where):
    @contextlib.contextmanager
    def limited():
        with smarm.timeout(0.01):
            yield

    class Limited:
        def __enter__(self):
            self.steps = limited.__wrapped__()
            next(self.steps)

        def __exit__(self, *error):
            with contextlib.suppress(StopIteration):
                self.steps.throw(error[1])

    def in_function(made):
        with made():
            smarm.receive()

    def in_generator(made):
        with made():
            yield
            smarm.receive()

    def main():
        for made in (limited, Limited):
            with pytest.raises(smarm.Timeout), contextlib.ExitStack() as stack:
                if where == "function":
                    in_function(made)
                    stack.enter_context(made())
                    smarm.receive()
                generator = in_generator(made)
                next(generator)
                elsewhere()
                next(generator)

    alone(main)


def test_a_block_that_outlives_its_generator_is_left_as_any(alone):
    def main():
        stack = contextlib.ExitStack()

        def steps():
            yield stack.enter_context(smarm.timeout(0.01))

        for _ in steps():
            pass
        with pytest.raises(smarm.Timeout), stack:
            smarm.receive()

    alone(main)


def test_a_block_in_a_coroutine_does_not_hit_the_event_loop(alone):
    async def limited(reached):
        with smarm.timeout(0.001):
            reached.append("before")
            await asyncio.sleep(0.05)
            reached.append("after")
            smarm.sleep(PATIENCE)

    async def run():
        reached = []
        task = asyncio.create_task(limited(reached))
        await asyncio.sleep(0.1)
        with pytest.raises(smarm.Timeout):
            await task
        return reached

    def main():
        assert asyncio.run(run()) == ["before", "after"]

    alone(main)


def test_asynchronous_context_managers_open_their_callers_block(alone):
    @contextlib.asynccontextmanager
    async def limited():
        with smarm.timeout(0.01):
            yield

    async def with_block():
        async with limited():
            smarm.receive()

    async def with_stack():
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(limited())
            smarm.receive()

    def main():
        for block in (with_block, with_stack):
            with pytest.raises(smarm.Timeout):
                asyncio.run(block())

    alone(main)


def test_a_generator_that_another_actor_drives_keeps_its_block_to_its_owner(alone):
    def main():
        generator, seen = suspended(SCOPES["timeout"])
        smarm.sleep(0.01)

        def child():
            generator.close()
            smarm.sleep(0.01)
            return "not hit"

        assert smarm.spawn(lambda: child(), on="local").join(PATIENCE) == "not hit"
        assert seen == ["GeneratorExit"]
        smarm.sleep(0.01)

    alone(main)
