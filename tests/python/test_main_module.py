"""Functions and classes of ``__main__`` in workers, of programs started as ``python app.py``, ``-m`` and ``-c``."""

from __future__ import annotations

import textwrap

import pytest

BODY = """
    import smarm, sys
    class Point:
        def __init__(self, x):
            self.x = x
        def __eq__(self, other):
            return type(other) is Point and other.x == self.x
    def move(point):
        assert type(point) is Point and isinstance(point, Point)
        assert Point.__module__ == move.__module__ == "__main__"
        {loaded}
        return Point(point.x + 1), smarm.worker_index()
    def main():
        point, worker = smarm.spawn(move, Point(1), on=1).join()
        assert type(point) is Point
        print(point == Point(2), worker)
"""
LOADED = BODY.replace("{loaded}", 'assert sys.modules["__main__"].Point is Point')
GUARDED = (
    LOADED
    + """
    if __name__ == "__main__":
        smarm.run(main, workers=2)
"""
)
AFTER = """
    smarm.run(main, workers=2)
    print("after")
"""
BARE = LOADED + AFTER
BY_VALUE = textwrap.dedent(BODY.replace("{loaded}", "") + AFTER)


# ---- with and without guard ------------------------------------------------------------------------------------------


def test_a_guarded_script_works_in_workers(succeed):
    assert succeed(GUARDED) == "True 1\n"


def test_a_script_without_guard_works_and_goes_on_after_run_once(succeed):
    assert succeed(BARE) == "True 1\nafter\n"


def test_a_runtime_object_ends_the_load_as_run_does(succeed):
    out = succeed(
        LOADED
        + """
    smarm.Runtime(workers=2).run(main)
    print("after")
    """
    )
    assert out == "True 1\nafter\n"


def test_a_module_run_with_m_works(start, write):
    write("")
    write(GUARDED, "package/tool.py")
    write("", "package/__init__.py")
    result = start("-m", "package.tool").finish()
    assert (result.code, result.out, result.err) == (0, "True 1\n", "")


def test_a_command_is_shipped_by_value(start):
    result = start("-c", BY_VALUE).finish()
    assert (result.code, result.err) == (0, "")
    assert result.out == "True 1\nafter\n"


def test_a_program_from_standard_input_is_shipped_by_value(start):
    result = start("-", stdin=BY_VALUE).finish()
    assert (result.code, result.err) == (0, "")
    assert result.out == "True 1\nafter\n"


def test_a_lambda_of_a_command_goes_to_another_worker(start):
    call = "smarm.spawn(lambda n: (n, smarm.worker_index()), 5, on=1)"
    program = f"import smarm\nsmarm.run(lambda: print({call}.join()), workers=2)"
    result = start("-c", program).finish()
    assert (result.code, result.out, result.err) == (0, "(5, 1)\n", "")


# ---- the load --------------------------------------------------------------------------------------------------------


def test_the_script_is_loaded_once_per_worker_under_a_name_of_its_own(succeed):
    out = succeed("""
        import smarm, sys
        print("top", __name__, file=sys.stderr if __name__ == "nobody" else sys.stdout, flush=True)
        def work():
            return __name__
        def main():
            handles = [smarm.spawn(work, on=1 + n % 2) for n in range(20)]
            print({handle.join() for handle in handles})
        if __name__ == "__main__":
            smarm.run(main, workers=3)
    """)
    lines = out.splitlines()
    assert sorted(lines[:-1]) == ["top __main__", "top __smarm_main__", "top __smarm_main__"]
    assert lines[-1] == "{'__main__'}"


def test_the_script_is_not_loaded_where_nothing_of_it_is_needed(succeed):
    out = succeed("""
        import smarm
        print("top", flush=True)
        def main():
            print(smarm.spawn(abs, -1, on=1).join())
        smarm.run(main, workers=2)
    """)
    assert out == "top\n1\n"


def test_what_the_top_level_makes_exists_in_each_worker(succeed):
    out = succeed("""
        import smarm, enum, dataclasses, collections, typing
        TABLE = {n: n * n for n in range(10)}
        class Colour(enum.Enum):
            RED = 1
        @dataclasses.dataclass(frozen=True)
        class Job:
            colour: Colour
            items: list
        Pair = collections.namedtuple("Pair", "a b")
        class Typed(typing.NamedTuple):
            n: int
        class Error(Exception):
            pass
        def work(job, pair, typed, kind):
            assert job.colour is Colour.RED and type(job) is Job and type(pair) is Pair and type(typed) is Typed
            assert kind is Job
            return Job(Colour.RED, [*job.items, TABLE[typed.n]]), Pair(pair.b, pair.a), Error("as a value")
        def main():
            job, pair, error = smarm.spawn(work, Job(Colour.RED, [1]), Pair(1, 2), Typed(3), Job, on=1).join()
            assert type(job) is Job and job == Job(Colour.RED, [1, 9]) and type(pair) is Pair and type(error) is Error
            print(job.items, tuple(pair), error)
        smarm.run(main, workers=2)
    """)
    assert out == "[1, 9] (2, 1) as a value\n"


def test_classes_of_the_script_can_be_pickled_in_workers(succeed):
    out = succeed("""
        import copy, pickle, smarm
        class Thing:
            class Part:
                pass
            def method(self):
                return "called"
        def work(thing):
            again = pickle.loads(pickle.dumps([thing, Thing.Part(), Thing, work]))
            assert type(again[0]) is Thing and type(again[1]) is Thing.Part and again[2] is Thing and again[3] is work
            assert type(copy.deepcopy(thing)) is Thing
            return pickle.dumps(thing)
        def main():
            print(pickle.loads(smarm.spawn(work, Thing(), on=1).join()).method())
        smarm.run(main, workers=2)
    """)
    assert out == "called\n"


def test_methods_and_classes_are_spawned_across_workers(succeed):
    out = succeed("""
        import smarm
        class Tool:
            @staticmethod
            def static(n): return n + 1, smarm.worker_index()
            @classmethod
            def klass(cls, n): return cls.__name__, n, smarm.worker_index()
            def bound(self, n): return n + 2, smarm.worker_index()
        def main():
            print([smarm.spawn(f, 1, on=1).join() for f in (Tool.static, Tool.klass, Tool().bound)])
        smarm.run(main, workers=2)
    """)
    assert out == "[(2, 1), ('Tool', 1, 1), (3, 1)]\n"


def test_a_function_that_calls_others_of_the_script_finds_them(succeed):
    out = succeed("""
        import smarm
        def helper(n):
            return n if n == 0 else n + helper(n - 1)
        def work(n):
            return smarm.spawn(helper, n, on=2).join(), smarm.spawn(lambda: helper(n)).join()
        def main():
            print(smarm.spawn(work, 10, on=1).join())
        smarm.run(main, workers=3)
    """)
    assert out == "(55, 55)\n"


def test_many_actors_that_need_the_script_at_once_wait_for_one_load(succeed):
    out = succeed("""
        import smarm, time
        time.sleep(0.01)
        class Point:
            pass
        def work(point):
            return type(point) is Point
        def main():
            handles = [smarm.spawn(work, Point(), on=1) for _ in range(50)]
            print(all(handle.join() for handle in handles))
        smarm.run(main, workers=2)
    """)
    assert out == "True\n"


# ---- where it cannot work --------------------------------------------------------------------------------------------


def test_a_load_that_fails_in_a_worker_says_what_to_write(succeed):
    out = succeed("""
        import smarm, threading
        if threading.current_thread() is not threading.main_thread() or smarm.worker_index():
            raise OSError("only once")
        def work():
            pass
        def main():
            for _ in range(2):
                try:
                    smarm.spawn(work, on=1).join()
                except smarm.ActorFailed as error:
                    print(type(error.__cause__).__name__, "if __name__ ==" in error.remote_traceback)
        smarm.run(main, workers=2)
    """)
    assert out == "OSError True\nOSError True\n"


def test_a_name_below_the_call_that_starts_the_actors_is_explained(succeed):
    out = succeed("""
        import smarm
        def main():
            def late(): pass
            try:
                smarm.spawn(later(), on=1).join()
            except smarm.ActorFailed as error:
                print("define above that line" in error.remote_traceback)
        def later():
            global work
            def work():
                return 1
            work.__qualname__ = "work"
            return work
        smarm.run(main, workers=2)
    """)
    assert out == "True\n"


def test_a_syntax_error_is_pythons_own(run_app):
    result = run_app("import smarm\ndef broken(:\n")
    assert result.code == 1
    assert "SyntaxError" in result.err


def test_a_script_that_uses_actors_outside_of_run_says_so(run_app):
    result = run_app("import smarm\nsmarm.spawn(print)\n")
    assert result.code == 1
    assert "NoRuntime: smarm.spawn() needs a running actor" in result.err


@pytest.mark.parametrize("guard", [True, False])
def test_the_quick_taste_runs_on_two_workers_whichever_way_it_is_written(succeed, guard):
    last = (
        'if __name__ == "__main__":\n            smarm.run(main, workers=2)' if guard else "smarm.run(main, workers=2)"
    )
    out = succeed(f"""
        import smarm
        def worker(rx):
            for _ in range(3):
                print("got", rx.recv(), "on", smarm.worker_index(), flush=True)
        def main():
            tx, rx = smarm.channel()
            h = smarm.spawn(worker, rx, on=1)
            for v in (1, 2, 3):
                tx.send(v)
            h.join()
        {last}
    """)
    assert out == "got 1 on 1\ngot 2 on 1\ngot 3 on 1\n"


def test_a_load_that_is_cut_short_anywhere_begins_anew(succeed, write):
    write(
        """
        import sys
        import smarm
        from smarm import _main
        class Cut(BaseException):
            pass
        def cut_after(lines):
            left = lines
            def count(frame, event, argument):
                nonlocal left
                left -= event == "line"
                if left == 0:
                    raise Cut
                return count
            # Not where load() gives its lock back: nothing lands in code of locks.
            parts = [function.__code__ for function in (_main._load, _main._find_code, _main._rename)]
            return lambda frame, *_: count if frame.f_code in parts else None
        def load(lines):
            sys.settrace(cut_after(lines))
            try:
                return _main.load() is not None
            except Cut:
                return False
            finally:
                sys.settrace(None)
        def check():
            assert _main.load().value == 42 and sys.modules["__main__"].__smarm_loaded__
            sys.modules["__main__"] = _main._own  # as if it had not been loaded
        def load_until_cut():
            lines = 1
            while not smarm.spawn(load, lines, on="local").join():
                smarm.spawn(check, on="local").join()
                lines += 1
            return lines > 20
        """,
        "cutter.py",
    )
    out = succeed("""
        import smarm, cutter
        value = 42
        def main():
            print(smarm.spawn(cutter.load_until_cut, on=1).join())
        if __name__ == "__main__":
            smarm.run(main, workers=2)
    """)
    assert out == "True\n"
