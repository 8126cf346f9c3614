"""Bar charts of a run, one SVG per benchmark; matplotlib lives in the peers' environment."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def draw(result_file, directory, python):
    """Draw with the given Python. Returns a sentence on why not, or None."""
    done = subprocess.run(
        [python, "-m", "bench.plots", result_file, directory], capture_output=True, text=True, cwd=ROOT
    )
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def draw_one(benchmark, path):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "smarm"  # the same picture is the same file
    matplotlib.rcParams["svg.fonttype"] = "none"  # text as text: small files
    from matplotlib import pyplot

    rows = [row for row in benchmark["rows"] if row["median"]][::-1]
    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(rows) + 1))
    medians = [row["median"] for row in rows]
    spread = [[row["median"] - row["least"] for row in rows], [row["most"] - row["median"] for row in rows]]
    colors = ["tab:blue" if row["label"].startswith("smarm") else "lightgray" for row in rows]
    axes.barh([row["label"] for row in rows], medians, xerr=spread, color=colors, error_kw={"lw": 1})
    if max(medians) > 30 * min(medians):
        axes.set_xscale("log")
    better = "less is better" if benchmark["less_is_better"] else "more is better"
    axes.set_title(f"{benchmark['title']} ({better})", fontsize=9, loc="right")
    axes.tick_params(labelsize=8)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def main(result_file, directory):
    Path(directory).mkdir(parents=True, exist_ok=True)
    for benchmark in json.loads(Path(result_file).read_text())["benchmarks"]:
        if sum(bool(row["median"]) for row in benchmark["rows"]) > 1:
            draw_one(benchmark, Path(directory) / f"{benchmark['name']}.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
