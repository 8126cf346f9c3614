"""Makes docs/reference/compatibility.md's tables of results/*.json and explanations.py; see run.py.

python tests/witness/page.py      rewrite the page
"""

import collections
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reference" / "compatibility.md"
BEGIN, END = "<!-- made by tests/witness/page.py: begin -->\n", "<!-- end -->\n"

sys.path.insert(0, str(HERE))

import explanations  # noqa: E402


def load():
    """Return {version: {module: result}}."""
    files = sorted((HERE / "results").glob("*.json"), key=lambda path: tuple(map(int, path.stem.split("."))))
    return {path.stem: json.loads(path.read_text()) for path in files}


def unexplained(results):
    """Return what has no explanation, as (version, module, test)."""
    return [
        (version, module, difference["test"])
        for version, modules in results.items()
        for module, result in modules.items()
        for difference in result["differences"]
        if not difference["bare"] and explanations.find(module, difference) is None
    ]


def tables(results):
    versions = list(results)
    modules = list(dict.fromkeys(module for of_version in results.values() for module in of_version))
    lines = ["| module | " + " | ".join(versions) + " |", "|---|" + "---|" * len(versions)]
    for module in modules:
        cells = []
        for version in versions:
            result = results[version].get(module)
            if result is None:
                cells.append("-")
                continue
            bare = sum(difference["bare"] for difference in result["differences"])
            ours = len(result["differences"]) - bare
            cells.append(
                f"{result['tests']}: {ours or 'none'}" + (f", {bare} as in any subinterpreter" if bare else "")
            )
        lines.append(f"| `{module}` | " + " | ".join(cells) + " |")
    lines += ["", "### Differences of actors", ""]
    found = collections.defaultdict(lambda: collections.defaultdict(set))
    for version, of_version in results.items():
        for module, result in of_version.items():
            for difference in result["differences"]:
                if not difference["bare"]:
                    why = explanations.find(module, difference) or "**not explained**"
                    often = " (sometimes)" if difference["sometimes"] else ""
                    found[why][f"`{module}`: `{difference['test']}`, {difference['actor']}{often}"].add(version)
    for why, tests in found.items():
        lines += [f"- {why}"]
        lines += [f"    - {test} ({', '.join(sorted(of, key=versions.index))})" for test, of in tests.items()]
    lines += ["", "### Differences of subinterpreters", "", "| tests | why |", "|---|---|"]
    counted = collections.Counter()
    for of_version in results.values():
        for result in of_version.values():
            for difference in result["differences"]:
                if difference["bare"]:
                    counted[explanations.find_for_bare(difference)] += 1
    lines += [f"| {count} | {why} |" for why, count in counted.most_common()]
    return "\n".join(lines) + "\n"


def page(text, results):
    """Return the page's text with new tables."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + tables(results) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), load()))
