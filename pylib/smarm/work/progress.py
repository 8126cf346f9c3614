"""How far a map is: a bar of rich or tqdm where one is installed, a plain line on a terminal, or a function of the program."""

from __future__ import annotations

import sys
import time
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Report(Protocol):
        """One bar, from the first result to the end of the map."""

        def advance(self, count: int) -> None:
            """So many items more are done."""

        def close(self) -> None:
            """The map has ended, however."""


EVERY = 0.1
"""Seconds between two looks of a bar."""


def open(wish: bool | Callable[[int, int | None], object], total: int | None, name: str) -> Report:
    """Return what reports: for True whatever is there."""
    if callable(wish):
        return _Function(wish, total)
    for make in (_Rich, _Tqdm):
        try:
            return make(total, name)
        except ImportError:
            continue
    return _Line(total, name)


class _Function:
    def __init__(self, function: Callable[[int, int | None], object], total: int | None) -> None:
        self._function = function
        self._total = total
        self._done = 0

    def advance(self, count: int) -> None:
        self._done += count
        self._function(self._done, self._total)

    def close(self) -> None:
        pass


class _Rich:
    def __init__(self, total: int | None, name: str) -> None:
        console, rich = import_module("rich.console"), import_module("rich.progress")
        columns = (
            rich.TextColumn("{task.description}"),
            *(rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), rich.TimeRemainingColumn()),
        )
        self._bar: Any = rich.Progress(*columns, console=console.Console(stderr=True), auto_refresh=False)
        self._task = self._bar.add_task(name, total=total)
        self._shown = 0.0
        self._bar.start()

    def advance(self, count: int) -> None:
        now = time.monotonic()
        due = now - self._shown >= EVERY
        self._bar.update(self._task, advance=count, refresh=due)
        if due:
            self._shown = now

    def close(self) -> None:
        self._bar.refresh()
        self._bar.stop()


class _Tqdm:
    def __init__(self, total: int | None, name: str) -> None:
        self._bar: Any = import_module("tqdm").tqdm(total=total, desc=name, mininterval=EVERY)

    def advance(self, count: int) -> None:
        self._bar.update(count)

    def close(self) -> None:
        self._bar.close()


class _Line:
    """A line on stderr that is written again and again, if that is a terminal."""

    def __init__(self, total: int | None, name: str) -> None:
        self._name = name
        self._total = total
        self._done = 0
        self._began = self._shown = time.monotonic()
        self._stream = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None

    def advance(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._shown >= EVERY:
            self._show()

    def _show(self) -> None:
        if self._stream is None:
            return
        self._shown = time.monotonic()
        seconds = self._shown - self._began
        of = "" if not self._total else f"/{self._total} ({100 * self._done // self._total} %)"
        rate = self._done / seconds if seconds > 0 else 0.0
        self._stream.write(f"\r{self._name}: {self._done}{of}, {seconds:.0f} s, {rate:.3g}/s\x1b[K")
        self._stream.flush()

    def close(self) -> None:
        self._show()
        if self._stream is not None:
            self._stream.write("\n")
            self._stream.flush()
