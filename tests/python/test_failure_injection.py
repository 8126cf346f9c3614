"""Each system call and each allocation of ours fails once: a clean error or success, no hang, nothing kept."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.unsanitized(reason="the preloaded library stands before the sanitizers' allocator")

KINDS = [
    "mmap",
    "madvise",
    "mprotect",
    "epoll_create1",
    "epoll_ctl",
    "eventfd",
    "pthread_create",
    "operator new",
    "pipe2",
]

PROGRAM = """
    import ctypes, os, socket, sys, time
    import smarm

    kind, late = int(sys.argv[1]), sys.argv[2] == "late"  # late: when the workers run, not while they start
    library = ctypes.CDLL(None)

    def child(rx):
        smarm.send(smarm.receive(timeout=20), [1, "two"])
        return rx.recv(timeout=20)

    def exchange():
        tx, rx = smarm.channel()
        handle = smarm.spawn(child, rx, on=1)
        smarm.send(handle.pid, smarm.self())
        tx.send({"three": 3})
        assert handle.join(timeout=20) == {"three": 3}  # first: of a worker that could not be made no message comes
        assert smarm.receive(timeout=20) == [1, "two"]

    def local():
        left, right = socket.socketpair()
        with left, right:
            reader = smarm.spawn(lambda: right.recv(10), on="local")
            smarm.sleep(0.001)
            left.send(b"x")
            assert reader.join(timeout=20) == b"x"
        assert smarm.block_on_io(lambda: 7) == 7
        with smarm.Mutex().hold(1):
            pass
        smarm.send_after(0.001, smarm.self(), "tick")
        assert smarm.receive(timeout=20) == "tick"
        small = smarm.spawn(smarm.sleep, 0, stack_size=4 << 20, on="local")
        small.join(timeout=20)

    def main(n):
        if late:
            exchange()
            library.fail_nth(kind, n)
        for part in (local, exchange):
            try:
                part()
            except ALLOWED as error:
                errors.append(type(error).__name__)
        # The runtime lives: what does not fail any more works.
        library.fail_nth(-1, 0)
        local()

    # An actor that could not be: its message and its answer never come.
    ALLOWED = (MemoryError, OSError, smarm.SmarmError, RuntimeError, smarm.ActorFailed)

    def held():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    errors = []
    smarm.run(main, 10**6, workers=2)  # what is made once per process
    assert not errors, errors
    before, n = held(), 1
    while True:
        if not late:
            library.fail_nth(kind, n)
        try:
            smarm.run(main, n, workers=2)
        except ALLOWED as error:
            errors.append(type(error).__name__)
        happened = library.has_failed()
        library.fail_nth(-1, 0)
        deadline = time.monotonic() + 20
        while held() > before and time.monotonic() < deadline:  # the kernel forgets a joined thread a moment later
            time.sleep(0)
        assert held() <= before, (n, held(), before)
        if not happened:
            break
        n += 1
        assert n < 1000
    print("calls failed:", n - 1, "errors seen:", *sorted(set(errors)))
"""


@pytest.fixture(scope="session")
def fail_nth(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    library = tmp_path_factory.mktemp("preloaded") / "fail_nth.so"
    source = pathlib.Path(__file__).with_name("fail_nth.c")
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            library,
            source,
            "-ldl",
            "-pthread",
            "-Wl,--no-as-needed",
            "-lstdc++",
        ],
        check=True,
    )
    return library


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_whatever_fails_wherever_it_is_an_error_and_the_runtime_lives_on(run_app, fail_nth, kind, when):
    result = run_app(PROGRAM, str(kind), when, env={"LD_PRELOAD": str(fail_nth)})
    assert result.code == 0, f"{result.out}\n{result.err}"
    print(KINDS[kind], result.out, result.err)


CREATION = """
    import ctypes, os, sys, time
    import smarm

    library = ctypes.CDLL(None)
    ALLOCATION = 9

    def main(n):
        library.fail_nth(ALLOCATION, n)
        try:
            assert smarm.spawn(smarm.worker_index, on=1).join(timeout=60) == 1
        except (smarm.ActorFailed, MemoryError) as error:
            print("error", type(error).__name__)
        print("allocations", n - library.calls_left(), "failed", library.has_failed())
        library.fail_nth(-1, 0)
        # The runtime lives, whether or not it has a second worker.
        assert smarm.spawn(smarm.worker_index, on="local").join(timeout=60) == 0

    def held():
        return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

    library.name_crashes()
    smarm.run(main, 10**9, workers=2)
    sys.stdout.flush()
    before = held()
    smarm.run(main, int(sys.argv[1]), workers=2)
    deadline = time.monotonic() + 60
    while held() > before and time.monotonic() < deadline:  # the kernel forgets a joined thread a moment later
        time.sleep(0)
    assert held() <= before, (held(), before)
    smarm.run(main, 10**9, workers=2)
"""


@pytest.mark.parametrize("samples", [20, pytest.param(500, marks=pytest.mark.soak)])
def test_a_worker_whose_interpreter_cannot_be_made_fails_its_actors_alone(run_app, fail_nth, samples):
    def run(n):
        same_each_time = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}
        return run_app(CREATION, str(n), env={"LD_PRELOAD": str(fail_nth)} | same_each_time)

    succeeds = r"allocations (\d+) failed 0\n"
    total = int(re.match(succeeds, run(10**9).out)[1])
    errors = crashes = 0
    # The first one is the interpreter's own structure: there CPython ends the process with a sentence.
    for n in range(2, total, total // samples):
        result = run(n)
        if result.code < 0:
            # CPython does not survive all of them: its dicts lose entries when they cannot grow, and a function that cannot be
            # made drops references that are not its own.
            assert result.out.endswith("crashed in other code\n"), f"{n}: {result.out}\n{result.err}"
            crashes += 1
            continue
        assert result.code == 0, f"{n}: {result.out}\n{result.err}"
        assert re.fullmatch(rf"{succeeds}(error \w+\n)?allocations \d+ failed 1\n{succeeds}", result.out), result.out
        errors += "error" in result.out
    print(total, "allocations,", errors, "errors,", crashes, "crashes in CPython")
    assert errors > samples // 2
    assert crashes < samples // 4
