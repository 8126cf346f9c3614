"""The peers: what each needs, how it is made ready, and a sentence for each that is not there."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "bench-peers"
SOURCES = ROOT / "bench" / "peers"


class Missing(Exception):
    """Why a peer cannot take part."""


@dataclass(frozen=True)
class Peer:
    prepare: Callable[[], str]  # returns its version, or raises Missing


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Missing(f"{command[0]} failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done.stdout.strip()


def need(program, package):
    if not shutil.which(program):
        raise Missing(f"{program} is not installed (Debian: apt-get install {package})")


# ---- Python ----------------------------------------------------------------------------------------------------------


def venv_python():
    """The peers' own virtual environment, of the interpreter that smarm is measured with."""
    python = OUT / f"venv-{sys.version_info.major}.{sys.version_info.minor}" / "bin" / "python"
    if not python.exists():
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", "--clear", python.parents[1]], check=True)
    return python


def distribution(name):
    def prepare():
        python = venv_python()
        asked = [python, "-c", f"import importlib.metadata as m; print(m.version({name!r}))"]
        if subprocess.run(asked, capture_output=True).returncode != 0:
            try:
                run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", name)
            except Missing:
                raise Missing(f"pip could not install {name} for this Python") from None
        return run(*asked)

    return Peer(prepare)


def with_python():
    venv_python()
    return "in the standard library"


def with_python_3_14():
    if sys.version_info < (3, 14):
        raise Missing("CPython has it since 3.14")
    return with_python()


# ---- compiled --------------------------------------------------------------------------------------------------------


def prepare_go():
    need("go", "golang-go")
    run("go", "build", "-o", OUT / "gobench", ".", cwd=SOURCES / "go")
    return run("go", "version").removeprefix("go version ")


def prepare_erlang():
    need("erlc", "erlang-base")
    run("erlc", "-o", OUT, SOURCES / "erlang" / "bench.erl")
    ask = 'io:format("OTP ~s, erts ~s", [erlang:system_info(otp_release), erlang:system_info(version)]), halt().'
    return run("erl", "-noshell", "-eval", ask)


def prepare_tokio():
    need("cargo", "cargo")
    crates = sorted(Path("/usr/share/cargo/registry").glob("tokio-1*"))
    if not crates:
        raise Missing("the tokio crate is not installed (Debian: apt-get install librust-tokio-dev)")
    run("cargo", "build", "--release", "--quiet", "--target-dir", OUT / "tokio", cwd=SOURCES / "tokio")
    return f"{crates[0].name}, {run('rustc', '--version')}"


def compile_in(build, programs):
    for program in programs:
        target = f"bench/{program}"
        if target not in run("ninja", "-C", build, "-t", "targets", "all"):
            raise Missing(f"the build has no {target} (Debian: apt-get install libboost-fiber-dev)")
        run("ninja", "-C", build, target)
    return "of this build"


PEERS = {
    "go": Peer(prepare_go),
    "erlang": Peer(prepare_erlang),
    "tokio": Peer(prepare_tokio),
    **{
        name: distribution(name)
        for name in ("uvloop", "gevent", "greenlet", "trio", "pykka", "runloom", "joblib", "ray")
    },
    "interpreter pool": Peer(with_python_3_14),
    **{name: Peer(with_python) for name in ("asyncio", "threads", "multiprocessing", "interpreters")},
}
# Compiled by meson.
BUILT = {
    "native": ("fiber_switch", "native", "stack_visit"),
    "boost": ("boost_switch", "boost_fiber"),
    "load generator": ("load_generator",),
}


def prepare(wanted, build):
    """Make the wanted peers ready: {name: version}, {name: why it is missing}."""
    OUT.mkdir(parents=True, exist_ok=True)
    versions, missing = {}, {}
    for name in sorted(wanted):
        try:
            versions[name] = compile_in(build, BUILT[name]) if name in BUILT else PEERS[name].prepare()
        except Missing as why:
            missing[name] = str(why)
    return versions, missing
