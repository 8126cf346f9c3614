"""The end: actors that clean up, actors that refuse, and what workers leave."""

from __future__ import annotations

import pytest
import stuck_clean_up

import smarm


def test_cleaning_up_may_park_send_and_join(succeed):
    out = succeed("""
        import smarm
        def logger(rx):
            for line in rx:
                print("log", line, flush=True)
        def work(tx, ready):
            try:
                ready.send(1)
                smarm.receive()
            finally:
                smarm.sleep(0.001)
                smarm.yield_now()
                try:
                    tx.send("closing")
                except smarm.Closed:  # the logger was asked to end at the same time
                    pass
                print("closed", flush=True)
        def main():
            tx, rx = smarm.channel()
            ready, wait = smarm.channel()
            smarm.spawn(work, tx, ready, on=1)
            smarm.spawn(work, tx, ready, on=0)
            smarm.spawn(logger, rx, on=1)
            wait.recv()
            wait.recv()
        smarm.run(main, workers=2)
    """)
    assert out.splitlines().count("closed") == 2


def test_every_kind_of_wait_is_unwound(succeed):
    out = succeed("""
        import smarm, threading, queue, time
        tx, rx = None, None
        def main():
            full, never = smarm.channel(1)
            full.send(1)
            empty_tx, empty = smarm.channel()
            lock = threading.Lock()
            lock.acquire()
            target = smarm.spawn(smarm.receive)
            waits = {
                "receive": smarm.receive,
                "receive with timeout": lambda: smarm.receive(timeout=1000),
                "recv": empty.recv,
                "send": lambda: full.send(2),
                "join": lambda: target.join(),
                "sleep": lambda: smarm.sleep(1000),
                "lock": lock.acquire,
                "event": threading.Event().wait,
                "queue": queue.Queue().get,
                "time": lambda: time.sleep(1000),
            }
            unwound = []
            def wait(name):
                try:
                    waits[name]()
                finally:
                    unwound.append(name)
            handles = [smarm.spawn(lambda name=name: wait(name)) for name in waits]
            while any(smarm.process_info(handle.pid).state != "parked" for handle in handles):
                smarm.yield_now()
            return unwound, set(waits), (never, empty_tx)
        unwound, waits, _ = smarm.run(main, workers=1)
        print(sorted(waits - set(unwound)))
    """)
    assert out == "[]\n"


def test_a_generator_and_a_context_manager_are_closed_on_the_way(succeed):
    out = succeed("""
        import contextlib, smarm
        events = []
        @contextlib.contextmanager
        def resource():
            try:
                yield
            finally:
                events.append("released")
        def numbers():
            try:
                while True:
                    smarm.receive()
                    yield 1
            finally:
                events.append("generator closed")
        def work():
            with resource():
                for _ in numbers():
                    pass
        def main():
            smarm.spawn(work, on="local")
            smarm.yield_now()
        smarm.run(main, workers=1)
        print(events)
    """)
    assert out == "['generator closed', 'released']\n"


def test_an_exception_while_unwinding_is_reported_and_the_others_end(run_app):
    result = run_app("""
        import smarm
        def work():
            try:
                smarm.receive()
            finally:
                raise ValueError("while closing")
        def main():
            smarm.spawn(work, on="local")
            smarm.yield_now()
        smarm.run(main, workers=1)
        print("ended")
    """)
    assert (result.code, result.out) == (0, "ended\n")
    assert result.err.count("ValueError: while closing") == 1
    assert "nobody joined it" in result.err


def test_an_actor_that_swallows_the_first_request_is_asked_again(succeed):
    out = succeed("""
        import smarm
        asked = 0
        def stubborn():
            global asked
            while asked < 2:
                try:
                    smarm.receive()
                except smarm.ActorExit:
                    asked += 1
        def main():
            smarm.spawn(stubborn, on="local")
            smarm.yield_now()
        smarm.run(main, workers=1, shutdown_timeout=0.3)
        print(asked)
    """)
    assert out == "2\n"


def test_a_refusing_actor_is_given_up_and_run_returns(run_app):
    result = run_app("""
        import smarm
        def stubborn(tx):
            to_say = ["ready"]
            while True:
                try:  # around the send as well: main may end before it returns
                    if to_say:
                        tx.send(to_say.pop())
                    smarm.receive()
                except smarm.ActorExit:
                    pass
        def main():
            tx, rx = smarm.channel()
            for index in (0, 1):
                smarm.spawn(stubborn, tx, on=index)
                rx.recv()
            return "value"
        print(smarm.run(main, workers=2, shutdown_timeout=0.3), flush=True)
    """)
    assert (result.code, result.out) == (0, "value\n")
    assert "gave up 2 actors that did not end" in result.err


def test_those_given_up_are_counted_once_however_often_they_were_asked(run_app):
    result = run_app("""
        import smarm
        def stubborn(tx):
            with smarm.shield():
                tx.send("ready")
                while True:
                    pass
        def main():
            tx, rx = smarm.channel()
            for index in (0, 0, 1):
                smarm.spawn(stubborn, tx, on=index)
                rx.recv()
        smarm.run(main, workers=2, shutdown_timeout=0.3, time_slice=0.001)
    """)
    assert "gave up 3 actors that did not end" in result.err


@pytest.mark.parametrize("workers", [1, 3])
def test_no_time_to_shut_down_is_no_crash(run_app, workers):
    result = run_app(f"""
        import smarm
        def park(tx):
            tx.send("ready")
            smarm.receive()
        def main():
            tx, rx = smarm.channel()
            for index in range({workers}):
                smarm.spawn(park, tx, on=index)
                rx.recv()
            return "value"
        print(smarm.run(main, workers={workers}, shutdown_timeout=0))
    """)
    assert (result.code, result.out) == (0, "value\n")


def test_what_workers_print_last_is_flushed(start, write):
    write("""
        import smarm
        def work(n):
            print("line", n, end="")
            print("!" * 5000)
        def main():
            for n in range(6):
                smarm.spawn(work, n, on=1 + n % 2).join()
        smarm.run(main, workers=3)
    """)
    result = start("app.py").finish()
    assert result.code == 0
    assert sorted(result.out.splitlines()) == [f"line {n}" + "!" * 5000 for n in range(6)]


def test_atexit_handlers_of_the_program_and_of_workers_run(succeed):
    out = succeed("""
        import atexit, smarm
        atexit.register(print, "bye from main", flush=True)
        def work():
            atexit.register(print, "bye from worker", flush=True)
        def main():
            smarm.spawn(work, on=1).join()
        if __name__ == "__main__":
            smarm.run(main, workers=2)
            print("after run", flush=True)
    """)
    assert out.splitlines()[:1] != ["bye from main"]
    assert out.splitlines()[-2:] == ["after run", "bye from main"]
    assert "bye from worker" in out


# CPython 3.13.0 to 3.13.2: what lets such a thread go finds its module empty (gh-130522).
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    "leave", ["concurrent.futures.ThreadPoolExecutor(1).submit(abs, 1).result()", "atexit.register(threading.current_thread)",
              "threading._register_atexit(threading.current_thread)", "_thread.start_new_thread(threading.current_thread, ())"]
)  # fmt: skip
def test_threads_that_python_has_not_started_end_quietly(succeed, index, leave):
    assert (
        succeed(f"""
        import _thread, atexit, concurrent.futures, threading, smarm
        def work():
            threading.current_thread()
            {leave}
        def main():
            smarm.spawn(work, on={index}).join()
        smarm.run(main, workers=2)
    """)
        == ""
    )


def test_daemon_threads_and_pools_that_are_left_do_not_crash_the_end(run_app):
    result = run_app("""
        import smarm, threading
        def work():
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        def main():
            smarm.spawn(work, on="main").join()
            try:
                smarm.spawn(work, on=1).join()
            except smarm.ActorFailed as error:
                print(type(error.__cause__).__name__)
        smarm.run(main, workers=2)
    """)
    assert (result.code, result.out) == (0, "RuntimeError\n"), result.err


def test_a_plain_thread_of_a_worker_is_waited_for(succeed):
    out = succeed("""
        import smarm, threading, time
        def late():
            time.sleep(0.05)
            print("late", flush=True)
        def work():
            threading.Thread(target=late).start()
        def main():
            smarm.spawn(work, on=1).join()
        smarm.run(main, workers=2)
        print("end")
    """)
    assert out == "late\nend\n"


def test_os_exit_and_abort_in_an_actor_are_the_processes(run_app):
    result = run_app("""
        import os, smarm
        def main():
            smarm.spawn(os._exit, 9, on=1).join()
        smarm.run(main, workers=2)
    """)
    assert result.code == 9


@pytest.mark.parametrize("kind", stuck_clean_up.WAYS)
def test_a_wait_for_a_lock_while_an_actor_is_unwound_fits_into_the_time_of_the_end(kind, capfd):
    def main():
        smarm.spawn(stuck_clean_up.be_stuck, kind, smarm.self(), on="local").observe()
        assert smarm.receive(timeout=60) == "held"

    smarm.run(main, workers=1, shutdown_timeout=1, kill_patience=86400)
    assert capfd.readouterr().err == ""


def test_a_shutdown_that_comes_forward_has_the_time_that_it_needs(succeed):
    out = succeed("""
        import smarm
        def end_slowly(turn):
            try:
                smarm.receive()
            finally:
                with smarm.shield():
                    smarm.sleep(turn * 0.1)
        def main():
            handles = [smarm.spawn(end_slowly, turn, on="local") for turn in range(10)]
            while not all(smarm.process_info(handle.pid).state == "parked" for handle in handles):
                smarm.yield_now()
        smarm.run(main, workers=1, shutdown_timeout=0.5)  # one ends every 0.1 s
        print("returned")
    """)
    assert out == "returned\n"


def test_actors_that_spawn_while_the_runtime_ends_end_without_a_report(succeed):
    assert (
        succeed("""
        import smarm

        def leaf():
            pass

        def spawns(parent):
            smarm.send(parent, "begins")
            while True:
                smarm.spawn(leaf)

        def main():
            for number in range(4):
                smarm.spawn(spawns, smarm.self(), on=number % 2)
                smarm.receive()

        if __name__ == "__main__":
            for _ in range(5):
                smarm.run(main, workers=2)
    """)
        == ""
    )
