"""What the tests of the Python surface share: leak checks, and programs run in a process of their own."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

import smarm

LONG_ENOUGH = 120  # seconds: nothing waits for time to pass, so that only a hang gets there

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # workers import in_workers.py


# ---- leaks -----------------------------------------------------------------------------------------------------------

_api = ctypes.pythonapi
_api.PyInterpreterState_Head.restype = ctypes.c_void_p
_api.PyInterpreterState_Main.restype = ctypes.c_void_p
for _name in ("PyInterpreterState_Next", "PyInterpreterState_ThreadHead", "PyThreadState_Next"):
    getattr(_api, _name).restype = ctypes.c_void_p
    getattr(_api, _name).argtypes = [ctypes.c_void_p]


def _chain(first: int | None, following: Callable[[int], int | None]) -> int:
    length = 0
    while first:
        length, first = length + 1, following(first)
    return length


def count_interpreters() -> int:
    """Return how many interpreters this process has."""
    return _chain(_api.PyInterpreterState_Head(), _api.PyInterpreterState_Next)


def count_thread_states() -> int:
    """Return how many thread states the main interpreter has; each actor on the main lane has one."""
    return _chain(_api.PyInterpreterState_ThreadHead(_api.PyInterpreterState_Main()), _api.PyThreadState_Next)


def _links(directory: str) -> dict[str, str]:
    found = {}
    for name in os.listdir(directory):
        with contextlib.suppress(OSError):  # the descriptor of listdir itself
            found[name] = os.readlink(f"{directory}/{name}")
    return found


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path) as file:  # it has ended, or may not be looked at
        return file.read().strip()
    return "?"


def _describe_threads() -> list[str]:
    """Return name, where the kernel holds it, and system call (number, arguments) of every OS thread."""
    tasks = [f"/proc/self/task/{thread}" for thread in os.listdir("/proc/self/task")]
    return [
        " ".join((task[16:], *(_read(f"{task}/{file}") for file in ("comm", "wchan", "syscall")))) for task in tasks
    ]


class Resources(NamedTuple):
    """What a test must leave as it found it."""

    descriptors: frozenset[tuple[str, str]]
    os_threads: int
    python_threads: int
    interpreters: int
    thread_states: int

    @classmethod
    def now(cls) -> Resources:
        return cls(
            frozenset(_links("/proc/self/fd").items()),
            len(os.listdir("/proc/self/task")),
            threading.active_count(),
            count_interpreters(),
            count_thread_states(),
        )

    def leaks(self, before: Resources) -> dict[str, Any]:
        """Return what there is more of than before."""
        more: dict[str, Any] = {}
        for name in Resources._fields:
            new, old = getattr(self, name), getattr(before, name)
            if isinstance(new, frozenset):
                if new - old:
                    more[name] = sorted(new - old)
            elif new > old:
                more[name] = f"{new}, were {old}"
        if "os_threads" in more:
            more["os_threads"] = "\n  ".join((more["os_threads"], *_describe_threads()))
        return more


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give runtimes in this process the environment that programs get."""
    for name in list(os.environ):
        if name.startswith("SMARM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SMARM_STALL_THRESHOLD", "0")


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    """Fail a test that leaves descriptors, threads, interpreters, thread states or a running runtime behind."""
    before = Resources.now()
    yield
    with pytest.raises(smarm.NoRuntime):
        smarm.statistics()
    leaks = Resources.now().leaks(before)
    deadline = time.monotonic() + 20
    while leaks and time.monotonic() < deadline:  # a plain thread that was told to end may need a moment
        gc.collect()
        os.sched_yield()
        leaks = Resources.now().leaks(before)
    assert not leaks, "\n".join(f"{name}: {more}" for name, more in leaks.items())


# ---- in this process -------------------------------------------------------------------------------------------------


@pytest.fixture
def alone() -> Callable[..., Any]:
    """Run a function as the main actor of a runtime with one worker: deterministic, and cheap."""
    return lambda main, *arguments, **options: smarm.run(main, *arguments, **{"workers": 1} | options)


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def run_cleanly(workers: int) -> Callable[..., None]:
    """Run main(*arguments) in a runtime; it must leave neither actors nor messages behind."""

    def run(main: Callable[..., object], *arguments: object) -> None:
        def checked() -> None:
            main(*arguments)
            assert smarm.processes() == [smarm.self()]
            with pytest.raises(smarm.Timeout):
                raise AssertionError(f"left in the mailbox: {smarm.receive(timeout=0)!r}")

        smarm.run(checked, workers=workers)

    return run


def wait_until(condition: Callable[[], object]) -> None:
    """Yield until the condition holds."""
    deadline = time.monotonic() + LONG_ENOUGH
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for never came"
        smarm.yield_now()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a TLS server on localhost and of a client that trusts it."""
    directory = tmp_path_factory.mktemp("certificate")
    files = directory / "cert.pem", directory / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", files[0], "-keyout", files[1]],
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*files)
    return server, ssl.create_default_context(cafile=files[0])


@pytest.fixture(params=["local", 1], ids=["same worker", "another worker"])
def on(request: pytest.FixtureRequest) -> Any:
    """Where the test's actors live: for ``spawn(..., on=on)`` in a runtime with two workers."""
    return request.param


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def wait_until_parked() -> Callable[..., None]:
    """Wait until an actor is parked; ``waiting_for`` says on what, in process_info's words."""

    def wait(pid: smarm.Pid, waiting_for: str | None = None) -> None:
        def parked() -> bool:
            info = smarm.process_info(pid)
            assert info is not None, "the actor ended instead of parking"
            return info.state == "parked" and waiting_for in (None, info.waiting_for)

        wait_until(parked)

    return wait


# ---- in a process of its own -----------------------------------------------------------------------------------------


def environment(**changes: str) -> dict[str, str]:
    """Return a process environment without what changes Python's or smarm's behaviour.

    The watchdog is off: the machine that runs the tests may be busy, and would be taken for a stalling actor.
    """
    kept = {name: value for name, value in os.environ.items() if not re.match(r"PYTHON(?!MALLOC)|SMARM_", name)}
    return kept | {"SMARM_STALL_THRESHOLD": "0"} | changes


class Result(NamedTuple):
    """How a program ended."""

    code: int
    out: str
    err: str


class Program:
    """A running ``python``: its output can be awaited line by line, and it can be sent signals."""

    def __init__(
        self, *arguments: str, env: dict[str, str] | None = None, stdin: str | None = None, **more: Any
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *arguments],
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            env=environment(**(env or {})),
            **more,
        )
        self.pid = self._process.pid
        self._lines: list[str] = []
        self._watchdog = threading.Timer(LONG_ENOUGH, self._dump)
        self._watchdog.start()
        self._errors: list[str] = []
        # Read at once, or a program that writes much to stderr would block.
        self._reader = threading.Thread(target=lambda: self._errors.append(self._process.stderr.read()))
        self._reader.start()
        if stdin is not None:
            self._process.stdin.write(stdin)
            self._process.stdin.close()

    def _dump(self) -> None:
        self._process.send_signal(signal.SIGABRT)  # faulthandler says where it hangs

    def wait_for(self, line: str) -> None:
        """Read stdout up to this line."""
        while (got := self._process.stdout.readline()) != "":
            self._lines.append(got)
            if got.rstrip("\n") == line:
                return
        result = self.finish()
        pytest.fail(f"the program ended without printing {line!r}: {result}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def finish(self) -> Result:
        """Wait for the end; a hang is dumped and fails."""
        out = "".join(self._lines) + self._process.stdout.read()
        code = self._process.wait()
        hung = self._close()
        result = Result(code, out, "".join(self._errors))
        assert not hung, f"the program hung\n{result.out}\n{result.err}"
        return result

    def _close(self) -> bool:
        hung = not self._watchdog.is_alive()
        self._watchdog.cancel()
        self._watchdog.join()
        self._reader.join()
        self._process.stdout.close()
        self._process.stderr.close()
        return hung

    def kill(self) -> None:
        """End it whatever it does; for clean-up."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        if not self._process.stdout.closed:
            self._close()


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Callable[..., Program]]:
    """Start ``python`` with these arguments in tmp_path."""
    programs = []

    def start(*arguments: str, **more: Any) -> Program:
        programs.append(Program(*arguments, **{"cwd": tmp_path} | more))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Callable[..., str]:
    """Write a program's text to a file of tmp_path, by default app.py, and return its name."""

    def write(text: str, name: str = "app.py") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return name

    return write


@pytest.fixture
def run_app(start: Callable[..., Program], write: Callable[..., str]) -> Callable[..., Result]:
    """Run this text as ``python app.py`` to its end."""
    return lambda text, *arguments, **more: start(write(text), *arguments, **more).finish()


@pytest.fixture
def succeed(run_app: Callable[..., Result]) -> Callable[..., str]:
    """Run this text as ``python app.py``: exit code 0, nothing on stderr; return stdout."""

    def succeed(text: str, *arguments: str, **more: Any) -> str:
        result = run_app(text, *arguments, **more)
        assert (result.code, result.err) == (0, ""), f"{result.out}\n{result.err}"
        return result.out

    return succeed
