"""Many kinds of work under very short time slices, until so many preemptions: python preemption_stress.py 200000

Every actor checks its own results; a crash, a hang or a wrong result is the failure.
"""

import contextlib
import contextvars
import decimal
import gc
import importlib.util
import itertools
import json
import queue
import random
import re
import sys
import threading

import smarm

WORKERS = 2
variable = contextvars.ContextVar("variable", default=None)
local = threading.local()


def arithmetic(rng):
    n = rng.randrange(1000, 3000)
    assert sum(i * i for i in range(n)) == (n - 1) * n * (2 * n - 1) // 6


def containers(rng):
    numbers = [rng.random() for _ in range(200)]
    table = {number: [str(number)] for number in numbers}
    assert sorted(table) == sorted(numbers, key=lambda number: (smarm.check(), number)[1])
    assert json.loads(json.dumps([table[number] for number in numbers])) == [[str(number)] for number in numbers]


def exceptions(rng):
    number = rng.random()
    for _ in range(50):
        try:
            try:
                raise ValueError(number)
            except ValueError as first:
                assert len(list(range(50))) == 50
                raise KeyError(number) from first
        except KeyError as second:
            caught = (second.args, second.__cause__.args, sys.exception() is second)
        assert caught == ((number,), (number,), True)


def generators(rng):
    def numbers(most):
        for number in range(most):
            yield from (number, -number)

    most = rng.randrange(200)
    assert sum(itertools.islice(numbers(most), 2 * most)) == 0


def own_state(rng):
    value = rng.random()
    variable.set(value)
    local.value = value
    with decimal.localcontext() as context:
        context.prec = precision = rng.randrange(3, 60)
        for _ in range(100):
            assert variable.get() == local.value == value
            assert decimal.getcontext().prec == precision


def locks(rng, lock=threading.Lock(), rlock=threading.RLock(), inside=[]):  # noqa: B006, B008 - shared on purpose
    for _ in range(20):
        with rlock, lock, rlock:
            inside.append(rng)
            assert inside == [rng]
            [None for _ in range(20)]
            inside.pop()


def queues(rng, items=queue.Queue(8)):  # noqa: B008
    for _ in range(20):
        items.put(rng.random())
        assert 0 <= items.get() < 1


def cycles(rng):
    class Node:
        def __init__(self):
            self.itself = self

        def __del__(self):
            if rng.random() < 0.1:
                with contextlib.suppress(smarm.NoRuntime, ImportError):  # at the end, after the end
                    smarm.yield_now()

    for _ in range(20):
        Node()
    if rng.random() < 0.05:
        gc.collect()


def imports(rng):
    # A module of its own each time: others may be importing the one in sys.modules.
    name = rng.choice(["colorsys", "fractions", "textwrap", "difflib", "string", "bisect"])
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__name__ == __import__(name).__name__ == name


def patterns(rng):
    text = "".join(rng.choice("ab") for _ in range(200))
    assert re.sub(r"(a+)(b*)", lambda match: match[0], text) == text


def messages(rng):
    value = rng.random()
    smarm.send(smarm.self(), [value])
    assert smarm.receive() == [value]


KINDS = [arithmetic, containers, exceptions, generators, own_state, locks, queues, cycles, imports, patterns, messages]


def works(seed):
    rng = random.Random(seed)
    while not smarm.whereis("enough"):
        rng.choice(KINDS)(rng)
    return "right"


def pool_calls():
    while not smarm.whereis("enough"):
        assert smarm.block_on_io(sum, range(1000)) == 499500


def preemptions():
    return sum(worker.preemptions for worker in smarm.statistics().workers)


def main(wanted):
    seed = random.randrange(10**9)
    print("seed", seed, flush=True)
    handles = [smarm.spawn(works, seed + n, on=n % WORKERS) for n in range(12)]
    handles += [smarm.spawn(pool_calls, on=n) for n in range(WORKERS)]
    while preemptions() < wanted:
        smarm.sleep(0.05)
    smarm.register("enough")
    smarm.join_all(handles)
    print("preemptions", preemptions(), flush=True)


if __name__ == "__main__":
    smarm.run(main, int(sys.argv[1]), workers=WORKERS, time_slice=2e-5, stall_threshold=0)
