"""Puts the tables of results into docs/benchmarks.md, between its markers; nothing else in that file is touched."""

import re
from pathlib import Path

from bench import report
from bench.suite import BY_NAME

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- generated: begin, by ./dev bench --write-docs -->", "<!-- generated: end -->"


def text_of(outcomes):
    """The facts of each run, then the benchmarks in the order of the suite; of two results the later one counts."""
    latest = {}
    for outcome in outcomes:
        for benchmark in outcome["benchmarks"]:
            latest[benchmark["name"]] = (benchmark, outcome)
    parts = []
    for outcome in outcomes:
        names = [name for name, (_, source) in latest.items() if source is outcome]
        if names:
            parts.append(f"Run of {', '.join(names)}; {outcome['rounds']} rounds:\n")
            parts.append(report.facts_table(outcome["facts"], outcome["versions"], outcome["missing"]))
    for name, benchmark in BY_NAME.items():
        if name in latest:
            parts.append(report.table(benchmark, [report.Row(**row) for row in latest[name][0]["rows"]]))
    return "\n".join(parts)


def replaced(page, generated):
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no place for the tables: put {BEGIN} and {END} into it")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{generated}\n{END}", page)


def write(outcomes):
    PAGE.write_text(replaced(PAGE.read_text(), text_of(outcomes)))
