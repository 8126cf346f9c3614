"""Where an actor runs: the rule, on=, and what workers can import."""

from __future__ import annotations

import importlib.util
import os

import in_workers
import pytest

import smarm

# ---- the rule --------------------------------------------------------------------------------------------------------


def test_a_module_level_function_may_run_on_any_worker():
    def main():
        read, write = os.pipe()
        # The read blocks this worker, so another one must take the actor.
        handle = smarm.spawn(in_workers.write_byte, write)
        assert os.read(read, 1) == b"x"
        os.close(read)
        os.close(write)
        return handle.join()

    assert smarm.run(main, workers=2) == 1


def test_what_carries_state_stays_with_its_spawner(succeed):
    out = succeed("""
        import functools, smarm
        class Thing:
            def where(self):
                return smarm.worker_index()
        def where():
            return smarm.worker_index()
        def main():
            captured = []
            def closure():
                captured.append(1)
                return smarm.worker_index()
            def nested():
                return smarm.worker_index()
            for function in (closure, nested, lambda: smarm.worker_index(), Thing().where, functools.partial(where)):
                handles = [smarm.spawn(function) for _ in range(20)]
                assert {handle.join() for handle in handles} == {smarm.worker_index()}, function
            return len(captured)
        def both():
            print(main(), smarm.spawn(main, on=1).join())
        smarm.run(both, workers=2)
    """)
    assert out == "20 20\n"


def test_with_one_worker_everything_runs_there(alone):
    def main():
        return {smarm.spawn(in_workers.where, on=on).join() for on in (None, "local", "main", 0)}

    assert alone(main) == {0}


@pytest.mark.parametrize("count", [2, 6, 40])
def test_actors_that_stay_start_on_all_workers(succeed, count):
    out = succeed(f"""
        import smarm
        def consume(rx, started):
            started.send(smarm.worker_index())
            for value in rx:
                pass
        def main():
            for round in range(3):
                tx, rx = smarm.channel()
                started, where = smarm.channel()
                handles = [smarm.spawn(consume, rx, started) for _ in range({count})]
                print(sorted(set(where.recv() for _ in handles)))
                tx.close()
                smarm.join_all(handles)
        smarm.run(main, workers=2)
    """)
    assert out == "[0, 1]\n" * 3


def test_actors_that_compute_start_on_a_worker_each_while_one_makes_its_interpreter(succeed):
    out = succeed("""
        import smarm
        def heavy(rx):
            while not rx.closed:  # computes until the other one has begun, too
                pass
            return smarm.worker_index()
        def begin(tx, rx, stop):
            tx.send(smarm.worker_index())
            return heavy(stop)
        def main():
            tx, rx = smarm.channel()
            stopper, stop = smarm.channel()
            handles = [smarm.spawn(begin, tx, rx, stop) for _ in range(2)]
            print(sorted(rx.recv() for _ in range(2)))
            stopper.close()
            smarm.join_all(handles)
        smarm.run(main, workers=2)
    """)
    assert out == "[0, 1]\n"


# ---- on= -------------------------------------------------------------------------------------------------------------


def test_on_says_where(succeed):
    out = succeed("""
        import smarm
        def where():
            return smarm.worker_index()
        def all_places():
            return [smarm.spawn(where, on=on).join() for on in ("local", "main", 0, 1, 2)]
        def main():
            print(all_places(), [smarm.spawn(all_places, on=index).join() for index in (1, 2)])
        smarm.run(main, workers=3)
    """)
    assert out == "[0, 0, 0, 1, 2] [[1, 0, 0, 1, 2], [2, 0, 0, 1, 2]]\n"


def test_spread_goes_to_each_worker_in_turn(succeed):
    out = succeed("""
        import smarm
        def where():
            return smarm.worker_index()
        def main():
            print([smarm.spawn(where, on="spread").join() for _ in range(6)])
        smarm.run(main, workers=3)
    """)
    assert out == "[0, 1, 2, 0, 1, 2]\n"


def test_spread_takes_no_closures(alone):
    def main():
        with pytest.raises(smarm.NotSendable):
            smarm.spawn(lambda: main, on="spread")

    alone(main)


def test_a_pool_has_one_actor_on_each_worker(succeed):
    out = succeed("""
        import smarm
        def consume(rx, out):
            for value in rx:
                out.send(value * 2)
            return smarm.worker_index()
        def main():
            tx, rx = smarm.channel()
            results, out = smarm.channel()
            pool = smarm.spawn_pool(consume, rx, results)
            four = smarm.spawn_pool(consume, rx, results, count=4)
            for value in range(100):
                tx.send(value)
            tx.close()
            del results
            print(smarm.worker_count(), sorted(out) == list(range(0, 200, 2)), smarm.join_all(pool), smarm.join_all(four))
        smarm.run(main, workers=3)
    """)
    assert out == "3 True [0, 1, 2] [0, 1, 2, 0]\n"


def test_a_pool_that_cannot_start_leaves_nobody(succeed):
    out = succeed("""
        import smarm
        def main():
            kept = []
            def stateful():
                kept.append(smarm.receive())
            try:
                smarm.spawn_pool(stateful)
            except smarm.NotSendable as error:
                print("refused")
            for count in (0, -1):
                try:
                    smarm.spawn_pool(print, count=count)
                except smarm.ConfigError as error:
                    print(error)
            while len(smarm.processes()) > 1:
                smarm.sleep(0.001)
        smarm.run(main, workers=2)
    """)
    assert out == (
        "refused\na pool has at least one actor: count must not be 0\n"
        "a pool has at least one actor: count must not be -1\n"
    )


def test_outside_of_actors_there_is_no_number_of_workers():
    with pytest.raises(smarm.NoRuntime, match=r"smarm\.run"):
        smarm.worker_count()


@pytest.mark.parametrize("on", ["worker", "", "Main", -1, 1, 256, 10**30, -(10**30), 0.0, True, b"main", [0], object()])
def test_a_bad_on_is_refused_with_what_there_is(alone, on):
    def main():
        with pytest.raises(
            smarm.ConfigError, match=r'on= is "local", "main", "spread", a worker\'s index from 0 to 0, or None'
        ):
            smarm.spawn(print, on=on)
        return len(smarm.processes())

    assert alone(main) == 1


def test_a_started_actor_never_changes_its_thread(succeed):
    out = succeed("""
        import threading, smarm
        def work():
            threads = set()
            for turn in range(200):
                threads.add(threading.get_native_id())
                smarm.sleep(0) if turn % 10 else smarm.yield_now()
            return threads
        def main():
            handles = [smarm.spawn(work) for _ in range(30)]
            threads = [handle.join() for handle in handles]
            print({len(each) for each in threads})
        smarm.run(main, workers=3)
    """)
    assert out == "{1}\n"


def test_the_main_lane_is_the_thread_that_called_run(alone):
    thread = in_workers.native_thread()
    assert alone(lambda: smarm.spawn(in_workers.native_thread, on="main").join()) == thread


def test_workers_have_their_own_interpreters(succeed):
    out = succeed("""
        import sys, smarm
        state = ["top"]
        def change(text):
            state.append(text)
            sys.modules["marker"] = text
            return state
        def main():
            print(smarm.spawn(change, "there", on=1).join(), state, "marker" in sys.modules)
            print(smarm.spawn(change, "again", on=1).join())
        if __name__ == "__main__":
            smarm.run(main, workers=2)
    """)
    assert out == "['top', 'there'] ['top'] False\n['top', 'there', 'again']\n"


def test_a_function_that_a_worker_cannot_import_is_refused_by_name(alone):
    def nested():
        pass

    def main():
        with pytest.raises(smarm.NotSendable, match="nested"):
            smarm.spawn(nested, on=1)

    smarm.run(main, workers=2)


# ---- what workers import ---------------------------------------------------------------------------------------------


def test_an_extension_that_refuses_workers_says_to_use_the_main_lane(succeed):
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("numpy is not installed")
    out = succeed("""
        import smarm
        def load():
            import numpy
            return int(numpy.arange(5).sum())
        def main():
            try:
                smarm.spawn(load, on=1).join()
            except smarm.ActorFailed as error:
                print(type(error.__cause__).__name__)
                print('on="main"' in error.remote_traceback)
            print(smarm.spawn(load, on="main").join())
        smarm.run(main, workers=2)
    """)
    assert out == "ImportError\nTrue\n10\n"


def test_workers_see_the_programs_path_and_arguments(succeed, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "plugin.py").write_text("VALUE = 'found'\n")
    out = succeed(
        """
        import os, sys
        sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "elsewhere"))
        import smarm
        def look():
            import plugin
            return plugin.VALUE, sys.argv, sys.executable, sys.flags.utf8_mode, sys.getrecursionlimit(), sys.prefix
        def main():
            sys.setrecursionlimit(1234)
            assert smarm.spawn(look, on=1).join()[:4] == smarm.spawn(look, on=0).join()[:4]
            print(smarm.spawn(look, on=1).join()[:2])
        smarm.run(main, workers=2)
        """,
        "one",
        "two",
    )
    assert out == "('found', ['app.py', 'one', 'two'])\n"


def test_an_import_error_in_a_worker_is_the_actors_failure(succeed):
    out = succeed("""
        import smarm
        def load():
            import there_is_no_such_module
        def main():
            try:
                smarm.spawn(load, on=1).join()
            except smarm.ActorFailed as error:
                print(type(error.__cause__).__name__, error.__cause__.name)
        smarm.run(main, workers=2)
    """)
    assert out == "ModuleNotFoundError there_is_no_such_module\n"


def test_many_actors_of_a_worker_import_the_same_modules_at_once(succeed):
    out = succeed("""
        import smarm
        MODULES = ["json", "decimal", "asyncio", "email.message", "logging.config", "xml.dom.minidom", "http.client"]
        def load(first):
            for name in MODULES[first:] + MODULES[:first]:
                module = __import__(name)
                smarm.yield_now()
                assert module.__spec__ is not None
            return True
        def main():
            handles = [smarm.spawn(load, n % len(MODULES), on=n % 2) for n in range(40)]
            print(all(handle.join() for handle in handles))
        smarm.run(main, workers=2)
    """)
    assert out == "True\n"


# Everything here supports interpreters with a GIL of their own, on every version.
STDLIB = """
    abc argparse array ast asyncio base64 bisect bz2 calendar cmath codecs collections concurrent.futures
    configparser contextlib contextvars copy csv ctypes dataclasses datetime decimal difflib dis email.message
    enum fileinput fractions functools gettext glob gzip hashlib heapq hmac html.parser http.client inspect io
    ipaddress itertools json locale logging.config lzma math mimetypes multiprocessing numbers operator pathlib
    pickle platform pprint queue random re sched select selectors shelve shlex shutil socket sqlite3 ssl
    statistics string struct subprocess tempfile textwrap tokenize traceback types typing unicodedata unittest
    urllib.request uuid weakref xml.etree.ElementTree zipfile zlib zoneinfo
"""


@pytest.mark.parametrize("attempt", range(20))
def test_eight_workers_import_sixty_stdlib_modules_at_once(succeed, attempt):
    assert len(STDLIB.split()) >= 60
    out = succeed(
        """
        import os, random, sys, smarm
        NAMES = sys.argv[2:]
        def load(seed, gate):
            while len(gate) == 0:  # until all workers are there
                smarm.sleep(0)
            names = list(NAMES)
            random.Random(seed).shuffle(names)
            for name in names:
                __import__(name)
            return len(sys.modules) > len(names)
        def hello(tx, rx, seed):
            tx.send(1)
            return load(seed, rx)
        def main():
            tx, rx = smarm.channel()
            gate_tx, gate_rx = smarm.channel()
            seed = int(sys.argv[1])
            handles = [smarm.spawn(hello, tx, gate_rx, seed * 8 + index, on=index) for index in range(8)]
            for _ in handles:
                rx.recv()
            gate_tx.send("all there")
            print([handle.join() for handle in handles])
        smarm.run(main, workers=8)
        """,
        str(attempt),
        *STDLIB.split(),
    )
    assert out == f"{[True] * 8}\n"
