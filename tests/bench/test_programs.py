"""Each of our benchmark programs runs, with parameters so small that nothing is measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.suite import BENCHMARKS

ROOT = Path(__file__).parents[2]
TINY = {
    "primes": ["limit=2000", "actors=8", "workers=2"],
    "pingpong": ["n=100"],
    "pingpong_cross": ["n=100"],
    "ring": ["actors=10", "laps=5"],
    "spawn": ["n=200", "wave=100"],
    "churn": ["n=200", "warm=10"],
    "memory": ["n=100"],
    "visit": ["n=10", "visits=100"],
    "fan_in": ["n=800"],
    "fairness": ["tickers=2", "seconds=1"],
    "hogs": ["hogs=2", "seconds=1"],
    "timers": ["n=100"],
    "timers_armed": ["n=100"],
    "idle_cpu": ["n=10", "seconds=1"],
    "pure_python": ["benchmark=strings", "tickers=1", "repeats=1"],
    "first_spawn": [],
    "work": ["n=10"],
    "buffer": ["mib=1", "passes=4"],
}


def run(*command):
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", TINY)
def test_program_prints_one_measurement(name):
    result = run("-m", f"bench.smarm.{name}", *TINY[name])
    assert result["value"] >= 0
    assert set(result) == {"value", "unit", "extra"}


@pytest.mark.parametrize("name", ["pingpong", "pingpong_cross", "ring", "fan_in"])
def test_program_does_the_same_over_mailboxes(name):
    assert run("-m", f"bench.smarm.{name}", *TINY[name], "via=mailbox")["value"] > 0


@pytest.mark.parametrize("kind", ["tiny", "spin", "arrays", "map", "first"])
@pytest.mark.parametrize("more", [[], ["outside=1"]])
def test_work_is_measured_inside_and_outside_of_a_runtime(kind, more):
    arguments = ["repeats=2"] if kind == "first" else ["n=10", *more]
    assert run("-m", "bench.smarm.work", f"kind={kind}", *arguments)["value"] > 0


@pytest.mark.parametrize("pool", ["threads", "processes", "pool"])
@pytest.mark.parametrize("kind", ["tiny", "arrays", "map"])
def test_the_same_work_is_measured_in_pools_of_the_standard_library(pool, kind):
    assert run("-m", "bench.peers.python.work", pool, f"kind={kind}", "n=10")["value"] > 0


def test_plain_python_is_timed_without_smarm():
    assert run("-m", "bench.pure_python", "strings")["unit"] == "s"


def test_start_up_times_a_command():
    assert run("-m", "bench.start_up", sys.executable, "bench/smarm/hello.py")["unit"] == "ms"


@pytest.mark.parametrize("api", ["net", "socket"])
def test_echo_server_echoes_until_its_stdin_is_closed(api):
    import socket

    command = [sys.executable, "-m", "bench.smarm.echo", f"api={api}"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        word, port = server.stdout.readline().split()
        assert word == "PORT"
        with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as client:
            client.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"
            server.stdin.close()
            assert server.wait(30) == 0


def test_every_program_of_the_suite_has_a_tiny_form_here():
    modules = {
        program.command[2].removeprefix("bench.smarm.")
        for benchmark in BENCHMARKS
        for program in benchmark.programs
        if len(program.command) > 2 and program.command[2].startswith("bench.smarm.")
    }
    assert modules == set(TINY)
