"""Puts results into the two documents, between their markers; nothing else in them is touched.

docs/benchmarks.md gets every table, docs/BENCHMARKS_AND_TUNING.md the scoreboard: whom ours is ahead of, and behind.
docs/benchmarks/results.json keeps what they are made of: new results take the place of those of the same benchmark.
"""

import json
import re
from pathlib import Path

from bench import report
from bench.suite import BY_NAME

DOCS = Path(__file__).resolve().parents[1] / "docs"
CHARTS = DOCS / "benchmarks"
RESULTS = CHARTS / "results.json"
BEGIN, END = "<!-- generated: begin, by ./dev bench --write-docs -->", "<!-- generated: end -->"
TIE = 1.1  # differences below that are no differences


def latest_of(outcomes):
    """{name: (benchmark, outcome)}, in the order of the suite; of two results the later one counts."""
    latest = {}
    for outcome in outcomes:
        for benchmark in outcome["benchmarks"]:
            latest[benchmark["name"]] = (benchmark, outcome)
    return {name: latest[name] for name in BY_NAME if name in latest}


def tables(outcomes):
    """The facts of each run, then every table."""
    latest = latest_of(outcomes)
    parts = []
    for outcome in outcomes:
        names = [name for name, (_, source) in latest.items() if source is outcome]
        if names:
            parts.append(f"Run of {', '.join(names)}; {outcome['rounds']} rounds:\n")
            parts.append(report.facts_table(outcome["facts"], outcome["versions"], outcome["missing"]))
    for name, (benchmark, _) in latest.items():
        parts.append(report.table(BY_NAME[name], [report.Row(**row) for row in benchmark["rows"]]))
        if (CHARTS / f"{name}.svg").exists():
            parts.append(f"![{name}](benchmarks/{name}.svg)\n")
    return "\n".join(parts)


def times(ratio):
    return f"{ratio:.3g} x" if ratio < 1000 else f"{ratio:.0f} x"


def scoreboard(outcomes):
    """One line per benchmark that has peers: ours, and the peers by how far they are behind or ahead."""
    lines = ["| | ours | ahead of | about equal | behind | command |", "|---|---|---|---|---|---|"]
    for name, (benchmark, _) in latest_of(outcomes).items():
        rows = [report.Row(**row) for row in benchmark["rows"]]
        peers = [row for row in rows[1:] if row.ratio and not row.label.startswith("smarm")]
        if not peers or not rows[0].median:
            continue
        ahead = sorted((row for row in peers if row.ratio >= TIE), key=lambda row: row.ratio)
        equal = [row.label for row in peers if 1 / TIE < row.ratio < TIE]
        behind = sorted((row for row in peers if row.ratio <= 1 / TIE), key=lambda row: row.ratio)
        cells = [
            name,
            f"{report.number(rows[0].median)} ({benchmark['title']})",
            ", ".join(f"{row.label} {times(row.ratio)}" for row in ahead),
            ", ".join(equal),
            ", ".join(f"{row.label} {times(1 / row.ratio)}" for row in behind),
            f"`./dev bench {name}`",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def replaced(page, generated):
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no place for the tables: put {BEGIN} and {END} into it")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{generated}\n{END}", page)


def merged(outcomes):
    """The outcomes with what of each is the latest of its benchmark, and without the single runs."""
    latest = latest_of(outcomes)
    kept = []
    for outcome in outcomes:
        benchmarks = [
            {key: value for key, value in benchmark.items() if key != "runs"}
            for benchmark, source in latest.values()
            if source is outcome
        ]
        if benchmarks:
            kept.append(outcome | {"benchmarks": benchmarks})
    return kept


def write(new):
    """Put new results, the oldest first, over those that the documents show."""
    outcomes = merged([*json.loads(RESULTS.read_text()), *new] if RESULTS.exists() else new)
    RESULTS.write_text(json.dumps(outcomes, indent=1) + "\n")
    for page, generated in ((DOCS / "benchmarks.md", tables), (DOCS / "BENCHMARKS_AND_TUNING.md", scoreboard)):
        page.write_text(replaced(page.read_text(), generated(outcomes)))
