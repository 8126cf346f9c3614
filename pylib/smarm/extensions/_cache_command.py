"""The command ``smarm cache``: what is in the cache of extension modules' copies, and removing it."""

from __future__ import annotations

import argparse
import fnmatch
import json
import pathlib
import time

from smarm.extensions import _contents, _directory
from smarm.extensions._cache import limit_of_environment

DAY = 86400.0


class CacheCommandError(Exception):
    """Ends the command with one sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.set_defaults(action=_show, json=False)
    actions = parser.add_subparsers(dest="action_name", metavar="ACTION")
    showing = actions.add_parser(
        "show", help="what is in it (without an action: this)", description="Show what is in the cache."
    )
    showing.set_defaults(action=_show)
    showing.add_argument("--json", action="store_true", help="for programs")
    clearing = actions.add_parser("clear", help="remove copies", description="Remove copies: all, or those that fit.")
    clearing.set_defaults(action=_clear)
    clearing.add_argument(
        "name", nargs="*", help="of a package, module or path, also as a pattern (numpy, 'num*'); default: all"
    )
    clearing.add_argument("--older-than", type=_days, metavar="DAYS", help="only what was not used for so many days")


def run(arguments: argparse.Namespace) -> str:
    """Do it; return what there is to print.  Raises CacheCommandError, ConfigError."""
    place = ""
    try:
        place = _directory.default_place()
        place = _directory.open_place(place, make=False)
    except FileNotFoundError:  # nothing has been kept yet
        pass
    except _directory.Unusable as refusal:
        raise CacheCommandError(f"the cache is not used: {refusal}") from None
    except OSError as error:
        raise CacheCommandError(f"the cache cannot be read: {error}") from None
    action = arguments.action
    text: str = action(place, arguments)
    return text


def matches(name: str, original: str) -> bool:
    """Return whether the path, a component of it, or one up to its first dot, fits the name or pattern."""
    parts = pathlib.PurePath(original).parts
    return any(fnmatch.fnmatchcase(part, name) for part in (original, *parts, *(part.split(".")[0] for part in parts)))


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of days, not {text!r}")
    return days


def _show(place: str, arguments: argparse.Namespace) -> str:
    entries = sorted(_contents.survey(place), key=lambda entry: (entry.original, entry.tag, entry.last_used))
    limit = limit_of_environment()
    if arguments.json:
        return json.dumps(
            {"place": place, "limit_bytes": limit, "originals": [_as_data(entry) for entry in entries]}, indent=2
        )
    copies, size = sum(len(entry.slots) for entry in entries), sum(entry.bytes for entry in entries)
    head = f"{place}: {_size(size)} of at most {_size(limit)}; copies: {copies}, originals: {len(entries)}"
    if not entries:
        return head
    rows = [("SLOTS", "BYTES", "LAST USED", "PYTHON AND SMARM", "ORIGINAL")]
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.last_used))
        state = "" if entry.is_current else "  (changed or gone since)"
        original = entry.original if entry.original.isprintable() else ascii(entry.original)
        rows.append((_slots(entry.slots), _size(entry.bytes), used, entry.tag, original + state))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    return "\n".join([head, "", *lines])


def _as_data(entry: _contents.Entry) -> dict[str, object]:
    return {
        "original": entry.original,
        "tag": entry.tag,
        "current": entry.is_current,
        "slots": entry.slots,
        "bytes": entry.bytes,
        "last_used": entry.last_used,
        "directory": entry.directory,
    }


def _slots(slots: list[int]) -> str:
    """Return 1-3,7 for 1, 2, 3, 7."""
    ranges: list[list[int]] = []
    for slot in slots:
        if ranges and slot == ranges[-1][1] + 1:
            ranges[-1][1] = slot
        else:
            ranges.append([slot, slot])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges) or "-"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _clear(place: str, arguments: argparse.Namespace) -> str:
    before = float("inf") if arguments.older_than is None else time.time() - arguments.older_than * DAY

    def wanted(entry: _contents.Entry) -> bool:
        named = not arguments.name or any(matches(name, entry.original) for name in arguments.name)
        return named and entry.last_used < before

    removed = _contents.clear(place, wanted)
    busy = f"; {removed.busy} left, somebody loads from them just now" if removed.busy else ""
    return f"removed {removed.files} files, {_size(removed.bytes)}, from {place}{busy}"
