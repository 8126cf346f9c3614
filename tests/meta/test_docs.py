"""The documentation is true: its programs run, its tables are those of the code, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from smarm._config import OPTIONS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "include").rglob("*.md")]
)
PROGRAM = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


UNSANITIZED = {ROOT / "docs/reference/stacks.md": pytest.mark.unsanitized(reason="frames are larger there")}


def programs():
    for page in PAGES:
        for number, match in enumerate(PROGRAM.finditer(page.read_text()), 1):
            marks = [UNSANITIZED[page]] if page in UNSANITIZED else []
            yield pytest.param(match[1], id=f"{page.relative_to(ROOT)}-{number}", marks=marks)


@pytest.mark.parametrize("program", list(programs()))
def test_every_program_in_the_docs_runs(program, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def default_text(option):
    return (
        "see text"
        if not option.default
        else f"{option.default:g}"
        if isinstance(option.default, float)
        else str(option.default)
    )


def test_the_table_of_options_is_the_one_in_the_code():
    lines = ["| keyword | flag | variable | default | range | meaning |", "|---|---|---|---|---|---|"]
    for option in OPTIONS:
        flag = "--" + option.name.replace("_", "-")
        lines.append(
            f"| `{option.name}` | `{flag}` | `SMARM_{option.name.upper()}` | {default_text(option)} "
            f"| {option.range()} | {option.help} |"
        )
    assert "\n".join(lines) in (ROOT / "docs/reference/configuration.md").read_text()


def test_the_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text()
    assert "./dev demo" in readme
    assert "./dev test" in readme
    assert "./dev test" in (ROOT / ".ci/run").read_text()
