"""What the tests of real packages share. They need more than the others: ./dev ecosystem makes an environment for them."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

LONG_ENOUGH = 300  # seconds: only a hang gets there


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what ./dev test has no packages for; ./dev ecosystem has them all, and fails instead."""
    for item in items:
        marker = item.get_closest_marker("packages")
        missing = [name for name in (marker.args if marker else ()) if importlib.util.find_spec(name) is None]
        if missing and "SMARM_ECOSYSTEM" not in os.environ:
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}: run ./dev ecosystem"))


@pytest.fixture
def succeed(tmp_path: pathlib.Path) -> Callable[..., str]:
    """Run this text as ``python app.py`` with smarm's default settings: exit code 0, nothing on stderr; return stdout."""

    def succeed(text: str, **env: str) -> str:
        app = tmp_path / "app.py"
        app.write_text(textwrap.dedent(text))
        kept = {name: value for name, value in os.environ.items() if not re.match("PYTHON|SMARM_", name)}
        # A busy machine would be taken for a stalling actor.
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", app],
            cwd=tmp_path,
            env=kept | {"SMARM_STALL_THRESHOLD": "0"} | env,
            capture_output=True,
            text=True,
            timeout=LONG_ENOUGH,
        )
        name = signal.Signals(-done.returncode).name if done.returncode < 0 else done.returncode
        assert (name, done.stderr) == (0, ""), f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return succeed
