"""Where an actor that computes is interrupted, and where not: what is half done, and cleaning up, is finished first."""

from __future__ import annotations

import gc
import importlib
import itertools
import queue
import sys
import threading
import time
import weakref

import pytest

import smarm

PATIENCE = 60.0


def run(main, *args, **options):
    return smarm.run(main, *args, **{"workers": 1, **options})


def interrupt(how, function, *args):
    """Run the function, which never returns by itself, in an actor, interrupt it when it says so, and return its end."""
    started = smarm.channel()

    def limited():
        with smarm.timeout(0.02):
            function(lambda: None, *args)

    if how == "deadline":
        handle = smarm.spawn(limited, on="local")
    else:
        sender, receiver = started
        handle = smarm.spawn(lambda: function(lambda: sender.send(None), *args), on="local")
        receiver.recv(timeout=PATIENCE)
        assert (smarm.kill(handle.pid) if how == "kill" else smarm.exit(handle.pid, "enough")) is True
    try:
        handle.join(timeout=PATIENCE)
    except smarm.ActorKilled as error:
        return error.reason
    except smarm.ActorFailed as error:
        return type(error.__cause__)


ENDS = {"exit": "enough", "kill": "killed", "deadline": smarm.Timeout}


class Cleanup:
    """Counts the times at which a block was entered and left."""

    def __init__(self):
        self.balance = 0

    def __enter__(self):
        self.balance += 1

    def __exit__(self, *_):
        self.balance -= 1


# ---- loops whose jump back has other handlers than its target ----------------------------------------------------------


def with_while(started, cleanup):
    n = 0
    with cleanup:
        started()
        while n >= 0:
            n += 1


def with_while_nested(started, cleanup):
    n = 0
    with cleanup:
        started()
        try:
            while n >= 0:
                n += 1
                while n % 3:
                    n += 1
        except ValueError:
            cleanup.balance += 100


def with_while_true(started, cleanup):
    n = 0
    with cleanup:
        started()
        while True:
            n += 1


def with_for(started, cleanup):
    with cleanup:
        started()
        for _ in iter(int, 1):
            pass


def loop_of_blocks(started, cleanup):
    started()
    while True:
        with cleanup:
            pass


def loop_of_tries(started, cleanup):
    started()
    n = 0
    while True:
        cleanup.balance += 1
        try:
            n += 1
        finally:
            cleanup.balance -= 1


def loop_that_continues(started, cleanup):
    started()
    n = 0
    while n >= 0:
        with cleanup:
            n += 1
            if n % 2:
                continue
        try:
            int("x")
        except ValueError:
            continue


def generator(started, cleanup):
    def count():
        n = 0
        with cleanup:
            while n >= 0:
                yield n
                n += 1

    started()
    counting = count()
    sum(counting)


def comprehension(started, cleanup):
    with cleanup:
        started()
        [0 for _ in iter(int, 1) if _]


LOOPS = [
    with_while,
    with_while_nested,
    with_while_true,
    with_for,
    loop_of_blocks,
    loop_of_tries,
    loop_that_continues,
    generator,
    comprehension,
]


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_a_loop_is_left_through_its_handlers(loop, how):
    def main():
        for _ in range(5):
            cleanup = Cleanup()
            assert interrupt(how, loop, cleanup) == ENDS[how]
            assert cleanup.balance == 0
        return [sys.monitoring.get_tool(number) for number in range(6)]

    assert run(main) == [None] * 6


def test_a_loop_is_left_when_every_monitoring_tool_is_taken():
    def main():
        for number in range(6):
            sys.monitoring.use_tool_id(number, "test")
        try:
            cleanup = Cleanup()
            return interrupt("kill", with_while, cleanup)
        finally:
            for number in range(6):
                sys.monitoring.free_tool_id(number)

    assert run(main, kill_patience=0.2) == "killed"


def test_what_a_call_has_returned_is_not_lost():
    def main():
        numbers, items, taken = itertools.count(), queue.SimpleQueue(), []

        def take(started):
            started()
            while True:
                items.put(next(numbers))
                item = items.get_nowait()
                taken.append(item)

        for _ in range(50):
            assert interrupt("kill", take) == "killed"
        assert taken == list(range(next(numbers)))

    run(main)


# ---- cleaning up -------------------------------------------------------------------------------------------------------


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Slow:
    """A block whose end takes a while."""

    def __init__(self, log):
        self.log = log

    def __enter__(self):
        return self

    def __exit__(self, *_):
        spin(0.01)
        self.finish()

    def finish(self):
        spin(0.01)
        self.log.append("left")


def slow_block(started, log):
    started()
    while True:
        with Slow(log):
            log.append("entered")


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_block_is_finished(how):
    def main():
        log = []
        assert interrupt(how, slow_block, log) == ENDS[how]
        assert log.count("entered") == log.count("left") > 0

    run(main)


def test_an_end_of_a_block_that_never_ends_is_interrupted_after_kill_patience():
    class Endless(Cleanup):
        def __exit__(self, *_):
            while True:
                pass

    def endless(started):
        started()
        with Endless():
            pass

    assert run(lambda: interrupt("kill", endless), kill_patience=0.2) == "killed"


# ---- finalisers and callbacks --------------------------------------------------------------------------------------------


def in_del(started, log):
    class Watched:
        def __del__(self):
            log.append("begun")
            spin(0.005)
            log.append("done")

    started()
    while True:
        Watched()


def in_weakref_callback(started, log):
    class Watched:
        pass

    def callback(_):
        log.append("begun")
        spin(0.005)
        log.append("done")

    started()
    while True:
        watched = Watched()
        reference = weakref.ref(watched, callback)
        del watched
        assert reference() is None


def in_generator_finaliser(started, log):
    def generate():
        try:
            yield
        finally:
            log.append("begun")
            spin(0.005)
            log.append("done")

    started()
    while True:
        next(generate())


def in_collection(started, log):
    class Watched:
        def __del__(self):
            log.append("begun")
            spin(0.005)
            log.append("done")

    started()
    while True:
        watched = Watched()
        watched.itself = watched
        del watched
        gc.collect(0)
        spin(0.002)


def in_gc_callback(started, log):
    def callback(phase, _):
        if phase == "start":
            log.append("begun")
            spin(0.005)
            log.append("done")

    gc.callbacks.append(callback)
    try:
        started()
        while True:
            gc.collect(0)
            spin(0.002)
    finally:
        gc.callbacks.remove(callback)


FINALISERS = [in_del, in_weakref_callback, in_generator_finaliser, in_collection, in_gc_callback]


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("finaliser", FINALISERS, ids=lambda finaliser: finaliser.__name__)
def test_a_finaliser_is_finished_and_nothing_is_lost(finaliser, how, capfd):
    def main():
        log = []
        for _ in range(5):
            assert interrupt(how, finaliser, log) == ENDS[how]
        assert log.count("begun") == log.count("done") > 0

    run(main)
    assert capfd.readouterr().err == ""


def test_a_finaliser_that_never_ends_is_interrupted_after_kill_patience(capfd):
    class Endless:
        def __del__(self):
            while True:
                pass

    def endless(started):
        started()
        Endless()
        while True:
            pass

    assert run(lambda: interrupt("kill", endless), kill_patience=0.2) == "killed"
    assert capfd.readouterr().err == ""


def test_a_loop_that_hardly_leaves_its_callbacks_is_interrupted_before_kill_patience():
    def churn(started):
        class Subscriber:
            pass

        subscribers = weakref.WeakSet()
        started()
        while True:
            subscriber = Subscriber()
            subscribers.add(subscriber)
            del subscriber

    def main():
        for _ in range(100):
            assert interrupt("deadline", churn) == smarm.Timeout

    run(main, kill_patience=86400, interrupt_after=0)


# ---- what runs while an exception is about to be raised ------------------------------------------------------------------

AUDITED = """
import sys, time, smarm
def hook(event, arguments):
    if event.startswith("sys.monitoring"):
        end = time.monotonic() + 0.01
        while time.monotonic() < end: pass
sys.addaudithook(hook)
def compute(started):
    n = 0
    try:
        started.send(None)
        while n >= 0: n += 1
    finally:
        print("left")
def main():
    for _ in range(3):
        started, receiver = smarm.channel()
        handle = smarm.spawn(compute, started)
        receiver.recv()
        smarm.exit(handle.pid, "enough")
        try: handle.join(timeout=60)
        except smarm.ActorKilled as error: print(error.reason)
smarm.run(main, workers=1)
"""


def test_a_request_is_not_lost_in_an_audit_hook(succeed):
    assert succeed(AUDITED) == "left\nenough\n" * 3


PARKED_IN_A_HOOK = """
import sys, smarm
def hook(event, arguments):
    if event == "sys.monitoring.register_callback" and smarm.worker_index() is not None:
        smarm.sleep(0.001)  # others of the worker run meanwhile
sys.addaudithook(hook)
def compute(started):
    n = 0
    try:
        started.send(None)
        while n >= 0: n += 1
    finally:
        n = None
def main():
    started, receiver = smarm.channel()
    for _ in range(3):
        handles = [smarm.spawn(compute, started) for _ in range(8)]
        for _ in handles: receiver.recv()
        for handle in handles: smarm.exit(handle.pid, "enough", interrupt_after=0)
        for handle in handles:
            try: handle.join(timeout=60)
            except smarm.ActorKilled: pass
    print([sys.monitoring.get_tool(number) for number in range(6)])
smarm.run(main, workers=1)
"""


def test_watches_of_several_actors_are_all_ended(succeed):
    assert succeed(PARKED_IN_A_HOOK) == f"{[None] * 6}\n"


def test_a_loop_in_a_trace_function_is_interrupted_after_kill_patience():
    def traced(started):
        def trace(*_):
            n = 0
            with Cleanup():
                started()
                while n >= 0:
                    n += 1

        sys.settrace(trace)
        Cleanup()

    assert run(lambda: interrupt("kill", traced), kill_patience=0.2) == "killed"


# ---- imports, and the standard library's books -----------------------------------------------------------------------------


def test_an_import_is_finished(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        "import time\nend = time.monotonic() + 0.1\nwhile time.monotonic() < end: pass\ndone = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(started):
        started()
        importlib.import_module("slow_to_import")
        while True:
            pass

    try:
        assert run(lambda: interrupt("kill", load)) == "killed"
        assert sys.modules["slow_to_import"].done
    finally:
        sys.modules.pop("slow_to_import", None)


def test_a_point_in_an_import_leaves_no_half_loaded_module(tmp_path, monkeypatch):
    (tmp_path / "waits_in_import.py").write_text(
        "import smarm\nif smarm.whereis('waits'): smarm.sleep(1000)\ndone = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(started):
        smarm.register("waits")
        started()
        import waits_in_import  # noqa: F401

    def main():
        assert interrupt("exit", load) == "enough"
        assert "waits_in_import" not in sys.modules
        assert importlib.import_module("waits_in_import").done

    try:
        run(main)
    finally:
        sys.modules.pop("waits_in_import", None)


def test_a_condition_is_left_with_its_books_in_order():
    def busy(started, condition):
        started()
        while True:
            with condition:
                condition.notify()

    def main():
        for _ in range(50):
            condition = threading.Condition()
            interrupt("kill", busy, condition)
            assert condition.acquire(timeout=PATIENCE)
            condition.release()
        return True

    assert run(main)


# ---- a worker's own load of the script ---------------------------------------------------------------------------------

SCRIPT = """
import sys, time, smarm
end = time.monotonic() + 0.2
while time.monotonic() < end: pass
def work(): return "fine"
def main():
    handle = smarm.spawn(work, on=1)
    handle.observe()
    smarm.sleep(float(sys.argv[1]))
    smarm.kill(handle.pid)
    try: handle.join()
    except smarm.ActorKilled: pass
    print([smarm.spawn(work, on=1).join() for _ in range(3)])
smarm.run(main, workers=2)
"""


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.15, 0.2, 0.25])
def test_a_worker_whose_load_of_the_script_meets_a_kill_can_run_actors(succeed, delay):
    assert succeed(SCRIPT, str(delay)) == "['fine', 'fine', 'fine']\n"
