"""Every actor is a thread of its own to threading, to thread-local data and to the import system."""

from __future__ import annotations

import _thread
import contextlib
import importlib
import importlib.abc
import importlib.util
import random
import sys
import textwrap
import threading

from locks_helpers import PATIENCE, run_all

import smarm

# ---- identity --------------------------------------------------------------------------------------------------------


def test_every_actor_has_an_ident_of_its_own():
    def ident():
        mine = threading.get_ident()
        smarm.yield_now()
        assert threading.get_ident() == mine == _thread.get_ident()
        assert threading.get_native_id() == native
        return mine

    native = threading.get_native_id()
    outside = threading.get_ident()
    others = []

    def later():
        others.extend(smarm.spawn(ident, on="local").join(timeout=PATIENCE) for _ in range(100))

    idents = run_all(*[ident] * 100, main=later)
    assert len({outside, *idents, *others}) == 201
    assert all(0 < it < 2**64 for it in idents)


def test_the_main_actor_keeps_the_ident_of_its_thread():
    outside = threading.get_ident()

    def main():
        assert threading.get_ident() == outside
        assert threading.current_thread() is threading.main_thread()

    smarm.run(main, workers=1)
    assert threading.get_ident() == outside


def test_current_thread_and_thread_locals_belong_to_the_actor():
    local = threading.local()
    before = set(threading._active)

    def body():
        thread = threading.current_thread()
        local.value = thread.name
        smarm.yield_now()
        assert threading.current_thread() is thread
        assert local.value == thread.name
        assert thread.is_alive()
        return thread.name

    names = run_all(*[body] * 20)
    assert len(set(names)) == 20
    assert not hasattr(local, "value")
    assert set(threading._active) == before


def test_recursive_repr_is_per_actor():
    import reprlib

    class Pair:
        @reprlib.recursive_repr()
        def __repr__(self):
            smarm.yield_now()
            return f"<{self.other!r}>"

    pair = Pair()
    pair.other = pair
    assert run_all(*[lambda: repr(pair)] * 3) == ["<...>"] * 3


# ---- imports ---------------------------------------------------------------------------------------------------------


class YieldingFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in a dict of sources, yielding at every step as a loader that reads files would."""

    def __init__(self, sources):
        self.sources = {name: textwrap.dedent(source) for name, source in sources.items()}
        self.loaded = []

    def find_spec(self, name, path=None, target=None):
        if name not in self.sources:
            return None
        for _ in range(3):
            smarm.yield_now()
        return importlib.util.spec_from_loader(
            name, self, is_package=any(other.startswith(name + ".") for other in self.sources)
        )

    def exec_module(self, module):
        self.loaded.append(module.__name__)
        exec(self.sources[module.__name__], module.__dict__)

    @contextlib.contextmanager
    def installed(self):
        sys.meta_path.insert(0, self)
        try:
            yield self
        finally:
            sys.meta_path.remove(self)
            for name in self.sources:
                sys.modules.pop(name, None)


SLOW = "import smarm\nfirst = 1\nfor _ in range(5): smarm.yield_now()\nlast = 2\n"


def test_fifty_actors_import_the_same_fresh_modules():
    sources = {
        "fresh": SLOW + "from fresh.inner import last as inner\n",
        "fresh.inner": SLOW,
        "fresh_friend": SLOW,
        "fresh_user": "import fresh\n" + SLOW + "assert fresh.inner == 2\n",
    }

    def use(number):
        # Not fresh.inner as well: before 3.15 a package and its submodule imported from both ends deadlock threads too.
        names = ["fresh", "fresh_user", "fresh_friend"]
        random.Random(number).shuffle(names)
        for name in names:
            module = importlib.import_module(name)
            assert module.last == 2, name

    for _ in range(3):
        with YieldingFinder(sources).installed() as finder:
            run_all(*[lambda number=number: use(number) for number in range(50)])
        assert sorted(finder.loaded) == sorted(sources)


def test_circular_imports_from_two_sides_do_not_deadlock():
    sources = {"left": SLOW + "import right\nend = 1\n", "right": SLOW + "import left\nend = 1\n"}

    def use(name):
        return importlib.import_module(name).first

    with YieldingFinder(sources).installed():
        assert run_all(*[lambda n=n: use(n) for n in ("left", "right") * 5]) == [1] * 10
        assert sys.modules["left"].end == sys.modules["right"].end == 1


def test_a_failed_import_is_tried_by_the_next_actor():
    tries = []
    sources = {
        "fragile": SLOW + "import builtins\nbuiltins.fragile_tries.append(1)\nassert len(builtins.fragile_tries) > 3\n"
    }

    def use():
        try:
            return importlib.import_module("fragile").last
        except AssertionError:
            return "failed"

    import builtins

    builtins.fragile_tries = tries
    with YieldingFinder(sources).installed():
        results = run_all(*[use] * 10)
    del builtins.fragile_tries
    assert results.count("failed") == 3
    assert results.count(2) == 7
