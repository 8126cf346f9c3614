"""Packages with native code, on two workers at once from private copies: ./dev extensions [NAME...] [--quick] [--minutes N] [--write]

Each package runs in processes of its own: under plain python, on a worker without copies, and on two workers with copies,
three times each at the same time.  It passes when the native code was at work, every result is the one of plain python, and
the process ends with status 0 and nothing on stderr.  --quick: the few that .ci/run tries.  --write: into the table of
docs/reference/native-packages.md.  Exit status 1 if a package failed that has no known limit.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib import metadata
from typing import Any, NamedTuple

from smarm.extensions import _contents
from tests.survey.workloads import WORKLOADS

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/native-packages.md"
NO_WHEEL = "no wheel for this Python"
LONG_ENOUGH = 180  # seconds for one process


class Row(NamedTuple):
    """What came of one package."""

    name: str
    version: str
    alone: str  # on a worker, without copies
    private: str
    bytes: int  # of the copies of one worker
    failed: bool


def requirements(group: str) -> list[str]:
    """Return what a dependency group of pyproject.toml asks for."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    found = []
    for entry in groups[group]:
        found += requirements(entry["include-group"]) if isinstance(entry, dict) else [entry]
    return found


def name_of(requirement: str) -> str:
    return re.match(r"[\w.\[\]-]+", requirement)[0]  # type: ignore[index]


def install(wanted: list[str]) -> None:
    """Install them; those that have no wheel for this Python are left out."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--only-binary", ":all:"]
    if subprocess.run([*pip, *wanted], capture_output=True).returncode != 0:
        for requirement in wanted:
            subprocess.run([*pip, requirement], capture_output=True)


def version_of(name: str) -> str | None:
    try:
        return metadata.version(re.split(r"[\[ ]", WORKLOADS[name].distribution)[0])
    except metadata.PackageNotFoundError:
        return None


def ask(mode: str, name: str, cache: str) -> tuple[Any, str]:
    """Run one child; return its answer (None without one), and what was wrong with the process."""
    kept = {key: value for key, value in os.environ.items() if not re.match(r"PYTHON|SMARM_", key)}
    kept |= {"SMARM_STALL_THRESHOLD": "0", "SMARM_EXTENSION_CACHE": cache, "PYTHONHASHSEED": "0", "MPLCONFIGDIR": cache}
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.survey.child", mode, name]
    try:
        done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=LONG_ENOUGH)
    except subprocess.TimeoutExpired:
        return None, f"no end within {LONG_ENOUGH} s"
    lines = done.stdout.splitlines()
    answer = json.loads(lines[-1]) if lines and lines[-1][:1] in "[{" else None
    if done.returncode < 0:
        return answer, f"{signal.Signals(-done.returncode).name}: {first_line(done.stderr)}"
    if done.returncode or done.stderr:
        return answer, f"exit status {done.returncode}: {first_line(done.stderr)}"
    return answer, ""


def first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return max(lines[:1] + lines[-1:], key=len, default="")[:160]


def judge_alone(answer: Any, trouble: str) -> str:
    if answer is None:
        return f"**{trouble or 'no answer'}**"
    if "error" in answer:
        return "refused" if "mport" in answer["error"] else f"fails ({answer['error'].split(':')[0]})"
    return "runs" if answer["native"] else "without its native half"


def judge_private(expected: Any, answer: Any, trouble: str) -> str:
    """Return "" if all is well, else what is not."""
    if answer is None:
        return trouble or "no answer"
    for rounds in answer:
        for found in rounds:
            if "error" in found:
                return f"{found['error'].splitlines()[0]} ({'/'.join(found['where'].split('/')[-2:])})"
            if not found["native"]:
                return "goes on without its native half"
            if found["digest"] != expected["digest"]:
                return f"other results: {found['shown']} instead of {expected['shown']}"
    return trouble


def try_package(name: str) -> Row:
    """Try one package in all ways."""
    with tempfile.TemporaryDirectory() as cache:
        expected, trouble = ask("plain", name, cache)
        version = version_of(name) or "?"
        if expected is None or "error" in expected or not expected["native"]:
            why = trouble or expected.get("error") or "its native half is not loaded"
            return Row(name, version, "-", f"does not work under plain python: {why}", 0, True)
        alone = judge_alone(*ask("main", name, cache))
        wrong = judge_private(expected, *ask("private", name, cache))
        slots: dict[int, int] = {}
        for entry in _contents.survey(cache):
            for file in entry.files:
                if file.slot is not None:
                    slots[file.slot] = slots.get(file.slot, 0) + file.bytes
    limit = WORKLOADS[name].limit
    verdict = "runs" if not wrong else f"{limit}: {wrong}" if limit else f"**fails**: {wrong}"
    return Row(name, version, alone, verdict, max(slots.values(), default=0), bool(wrong) and limit is None)


def table(rows: list[Row]) -> str:
    """Return the rows for the page."""
    lines = [
        "| package | version | on a worker, as it is | on two workers, from private copies | MB of copies |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(rows):
        size = f"{row.bytes / 1e6:.1f}" if row.bytes else ""
        private = row.private.replace("|", "\\|")
        lines.append(f"| {row.name} | {row.version} | {row.alone} | {private} | {size} |")
    return "\n".join(lines)


def write(rows: list[Row], python: str) -> None:
    """Put the table into its Python's section of the page; rows of packages that were not tried now stay."""
    title = f"## Python {python}\n"
    text = PAGE.read_text()
    before, found, after = text.partition(title)
    old, _, rest = after.partition("\n## ")
    tried = {row.name for row in rows}
    for line in old.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) == 7 and cells[1] in WORKLOADS and cells[1] not in tried:
            rows = [*rows, Row(*cells[1:4], cells[4].replace("\\|", "|"), round(float(cells[5] or 0) * 1e6), False)]  # type: ignore[call-arg]
    section = f"{title}\n{table(rows)}\n"
    if not found:
        before = before.rstrip() + "\n\n"
    PAGE.write_text(before + section + (f"\n## {rest}" if rest else ""))


def main() -> int:
    """Try the packages of the command line, or all."""
    parser = argparse.ArgumentParser(
        prog="./dev extensions", description="Packages with native code on two workers at once."
    )
    parser.add_argument("name", nargs="*", help=f"of a package ({', '.join(WORKLOADS)})")
    parser.add_argument("--quick", action="store_true", help="the few that .ci/run tries")
    parser.add_argument("--minutes", type=float, default=45, help="none is begun afterwards (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"into the table of {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
    if unknown := sorted(set(given.name) - WORKLOADS.keys()):
        parser.error(f"there is no {unknown[0]!r}")
    end = time.monotonic() + 60 * given.minutes
    install(requirements("extensions-quick" if given.quick else "extensions"))
    rows: list[Row] = []
    left = []
    for name, workload in WORKLOADS.items():
        if (given.quick and not workload.quick) or (given.name and name not in given.name):
            continue
        if not version_of(name):
            rows.append(Row(name, "-", "-", NO_WHEEL, 0, False))
            print(f"{name}: {NO_WHEEL}")
            continue
        if time.monotonic() > end:
            left.append(name)
            continue
        started = time.monotonic()
        row = try_package(name)
        rows.append(row)
        print(
            f"{name} {row.version}: as it is: {row.alone}; private: {row.private} ({time.monotonic() - started:.1f} s)",
            flush=True,
        )
    if given.write:
        write(rows, f"{sys.version_info.major}.{sys.version_info.minor}")
    failed = [row.name for row in rows if row.failed]
    limited = [row.name for row in rows if not row.failed and row.private not in ("runs", NO_WHEEL)]
    print(f"{sum(row.private == 'runs' for row in rows)} of {len(rows)} run")
    for what, names in (("with a known limit", limited), ("failed", failed), ("no time for", left)):
        if names:
            print(f"{what}: {', '.join(names)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
