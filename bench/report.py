"""From results to tables: medians with min and max, and how many times better the first row is."""

import shlex
import statistics
from dataclasses import dataclass

BUSY = 0.3  # CPUs of others: above that, a result says little


@dataclass(frozen=True)
class Row:
    """One program of one benchmark, over all rounds."""

    label: str
    command: str
    median: float | None = None
    least: float = 0.0
    most: float = 0.0
    rounds: int = 0
    ratio: float | None = None  # how many times better the first row is: above 1, it wins
    extra: dict[str, float] | None = None  # medians
    others: float = 0.0
    error: str = ""


def summarise(benchmark, results, commands):
    """The rows of one benchmark: {label: [what the program printed, or {"error": ...}]}, {label: command}."""
    rows = []
    for program in benchmark.programs:
        runs = results.get(program.label)
        if runs is None:
            continue
        command = shlex.join(commands[program.label])
        good = [run for run in runs if "value" in run]
        if not good:
            rows.append(Row(program.label, command, error=runs[-1]["error"] if runs else "was not run"))
            continue
        values = [run["value"] for run in good]
        keys = good[0]["extra"]
        extra = {key: median_of(run["extra"].get(key) for run in good) for key in keys}
        others = max(run.get("others", 0.0) for run in good)
        rows.append(Row(
            program.label, command, statistics.median(values), min(values), max(values), len(good),
            extra={key: value for key, value in extra.items() if value is not None}, others=others,
        ))  # fmt: skip
    return with_ratios(rows, benchmark.less_is_better)


def median_of(values):
    numbers = [value for value in values if isinstance(value, int | float)]
    return statistics.median(numbers) if numbers else None


def with_ratios(rows, less_is_better):
    first = rows[0].median if rows else None
    if not first:
        return rows
    ratios = []
    for row in rows:
        ratio = None
        if row.median:
            ratio = row.median / first if less_is_better else first / row.median
        ratios.append(Row(**{**row.__dict__, "ratio": ratio}))
    return ratios


def number(value):
    if value is None:
        return "-"
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.2f} M"
    if size >= 1e4:
        return f"{value / 1e3:.1f} k"
    if size >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"


def table(benchmark, rows):
    """Markdown: title, aim, one line per program, then the commands."""
    keys = [key for key in benchmark.columns if any(row.extra and key in row.extra for row in rows)]
    head = ["", "median", "min - max", "ours is better by", *(benchmark.columns[key] for key in keys), "others' CPUs"]
    title = f"{benchmark.title}." + (f" Aim: {benchmark.aim}." if benchmark.aim else "")
    lines = [f"### {benchmark.name}", "", title, ""]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        if row.error:
            cells = [row.label, f"failed: {' '.join(row.error.split())[:100]}".replace("|", "/")]
            cells += [""] * (len(head) - 2)
        else:
            ratio = "" if row is rows[0] or row.ratio is None else f"{row.ratio:.2f} x"
            cells = [row.label, number(row.median), f"{number(row.least)} - {number(row.most)}", ratio]
            others = f"{row.others:.2f}" if row.others <= BUSY else f"**{row.others:.2f}**"
            cells += [number(row.extra.get(key)) for key in keys] + [others]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "<details><summary>commands</summary>", "", "```"]
    lines += [f"{row.command}   # {row.label}" for row in rows]
    return "\n".join([*lines, "```", "", "</details>", ""])


def facts_table(facts, versions, missing):
    lines = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())]
    lines += [f"| {peer} | {version} |" for peer, version in sorted(versions.items())]
    lines += [f"| {peer} | left out: {why} |" for peer, why in sorted(missing.items())]
    return "\n".join(lines) + "\n"
