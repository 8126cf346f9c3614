"""asyncio programs that are ended at random moments: python -m tests.soak.asyncio_programs MINUTES SEED WORKERS TIME_SLICE

Each program of PROGRAMS goes on for ever under asyncio.run in an actor, until a deadline, an exit or a kill ends it, or in a process of
its own Ctrl-C or SIGTERM.  What must hold: it ends; every ``finally`` has run, once; no task is pending, no lock held, no descriptor
open; and asyncio has nothing to complain of.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import gc
import itertools
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import warnings

import smarm
from tests.soak.load import Reports, run_from_arguments

PATIENCE = 60.0  # seconds; longer is a hang
TIMES = 20  # that each program is ended in each way, at least
LONGEST = 0.02  # seconds that a program gets
SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM}
NOISE = ("never retrieved", "pending", "never awaited")
GARBAGE = ("ignored", "unclosed", "ResourceWarning", "RuntimeError")
# What asyncio leaves to the collector, under python, too: a connection whose task is cancelled before its first step, an endpoint
# whose protocol cannot be made, the pipes of a child whose start is cancelled. And its kill() may reap what its watcher waits for.
CHILD = ("unclosed ", "child process pid ")
LEFT_BY_ASYNCIO = {
    "streams": "unclosed <socket",
    "datagrams": "unclosed <socket",
    "child": CHILD,
    "children": CHILD,
    "children_beside": CHILD,
}


class Books:
    """What a program notes.  Nothing can come between a note and the `try` behind it, or into a note: list.append is C code."""

    def __init__(self):
        self.entered: list[str] = []
        self.left: list[str] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.locks: list[asyncio.Lock | asyncio.Semaphore] = []

    def faults(self):
        """Yield in a sentence each thing that the program has left behind."""
        entered, left = collections.Counter(self.entered), collections.Counter(self.left)
        if entered != left:
            yield f"finally not run {dict(entered - left)}, run too often {dict(left - entered)}"
        if self.loop is not None:
            if not self.loop.is_closed():
                yield "the loop is open"
            for task in asyncio.all_tasks(self.loop):
                yield f"pending: {task!r}"
        if any(lock.locked() for lock in self.locks):
            yield "a lock is held"


# ---- the programs --------------------------------------------------------------------------------------------------------


async def step(books, name, seconds=0.0005):
    books.entered.append(name)
    try:
        await asyncio.sleep(seconds)
    finally:
        books.left.append(name)


async def steps(books, name):
    books.entered.append(f"{name}, all")
    try:
        while True:
            await step(books, name)
    finally:
        try:
            await asyncio.sleep(0)  # a clean-up that waits, and can be cancelled itself
        finally:
            books.left.append(f"{name}, all")


async def gather(books):
    await asyncio.gather(*(steps(books, f"part {number}") for number in range(3)))


async def task_group(books):
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(steps(books, f"child {number}"))
        await steps(books, "owner")


async def wait_for(books):
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(steps(books, "waited for"), 0.001)


async def timeout(books):
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.001):
                await steps(books, "limited")


async def nested_timeouts(books):
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.002):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await steps(books, "inner")
                await steps(books, "outer")


async def put_all(books, places):
    books.entered.append("producer")
    try:
        while True:
            await places.put(1)
    finally:
        books.left.append("producer")


async def take_all(books, places):
    while True:
        await places.get()
        books.entered.append("item")
        try:
            await asyncio.sleep(0)
        finally:
            places.task_done()
            books.left.append("item")


async def queue(books):
    places = asyncio.Queue(2)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(put_all(books, places))
            group.create_task(take_all(books, places))


async def talk(books, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    books.entered.append("client")
    try:
        while True:
            writer.write(b"line\n")
            await writer.drain()
            await reader.readline()
    except (
        ConnectionResetError
    ):  # a request was raised in the task at the other end, which was computing, and comes again
        await steps(books, "alone")
    finally:
        writer.close()
        books.left.append("client")


async def streams(books):
    async def echo(reader, writer):
        books.entered.append("connection")
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except asyncio.CancelledError:
            pass  # what 3.13's StreamReaderProtocol says of a cancelled connection is noise under python, too
        finally:
            writer.close()
            books.left.append("connection")

    # Not served at once: asyncio.start_server leaves its sockets open when it is cancelled then, under python, too.
    server = await asyncio.start_server(echo, "127.0.0.1", 0, start_serving=False)
    books.entered.append("server")
    try:
        await server.start_serving()
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(talk(books, port) for _ in range(2)))
    finally:
        server.close()
        books.left.append("server")


class Echo(asyncio.DatagramProtocol):
    def __init__(self, books):
        self.books = books

    def connection_made(self, transport):
        self.transport = transport
        self.books.entered.append("endpoint")

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)

    def connection_lost(self, error):
        self.books.left.append("endpoint")


async def datagrams(books):
    loop = asyncio.get_running_loop()
    transports = []
    try:
        for _ in range(2):
            transport, _ = await loop.create_datagram_endpoint(lambda: Echo(books), ("127.0.0.1", 0))
            transports.append(transport)
        transports[0].sendto(b"ball", transports[1].get_extra_info("sockname"))
        await steps(books, "players")
    finally:
        for transport in transports:
            transport.close()
        await asyncio.sleep(0)  # the transports say connection_lost


def work(books):
    books.entered.append("work")
    try:
        time.sleep(0.0003)
    finally:
        books.left.append("work")


async def to_thread(books):
    while True:
        await asyncio.gather(asyncio.to_thread(work, books), step(books, "beside"))


async def executor(books):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        while True:
            await asyncio.get_running_loop().run_in_executor(pool, work, books)
            await step(books, "between")


async def child(books):
    while True:
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        books.entered.append("child")
        cancelled = None
        try:
            process.stdin.write(b"line\n")
            await process.stdout.readline()
        finally:
            try:  # a deadline without patience may cut what follows short
                process.stdin.close()
                while process.returncode is None:
                    try:
                        await process.wait()
                    except asyncio.CancelledError as error:
                        cancelled = error
            finally:
                books.left.append("child")
        if cancelled is not None:
            raise cancelled


async def children(
    books,
):  # gather would not wait for all, and what is cancelled twice while it starts is left, under python, too
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(child(books))


async def children_beside(books):
    tasks = [asyncio.create_task(child(books)) for _ in range(2)]
    await steps(books, "owner")
    await asyncio.wait(tasks)


async def shield(books):
    while True:
        inner = asyncio.ensure_future(step(books, "shielded", 0.001))
        books.entered.append("outside")
        try:
            await asyncio.shield(inner)
        finally:
            books.left.append("outside")
            await inner


async def numbers(books):
    books.entered.append("generator")
    try:
        while True:
            yield 1
            await asyncio.sleep(0)
    finally:
        try:
            await asyncio.sleep(0)
        finally:
            books.left.append("generator")


async def generators(books):
    while True:
        async with contextlib.aclosing(numbers(books)) as closed:
            async for _ in closed:
                await step(books, "of the closed one")
                break
        async for _ in numbers(books):  # closed by the loop, when it is collected or at the end
            break


async def hold(books, lock):
    while True:
        async with lock:
            await step(books, "held", 0.0002)


async def semaphore(books):
    lock = asyncio.Semaphore(2)
    books.locks.append(lock)
    await asyncio.gather(*(hold(books, lock) for _ in range(4)))


async def lock(books):
    lock = asyncio.Lock()
    books.locks.append(lock)
    await asyncio.gather(*(hold(books, lock) for _ in range(3)))


async def event(books):
    there = asyncio.Event()

    async def wait():
        while True:
            books.entered.append("waiter")
            try:
                await there.wait()
                there.clear()
            finally:
                books.left.append("waiter")

    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
        while True:
            await step(books, "setter")
            there.set()


async def condition(books):
    lock = asyncio.Lock()
    books.locks.append(lock)
    changed = asyncio.Condition(lock)

    async def wait():
        while True:
            async with changed:
                books.entered.append("waiter")
                try:
                    await changed.wait()
                finally:
                    books.left.append("waiter")

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(wait())
        while True:
            async with changed:
                changed.notify_all()
            await step(books, "between")


async def barrier(books):
    meeting = asyncio.Barrier(3)

    async def meet():
        while True:
            books.entered.append("member")
            try:
                await meeting.wait()
            finally:
                books.left.append("member")

    await asyncio.gather(*(meet() for _ in range(3)))


async def callbacks(books):
    loop = asyncio.get_running_loop()

    def again():
        books.entered.append("callback")
        try:
            sum(range(50))
        finally:
            loop.call_soon(again)
            books.left.append("callback")

    loop.call_soon(again)
    loop.call_later(0.001, again)
    await steps(books, "beside")


async def sleep_0(books):
    async def spin():
        while True:
            await step(books, "spin", 0)

    await asyncio.gather(spin(), spin())


async def computing(books):
    while True:
        books.entered.append("sum")
        try:
            for _ in range(1000):
                pass
        finally:
            books.left.append("sum")
        await asyncio.sleep(0)


class Place:
    def __init__(self, books, name):
        self.books, self.name = books, name

    async def __aenter__(self):
        await asyncio.sleep(0)
        self.books.entered.append(self.name)

    async def __aexit__(self, *exception):
        self.books.left.append(self.name)
        await asyncio.sleep(0)


async def exit_stack(books):
    while True:
        async with contextlib.AsyncExitStack() as stack:
            for number in range(3):
                await stack.enter_async_context(Place(books, f"place {number}"))
            await step(books, "in all of them")


async def swallows_one(books):
    async def swallow():
        with contextlib.suppress(asyncio.CancelledError):
            await steps(books, "cancelled")
        for _ in range(3):
            await step(books, "after it")

    await asyncio.gather(swallow(), steps(books, "beside"))


PROGRAMS = {
    program.__name__: program
    for program in (
        gather,
        task_group,
        wait_for,
        timeout,
        nested_timeouts,
        queue,
        streams,
        datagrams,
        to_thread,
        executor,
        child,
        children,
        children_beside,
        shield,
        generators,
        semaphore,
        lock,
        event,
        condition,
        barrier,
        callbacks,
        sleep_0,
        computing,
        exit_stack,
        swallows_one,
    )
}


def wait_for_threads(books):
    """Have the threads of a pool end: what is asked twice to end does not wait for them."""
    deadline = time.monotonic() + PATIENCE
    while books.entered.count("work") != books.left.count("work") and time.monotonic() < deadline:
        time.sleep(0.001)


# ---- in this process -----------------------------------------------------------------------------------------------------


def run(name, books):
    async def main():
        books.loop = asyncio.get_running_loop()
        await PROGRAMS[name](books)

    asyncio.run(main())


def run_until_deadline(name, books, seconds, **patience):
    with contextlib.suppress(smarm.Timeout), smarm.timeout(seconds, **patience):
        run(name, books)


def by_deadline(**patience):
    def end(name, books, seconds):
        return smarm.spawn(lambda: run_until_deadline(name, books, seconds, **patience), on="local")

    return end


def by(ending):
    def end(name, books, seconds):
        handle = smarm.spawn(lambda: run(name, books), on="local")
        handle.observe()
        smarm.sleep(seconds)
        ending(handle.pid)
        return handle

    return end


# Without and with patience: what computes is interrupted only after it.
FORMS = {
    "deadline": by_deadline(),
    "deadline at once": by_deadline(interrupt_after=0),
    "exit": by(lambda pid: smarm.exit(pid, "enough")),
    "exit at once": by(lambda pid: smarm.exit(pid, "enough", interrupt_after=0)),
    "kill": by(smarm.kill),
    "kill at once": by(lambda pid: smarm.kill(pid, interrupt_after=0)),
}


@contextlib.contextmanager
def noise():
    """Collect what would come on stderr of asyncio, warnings and finalisers."""
    texts: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: texts.append(record.getMessage())  # type: ignore[method-assign]
    logger, hook = logging.getLogger("asyncio"), sys.unraisablehook
    logger.addHandler(handler)
    sys.unraisablehook = lambda arguments: texts.append(f"ignored: {arguments.exc_value!r} in {arguments.object!r}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield texts
            gc.collect()
            texts += [str(warning.message) for warning in caught]
    finally:
        sys.unraisablehook = hook
        logger.removeHandler(handler)


def end_one(name, form, seconds, alone):
    """Return what was wrong, as sentences."""
    books = Books()
    descriptors = set(os.listdir("/proc/self/fd"))
    wrong = []
    with noise() as texts:
        handle = FORMS[form](name, books, seconds)
        try:
            handle.join(timeout=PATIENCE)
        except smarm.ActorKilled as error:
            if form.startswith("deadline"):
                wrong.append(repr(error))
        except Exception as error:
            wrong.append(f"{error!r} from {error.__cause__!r}")
        handle = None
        wait_for_threads(books)
        wrong += books.faults()
        books.loop = None
        books.locks.clear()
    wrong += [text for text in texts if not text.startswith(LEFT_BY_ASYNCIO.get(name, text + "."))]
    if alone:
        wrong += [f"descriptor {name} is open" for name in set(os.listdir("/proc/self/fd")) - descriptors]
    return wrong


def end_all(seed, times, alone=False, forms=tuple(FORMS)):
    """End each program in each way so many times; return what was wrong, as text: empty when all is well.

    alone: nobody else in the process opens and closes descriptors.
    """
    chance = random.Random(seed)
    asyncio.run(asyncio.sleep(0))  # what is made once is no leak
    wrong = []
    for _ in range(times):
        for name in PROGRAMS:
            for form in forms:
                seconds = chance.random() * LONGEST
                wrong += [
                    f"{name}, {form} after {seconds:.6f} s: {fault}" for fault in end_one(name, form, seconds, alone)
                ]
    return "\n".join(wrong)


# ---- in a process of its own ---------------------------------------------------------------------------------------------


def run_alone(name):
    """Run the program in the main actor of this process and print what it has left behind."""
    asyncio.run(asyncio.sleep(0))
    books = Books()
    descriptors = set(os.listdir("/proc/self/fd"))
    ended = "returned"
    try:
        print("ready", flush=True)  # from here on it may be asked to end
        run(name, books)
    except BaseException as error:
        ended = type(error).__name__
        raise
    finally:
        wait_for_threads(books)
        faults = list(books.faults())
        books.loop = None
        gc.collect()
        faults += [f"descriptor {name} is open" for name in set(os.listdir("/proc/self/fd")) - descriptors]
        print(json.dumps({"ended": ended, "faults": faults}), flush=True)


def end_by_signal(name, signal_name, seconds):
    """Return what was wrong, as sentences."""
    command = [sys.executable, "-W", "always", "-X", "faulthandler", "-m", __spec__.name, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(seconds)
        process.send_signal(SIGNALS[signal_name])
        try:
            out, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            time.sleep(1)
            process.kill()
            return [f"it hangs: {process.communicate()}"]
    wrong = []
    if process.returncode != -SIGNALS[signal_name]:
        wrong.append(f"exit code {process.returncode}")
    if not out:
        return [*wrong, f"no report; {errors}"]
    report = json.loads(out)
    wrong += report["faults"]
    expected = {"Ctrl-C": "KeyboardInterrupt", "SIGTERM": "ActorExit"}[signal_name]
    if report["ended"] != expected:
        wrong.append(f"ended by {report['ended']}")
    noise = NOISE if name in LEFT_BY_ASYNCIO else NOISE + GARBAGE
    if any(word in errors for word in noise):
        wrong.append(errors)
    return wrong


def main(seconds, seed, workers):
    """End all programs until the time is over, TIMES at least, and print a line of JSON every few seconds."""
    reports = Reports()
    chance = random.Random(seed)
    jobs = rounds = 0
    while rounds < TIMES or reports.seconds() < seconds:
        lanes = [smarm.spawn(end_all, chance.randrange(2**32), 1, workers == 1, on=index) for index in range(workers)]
        for wrong in smarm.join_all(lanes, 10 * PATIENCE):
            assert not wrong, wrong
        jobs += workers * len(PROGRAMS) * len(FORMS)
        for name, signal_name in itertools.product(PROGRAMS, SIGNALS):
            if (name, signal_name) == ("children_beside", "Ctrl-C"):
                continue  # waits for ever under python 3.13.0, too
            wrong = smarm.block_on_io(end_by_signal, name, signal_name, chance.random() * LONGEST)
            assert not wrong, (name, signal_name, wrong)
            jobs += 1
            reports.write_if_due(jobs)
        rounds += 1
    reports.write(jobs)


if __name__ == "__main__":
    if sys.argv[1] in PROGRAMS:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        smarm.run(run_alone, sys.argv[1], workers=1)
    else:
        run_from_arguments(main)
