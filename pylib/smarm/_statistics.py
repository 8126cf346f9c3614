"""What the runtime tells about itself, as frozen dataclasses."""

from __future__ import annotations

import typing  # noqa: F401 - dataclass looks for it in sys.modules, where another actor's import may be half way
from dataclasses import dataclass

from smarm import _core
from smarm._core import Pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from smarm._core import _HasPid


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingStatistics:
    """One worker's pool of threads for ``block_on_io``."""

    threads: int
    """Threads that exist, now."""
    running: int
    """Of these, how many are in a call, now."""
    queued: int
    """Calls that wait for a thread, now."""
    calls: int
    """Calls since the process started."""
    given_up: int
    """Of these, how many were given up: by their timeout, or because the actor was stopped."""
    most_threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatistics:
    """One worker's counters since its start; gauges say "now"."""

    index: int
    actors: int
    """Actors that live on this worker, now."""
    ready: int
    """Of these, how many could run but wait for their turn, now."""
    sleeping: bool
    """Whether the worker waits for events, now."""
    switches: int
    """Switches to an actor."""
    started: int
    finished: int
    messages: int
    """Messages sent by ``send`` from this worker."""
    messages_from_other_workers: int
    waits: int
    """How often it went to sleep."""
    preemptions: int
    """Turns that were ended because their time slice was used up."""
    stacks_trimmed: int
    """How often a parked actor's stack that had run deep gave pages back."""
    stacks_in_use: int
    stacks_warm: int
    """Free stacks that keep their pages."""
    stacks_cold: int
    stack_bytes_reserved: int
    """Address space, not memory."""
    guard_costs_mapping: bool
    """The kernel has no guard pages without mappings (before Linux 6.13): about 30,000 actors fit, not millions."""
    blocking: BlockingStatistics
    """Calls of block_on_io from this worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferStatistics:
    """The memory of every ``Buffer`` of the process, and what was copied in spite of them."""

    live: int
    """Stretches of memory that Buffers lie in, now; the two parts of a split one lie in the same."""
    live_bytes: int
    pooled_bytes: int
    """Freed memory that is kept for the next large Buffer, now."""
    allocated: int
    """Stretches of memory that were ever made."""
    pool_hits: int
    """Of these, how many came out of the pool."""
    moved: int
    """Buffers that went from one owner to another in a message."""
    payload_copies: int
    """How often the runtime copied the bytes of a bytes-like object: into a Buffer, into a message, out of a message."""
    payload_bytes_copied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The whole runtime."""

    workers: tuple[WorkerStatistics, ...]
    """The workers that have been started."""
    max_workers: int
    actors: int
    """Living actors, now."""
    dead_letters: int
    """Messages that reached nobody: sent to an ended actor, left in the mailbox of one, or dropped by a full mailbox."""
    undecoded: int
    """Messages that were lost because their receiver could not decode them: it got DecodeError."""
    resident_bytes: int
    """Memory of the process, now, as the kernel counts it; 0: unknown."""
    page_table_bytes: int
    """What the kernel needs besides to map it, now: 4 KiB for each actor with a stack of 2 MiB or more; 0: unknown."""
    buffers: BufferStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """One actor, as it was a moment ago."""

    pid: Pid
    name: str | None
    parent: Pid | None
    state: str
    """unstarted, ready, running or parked."""
    waiting_for: str | None
    """In words, when parked."""
    waiting_for_pid: Pid | None
    """When parked: the actor that it joins or calls, or that holds the lock that it needs; None: nobody in particular."""
    waiting_seconds: float | None
    """When parked: for how long, right to some milliseconds."""
    reductions: int
    """How many objects it has allocated, up to its last turn."""
    worker: int | None
    """None: not yet placed."""
    messages: int
    """In its mailbox."""
    mailbox_limit: int | None
    """How many may wait there; None: any number."""
    mailbox_byte_limit: int | None
    """How many bytes of them; None: any number."""
    buffers: int
    """Buffers that it holds: made or received by it, and not yet sent on or freed."""
    buffer_bytes: int
    registered_names: tuple[str, ...]
    spawned_at: str | None
    """file:line"""


def statistics() -> Statistics:
    """Return the runtime's counters.  Raises NoRuntime when none runs."""
    values = _core._statistics()
    workers = tuple(
        WorkerStatistics(blocking=BlockingStatistics(**worker.pop("blocking")), **worker)
        for worker in values.pop("workers")
    )
    return Statistics(workers=workers, buffers=BufferStatistics(**values.pop("buffers")), **values)


def process_info(pid: Pid | str | _HasPid, /) -> ProcessInfo | None:
    """Return what is known of a living actor, by its Pid, its name or what has its ``pid``; None when it has ended.

    Raises NotRegistered for a name that nobody has, NoRuntime, TypeError.
    """
    values = _core._process_info(pid)
    return None if values is None else ProcessInfo(**values)
