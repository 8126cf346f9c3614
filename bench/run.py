"""The benchmark driver: ours and the peers' programs in one run, interleaved.

  ./dev bench                                 everything (about an hour)
  ./dev bench ring pingpong                   some benchmarks; work: all whose names begin with work_
  ./dev bench ring --peers asyncio,go         some peers; --peers none: ours only
  ./dev bench ring --json out.json --plots d  keep the results; draw SVG charts into d
  ./dev bench ring --against ../before        every row of ours beside the same program with the smarm of another built checkout
  ./dev bench --list                          every benchmark with its commands
  ./dev bench --write-docs results.json ...   put such results into docs/benchmarks.md and its scoreboard

Each round runs every program of a benchmark once; the table has the medians of the rounds. Paths are relative to the checkout.
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from bench import document, measuring, plots  # noqa: E402
from bench.host_facts import host_facts  # noqa: E402
from bench.peer_setup import OUT, prepare, run, venv_python  # noqa: E402
from bench.report import facts_table, number, summarise, table  # noqa: E402
from bench.suite import BENCHMARKS, BY_NAME  # noqa: E402

OURS = {"smarm", "native"}


def members(name):
    """The benchmark of this name, or those whose names begin with it: work for work_tiny, work_map ..."""
    return [name] if name in BY_NAME else [each for each in BY_NAME if each.startswith(f"{name}_")]


def arguments():
    parser = argparse.ArgumentParser(
        prog="./dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="BENCHMARK")
    parser.add_argument("--peers", help="names, separated by commas, of the peers to run; none: only ours")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout, built with ./dev build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--echo-seconds", type=int, default=3)
    parser.add_argument(
        "--nice", type=int, help="run every program at this priority, such as -15 (root) beside other work"
    )
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--plots", type=Path, help="draw an SVG per benchmark into this directory")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write-docs", nargs="+", type=Path, metavar="RESULTS")
    parser.add_argument("--build-dir", type=Path, default=Path("build"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.names:
        if not members(name):
            parser.error(f"there is no benchmark {name!r}; --list names them")
    options.names = [member for name in options.names for member in members(name)]
    peers = {program.peer for benchmark in BENCHMARKS for program in benchmark.programs} - OURS
    for name in (options.peers or "none").split(","):
        if name not in peers | {"none"}:
            parser.error(f"there is no peer {name!r}: {', '.join(sorted(peers))}, or none")
    if options.against:
        if not (options.against / ".venv/bin/python").exists():
            parser.error(f"{options.against} is no checkout that ./dev build has built: it has no .venv/bin/python")
        if options.peers or options.json or options.plots:
            parser.error("--against compares two checkouts, without peers, and prints tables only")
    if options.rounds < 1:
        parser.error(f"--rounds is 1 or more, not {options.rounds}")
    if options.plots and not options.json:
        parser.error("--plots draws what --json keeps: give both")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    return options


def results_in(path):
    """What --json wrote there."""
    try:
        outcome = json.loads(path.read_text())
        unknown = {benchmark["name"] for benchmark in outcome["benchmarks"]} - BY_NAME.keys()
    except (OSError, ValueError, TypeError, KeyError) as error:
        sys.exit(f"{path} does not hold results of --json: {error!r}")
    if unknown or not outcome["benchmarks"]:
        sys.exit(
            f"{path} has {'no results' if not unknown else 'results of unknown benchmarks: ' + ', '.join(unknown)}"
        )
    return outcome


def from_root(path):
    """As a command that is given in the root of the checkout would name it."""
    return str(Path(path).relative_to(ROOT)) if Path(path).is_relative_to(ROOT) else str(path)


def filled(program, build):
    """The command, with what the suite left open."""
    places = {
        "{smarm}": from_root(sys.executable),
        "{bin}": from_root(Path(sys.executable).parent),
        "{peers}": from_root(venv_python()) if "{peers}" in program.command else "",
        "{out}": from_root(OUT),
        "{build}": from_root(build),
    }
    command = []
    for word in program.command:
        for place, value in places.items():
            word = word.replace(place, value)
        command.append(word)
    return command


def against(benchmark, checkout):
    """A benchmark for each Python program of ours: it, and the same with the smarm of the other checkout."""
    venv = str(checkout.resolve() / ".venv/bin")
    for program in benchmark.programs:
        if program.peer != "smarm":
            continue
        command = tuple(word.replace("{smarm}", f"{venv}/python").replace("{bin}", venv) for word in program.command)
        other = replace(program, label=f"{program.label}, {checkout.name}", command=command)
        yield replace(benchmark, title=f"{benchmark.title}: {program.label}", programs=(program, other), aim="")


def measure(benchmark, programs, options, build):
    load_generator = ["taskset", "-c", "1", str(build / "bench" / "load_generator")]

    def run_one(program):
        command = measuring.at_priority(options.nice, filled(program, build))
        if program.server:
            load = measuring.at_priority(options.nice, load_generator)
            return measuring.run_server(command, load, options.echo_seconds, ROOT)
        return measuring.run_program(command, benchmark.timeout, ROOT)

    def note(round_number, program, result):
        value = result.get("error") or number(result["value"])
        print(
            f"{benchmark.name} {round_number + 1}/{options.rounds} {program.label}: {value}",
            file=sys.stderr,
            flush=True,
        )

    return measuring.rounds(programs, options.rounds, run_one, note)


def wanted_peers(benchmarks, names):
    peers = {program.peer for benchmark in benchmarks for program in benchmark.programs} - {"smarm"}
    if names is not None:
        peers &= OURS | set(names.split(","))
    if any(program.server for benchmark in benchmarks for program in benchmark.programs):
        peers.add("load generator")
    return peers


def main():
    options = arguments()
    benchmarks = [BY_NAME[name] for name in options.names] or list(BENCHMARKS)
    if options.list:
        for benchmark in benchmarks:
            print(f"{benchmark.name}: {benchmark.title}")
            for program in benchmark.programs:
                print(f"    {program.label}: {shlex.join(filled(program, options.build_dir))}")
        return
    if options.write_docs:
        document.write([results_in(path) for path in options.write_docs])
        return

    build = (ROOT / options.build_dir).resolve()
    if options.against:
        benchmarks = [pair for benchmark in benchmarks for pair in against(benchmark, options.against)]
    versions, missing = prepare(wanted_peers(benchmarks, options.peers), build)
    for peer, why in missing.items():
        print(f"{peer} is left out: {why}.", file=sys.stderr)
    facts = host_facts() | ({"priority": f"nice {options.nice}"} if options.nice else {})
    outcome = {
        "facts": facts,
        "versions": versions,
        "missing": missing,
        "rounds": options.rounds,
        "benchmarks": [],
    }
    print(facts_table(outcome["facts"], versions, missing))
    for benchmark in benchmarks:
        programs = [program for program in benchmark.programs if program.peer == "smarm" or program.peer in versions]
        if not programs or (benchmark.programs[0].server and "load generator" in missing):
            continue
        results = measure(benchmark, programs, options, build)
        rows = summarise(benchmark, results, {program.label: filled(program, build) for program in programs})
        print(table(benchmark, rows), flush=True)
        outcome["benchmarks"].append({
            "name": benchmark.name, "title": benchmark.title, "less_is_better": benchmark.less_is_better,
            "rows": [asdict(row) for row in rows], "runs": results,
        })  # fmt: skip
        if options.json:
            options.json.write_text(json.dumps(outcome, indent=1) + "\n")
    if options.plots and options.json:
        run(venv_python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "matplotlib")
        if why := plots.draw(options.json.resolve(), options.plots.resolve(), venv_python()):
            print(f"no plots: {why}", file=sys.stderr)


if __name__ == "__main__":
    main()
