"""The command ``smarm``: looking at smarm programs that run.  ``smarm dump PID`` prints all actors of one."""

from __future__ import annotations

import argparse
import os
import select
import sys
from typing import BinaryIO

from smarm import _core

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
    try:
        dump(parser.parse_args(arguments).pid, sys.stdout.buffer)
    except CommandError as error:
        print(f"smarm: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # who reads this has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
