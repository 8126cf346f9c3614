"""The driver: order of the runs, medians and ratios, tables, the generated part of the document."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import document, measuring, report, run
from bench.peer_setup import BUILT, PEERS, Missing, need, prepare
from bench.suite import BENCHMARKS, BY_NAME, Benchmark, Program

ROOT = Path(__file__).parents[2]
FIRST = Program("smarm", "smarm", ("{smarm}", "-m", "x"))
SECOND = Program("other", "asyncio", ("{peers}", "-m", "y"))
COMMANDS = {"smarm": ["python", "x y"], "other": ["python", "z"]}


def benchmark(less_is_better=False, **more):
    return Benchmark("thing", "A thing, things/s", less_is_better, (FIRST, SECOND), **more)


def results(first, second, **extra):
    def runs(values):
        return [{"value": value, "unit": "u", "extra": dict(extra), "others": 0.1} for value in values]

    return {"smarm": runs(first), "other": runs(second)}


def test_rounds_are_interleaved():
    order = []

    def run(program):
        order.append(program.label)
        return {"value": 1, "extra": {}}

    measuring.rounds([FIRST, SECOND], 2, run, lambda *_: None)
    assert order == ["smarm", "other", "smarm", "other"]


def test_a_program_that_failed_is_not_run_again_and_keeps_its_row():
    def run(program):
        if program is SECOND:
            raise measuring.Failed("no such thing")
        return {"value": 1, "extra": {}}

    outcome = measuring.rounds([FIRST, SECOND], 3, run, lambda *_: None)
    assert outcome["other"] == [{"error": "no such thing"}]
    rows = report.summarise(benchmark(), outcome, COMMANDS)
    assert rows[1].error == "no such thing"
    assert "failed: no such thing" in report.table(benchmark(), rows)


def test_against_another_checkout_each_program_of_ours_is_a_pair(tmp_path):
    served = Program("smarm host", "smarm", ("{smarm}", "{bin}/smarm-host"))
    pairs = list(run.against(Benchmark("thing", "Things/s", False, (FIRST, SECOND, served)), tmp_path / "before"))
    venv = f"{tmp_path}/before/.venv/bin"
    assert [[program.label for program in pair.programs] for pair in pairs] == [
        ["smarm", "smarm, before"],
        ["smarm host", "smarm host, before"],
    ]
    assert pairs[1].programs[1].command == (f"{venv}/python", f"{venv}/smarm-host")


@pytest.mark.parametrize(("less_is_better", "ratio"), [(False, 2.0), (True, 0.5)])
def test_ratio_says_how_many_times_better_ours_is(less_is_better, ratio):
    rows = report.summarise(benchmark(less_is_better), results([10, 30, 20], [10, 9, 11]), COMMANDS)
    assert [row.median for row in rows] == [20, 10]
    assert (rows[0].least, rows[0].most, rows[0].rounds) == (10, 30, 3)
    assert rows[1].ratio == ratio


def test_a_median_of_nothing_has_no_ratio():
    rows = report.summarise(benchmark(less_is_better=True), results([0], [5]), COMMANDS)
    assert rows[1].ratio is None
    assert report.table(benchmark(), rows)


def test_table_has_a_line_per_program_its_extras_and_its_command():
    thing = benchmark(columns={"p99": "p99 ms", "absent": "never"}, aim="fast")
    text = report.table(thing, report.summarise(thing, results([1_500_000], [2], p99=3.25), COMMANDS))
    assert "A thing, things/s. Aim: fast." in text
    assert "|  | median | min - max | ours is better by | p99 ms | others' CPUs |" in text
    assert "| smarm | 1.50 M | 1.50 M - 1.50 M |  | 3.25 | 0.10 |" in text
    assert "python 'x y'   # smarm" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.1234, "0.123"), (12.3456, "12.3"), (123.4, "123"), (12345, "12.3 k"), (2.5e6, "2.50 M")],
)
def test_numbers_have_three_digits(value, text):
    assert report.number(value) == text


def outcome(names, median):
    rows = [report.Row("smarm", "python x", median, median, median, 1, extra={}).__dict__]
    return {
        "facts": {"CPU": f"cpu of {median}"},
        "versions": {"go": "1"},
        "missing": {"tokio": "no crate"},
        "rounds": 1,
        "benchmarks": [{"name": name, "title": name, "less_is_better": False, "rows": rows} for name in names],
    }


def test_document_takes_the_latest_result_and_names_the_run_it_is_from():
    text = document.tables([outcome(["ring", "spawn"], 111), outcome(["spawn"], 222)])
    assert "Run of ring; 1 rounds:" in text
    assert "Run of spawn; 1 rounds:" in text
    assert text.count("### spawn") == 1
    assert "| smarm | 222 |" in text
    assert "| tokio | left out: no crate |" in text


def test_scoreboard_says_whom_ours_is_ahead_of_and_behind():
    def row(label, ratio):
        return report.Row(label, "x", 10.0, 10.0, 10.0, 1, ratio=ratio, extra={}).__dict__

    rows = [row("smarm", 1.0), row("smarm mailboxes", 2.0), row("slow", 12.5), row("same", 1.05), row("fast", 0.25)]
    thing = {"name": "ring", "title": "A ring", "less_is_better": False, "rows": rows}
    (line,) = document.scoreboard([{"benchmarks": [thing]}]).splitlines()[2:]
    assert line == "| ring | 10 (A ring) | slow 12.5 x | same | fast 4 x | `./dev bench ring` |"


def test_only_the_marked_part_of_the_document_is_replaced():
    page = f"above\n{document.BEGIN}\nold\n{document.END}\nbelow\n"
    assert document.replaced(page, "new") == f"above\n{document.BEGIN}\n\nnew\n{document.END}\nbelow\n"
    with pytest.raises(ValueError, match="no place for the tables"):
        document.replaced("nothing", "new")


def test_names_and_labels_are_unique_and_every_peer_is_known():
    assert len(BY_NAME) == len(BENCHMARKS)
    for thing in BENCHMARKS:
        labels = [program.label for program in thing.programs]
        assert len(set(labels)) == len(labels), thing.name
        assert {program.peer for program in thing.programs} <= {"smarm", *PEERS, *BUILT}


def test_what_is_compiled_for_the_benchmarks_is_compiled_before():
    for thing in BENCHMARKS:
        for program in thing.programs:
            folder, _, name = program.command[0].rpartition("/")
            if folder == "{build}/bench":
                assert name in BUILT[program.peer], name


def test_new_results_take_the_place_of_those_of_the_same_benchmark_only(monkeypatch, tmp_path):
    for page in ("benchmarks.md", "BENCHMARKS_AND_TUNING.md"):
        (tmp_path / page).write_text(f"above\n{document.BEGIN}\n{document.END}\nbelow\n")
    monkeypatch.setattr(document, "DOCS", tmp_path)
    monkeypatch.setattr(document, "RESULTS", tmp_path / "results.json")
    document.write([outcome(["ring", "spawn"], 111)])
    document.write([outcome(["spawn"], 222)])
    text = (tmp_path / "benchmarks.md").read_text()
    assert (text.count("### ring"), text.count("### spawn")) == (1, 1)
    assert ("| smarm | 111 |" in text, "| smarm | 222 |" in text) == (True, True)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [[thing["name"] for thing in run["benchmarks"]] for run in kept] == [["ring"], ["spawn"]]


def test_a_result_beside_much_else_stands_out():
    row = report.Row("smarm", "x", 10.0, 10.0, 10.0, 1, extra={}, others=0.31)
    assert "| **0.31** |" in report.table(benchmark(), [row])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nosuch"], "there is no benchmark 'nosuch'"),
        (["ring", "--peers", "go,nosuch"], "there is no peer 'nosuch'"),
        (["ring", "--rounds", "0"], "--rounds is 1 or more, not 0"),
        (["ring", "--plots", "somewhere"], "--plots draws what --json keeps: give both"),
        (["--write-docs", "pyproject.toml"], "pyproject.toml does not hold results of --json"),
        (["--write-docs", "no.json"], "no.json does not hold results of --json"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_runs(arguments, message):
    done = drive(*arguments)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_that_is_not_there_is_a_failed_row():
    def run(program):
        raise FileNotFoundError(program.label)

    outcome = measuring.rounds([FIRST, SECOND], 2, run, lambda *_: None)
    assert outcome == {"smarm": [{"error": "smarm"}], "other": [{"error": "other"}]}


def test_a_missing_peer_is_a_sentence_not_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr("bench.peer_setup.OUT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    versions, missing = prepare({"go", "erlang"}, tmp_path)
    assert versions == {}
    assert missing["go"] == "go is not installed (Debian: apt-get install golang-go)"
    with pytest.raises(Missing):
        need("no-such-program", "nothing")


def drive(*arguments):
    command = [sys.executable, "bench/run.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_driver_measures_and_writes_a_table_and_json(tmp_path):
    done = drive("first_spawn", "--rounds", "2", "--peers", "none", "--json", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    assert "### first_spawn" in done.stdout
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["rounds"] == 2
    assert {"CPU", "CPUs", "kernel", "Python", "date", "smarm"} <= set(written["facts"])
    (thing,) = written["benchmarks"]
    assert [len(runs) for runs in thing["runs"].values()] == [2]


def test_the_driver_refuses_a_benchmark_that_does_not_exist():
    done = drive("no_such_thing")
    assert done.returncode == 2
    assert "there is no benchmark 'no_such_thing'; --list names them" in done.stderr


def test_a_name_stands_for_those_that_begin_with_it():
    from bench.run import members

    assert members("ring") == ["ring"]
    assert members("work") == ["work_tiny", "work_spin", "work_arrays", "work_map", "work_first"]
    assert members("nothing") == []


def test_the_driver_lists_what_there_is():
    done = drive("ring", "--list", "--peers", "none")
    assert "bench.smarm.ring" in done.stdout
