"""The command ``smarm``: looking at smarm programs, and at what they keep.

``smarm dump PID`` prints all actors of one that runs, ``smarm cache`` shows and clears the copies of extension modules.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
from typing import BinaryIO

from smarm import _core
from smarm._errors import ConfigError
from smarm.extensions import _cache_command

PATIENCE = 10.0
"""Seconds that the other process gets to begin with its answer."""


class CommandError(Exception):
    """Ends the command with one sentence."""


def dump(pid: int, out: BinaryIO, patience: float = PATIENCE) -> None:
    """Write what the smarm program ``pid`` says of its actors to ``out``.  Raises CommandError.

    The request travels as SIGURG, which ends nobody who does not know it.
    """
    try:
        process = os.pidfd_open(pid)
    except OverflowError:
        raise CommandError(f"there is no process {pid}") from None
    except OSError as error:
        raise CommandError(f"there is no process {pid}" if pid > 0 else f"{pid} is no process id") from error
    answer, ours = os.pipe()
    try:
        try:
            _core._request_dump(pid, ours)
        except PermissionError:
            raise CommandError(f"process {pid} belongs to somebody else: become its user, or root") from None
        except ProcessLookupError:
            raise CommandError(
                f"process {pid} is no smarm program that runs (smarm.run() must be on its main thread)"
            ) from None
        # Readable: it writes, or it has ended and will not.
        ready, _, _ = select.select([answer, process], [], [], patience)
        if answer not in ready:
            why = "has ended" if process in ready else f"has not answered within {patience:g} s: send it SIGQUIT"
            raise CommandError(f"process {pid} {why}")
        os.close(ours)
        ours = -1
        while data := os.read(answer, 1 << 16):
            out.write(data)
            out.flush()
    finally:
        os.close(answer)
        os.close(process)
        if ours >= 0:
            os.close(ours)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="smarm", description="Looks at smarm programs. To run one: smarm-host.")
    parser.add_argument("--version", "-V", action="version", version=f"smarm {_core.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    description = "Print every actor of a running program: state, what it waits for, since when, traceback."
    dumping = commands.add_parser("dump", help="print every actor of a running program", description=description)
    dumping.add_argument("pid", type=int, help="the program's process id")
    description = "Show or clear the copies of extension modules that programs keep."
    caching = commands.add_parser(
        "cache", help="show or clear the copies of extension modules", description=description
    )
    _cache_command.add_arguments(caching)
    given = parser.parse_args(arguments)
    try:
        if given.command == "dump":
            dump(given.pid, sys.stdout.buffer)
        else:
            print(_cache_command.run(given), flush=True)
    except (CommandError, ConfigError, _cache_command.CacheCommandError) as error:
        print(f"smarm: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # who reads this has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
