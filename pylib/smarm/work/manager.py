"""The actor that leads a pool: it hands out what is pending, hears what becomes of it, and ends the task actors."""

from __future__ import annotations

import itertools
import os
import sys
import time

from smarm import _core, _worker
from smarm._errors import ActorKilled, NoRuntime, Timeout
from smarm._signals import Down
from smarm.work import background, functions, slots
from smarm.work.board import Board
from smarm.work.outcomes import to_exception
from smarm.work.placement import places_of
from smarm.work.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from smarm._core import JoinHandle, Timer
    from smarm.work.pool import Job, Place

AHEAD = 0.01
"""Seconds of work that wait in the task actors' channel: the manager may have to wait for its turn, or for the GIL."""

MOST_AHEAD = 4096
"""Batches."""

LOOKS_EVERY = 5.0
"""Seconds without an outcome after which the manager looks for a worker that C code holds."""


LOOK = "look"
"""A message from the manager to itself."""


_numbers = itertools.count(1)
_living: dict[int, Pool] = {}
"""The pools that have a manager."""


def make_pool(name: str, actors: int | None, placement: Place, work: dict[str, Any]) -> Pool:
    """Return a pool whose manager starts with its first job.  work: fields of slots.Order."""
    return Pool(_start, name, actors, placement, work)


def _start(pool: Pool) -> None:
    """Start the manager, in the runtime that is there, or in one in the background."""
    key = next(_numbers)
    _living[key] = pool
    options: dict[str, Any] = {"name": f"manager of {pool.name}", "mailbox_limit": 0, "mailbox_byte_limit": 0}
    try:
        if _core.worker_index() is not None:
            _core.spawn(_manage, key, on="local", **options)
        else:
            run = background.enter(pool)
            _core._portal_spawn(run, None, _manage, key, on=_worker.own_index, **options)
    except BaseException:
        del _living[key]
        background.leave(pool)
        raise


def _forget_parent() -> None:
    for pool in _living.values():
        pool.forget()
    _living.clear()


os.register_at_fork(after_in_child=_forget_parent)


def _manage(key: int) -> None:
    """Be the manager of the pool that has this number."""
    pool = _living[key]
    manager: _Manager | None = None
    error: Exception | None = None
    try:
        manager = _Manager(pool)
        manager.serve()
    except Exception as its_error:  # what the pool was given cannot be sent, or it cannot have its actors
        error = its_error
    finally:
        del _living[key]
        _end(pool, manager, error)


class _Manager:
    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        pool.run = _core._portal_run()
        pool.pid = _core.self()
        self.jobs: dict[int, Job] = {}  # given away
        self.losses: list[slots.Failure] = []
        self.number = 0
        self.seconds = AHEAD  # that a batch takes
        self.looks = False
        self.timer: Timer | None = None
        self.named: set[tuple[int, int]] = set()
        self.probes: dict[int, JoinHandle[None]] = {}  # by worker: who ends when the worker comes back
        self.actors: dict[Any, tuple[int, JoinHandle[None]]] = {}  # by monitor: index and handle
        places = places_of(pool.placement, _core.worker_index() or 0)
        self.count = pool.actors = pool.actors or len(places)
        self.places = [places[index % len(places)] for index in range(self.count)]
        self.batches, self.inlet = _core.channel()
        self.board: Board | None
        try:
            self.board = Board(self.count)
        except OSError:  # no descriptor, no memory: what is stuck has no item then
            self.board = None
        descriptor = None if self.board is None else self.board.descriptor
        self.limit: float | None = pool.work.get("timeout")
        self.order = (
            functions.pack_optional(pool.work.get("function")),
            functions.pack_optional(pool.work.get("initializer")),
            pool.work.get("initargs", ()),
            self.limit,
            pool.work.get("stops", False),
            descriptor,
        )
        self.started = 0  # of the task actors: as many as there has been work for at a time

    def _start_actor(self, index: int) -> None:
        handle: JoinHandle[None] = _core.spawn(
            slots.serve, index, _core.self(), self.inlet, self.order,
            on=self.places[index], monitor=True, name=self.pool.name,
        )  # fmt: skip
        handle.observe()
        self.actors[handle.monitor] = index, handle

    # ---- while it lives ----------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Return when the pool has ended."""
        pool, receive, count = self.pool, _core.receive, _core.message_count
        while True:
            self._feed()
            if pool.closed is not None and not pool.pending and not self.jobs:
                self.batches.close()
                if not self.actors:
                    return
            if pool.kills:
                return
            self._take(receive())
            while count():
                self._take(receive())

    def _feed(self) -> None:
        pool, jobs = self.pool, self.jobs
        if pool.asleep and not pool.pending:
            return
        room = self.count
        if not pool.cancels:  # what a task actor could have begun is done also then, as with others' executors
            room += min(MOST_AHEAD, max(1, int(self.count * AHEAD / self.seconds)))
        while True:
            while pool.pending and len(jobs) < room and not self.losses:
                job = pool.pending.popleft()
                if not job.begin():
                    continue
                self.number = number = self.number + 1
                jobs[number] = job
                if self.started < self.count and self.started < len(jobs):
                    self.started += 1
                    self._start_actor(self.started - 1)
                try:
                    job.send(self.batches, number)
                except Exception as error:
                    del jobs[number]
                    job.fail(error)
            job = None  # type: ignore[assignment]  # nothing of it lives on while this waits
            pool.asleep = len(jobs) < room
            if not pool.asleep or not pool.pending or self.losses:  # else somebody was faster than this
                break
        if pool.cancels:
            _drop_all(pool)
        if jobs and not self.looks:
            self._look_later()

    def _take(self, message: Any) -> None:
        kind = type(message)
        if kind is tuple:
            if len(message) == 3:
                number, value, seconds = message
                job = self.jobs.pop(number, None)
                if job is not None:
                    job.returned(value, seconds)
                self.seconds += (seconds + 1e-7 - self.seconds) / 8
            else:
                number, first, values, failures, left, seconds, done = message
                job = self.jobs.pop(number, None) if done else self.jobs.get(number)
                if job is not None:
                    job.deliver(first, values, failures, left, seconds, done)
                if done:
                    self.seconds += (seconds + 1e-7 - self.seconds) / 8
        elif kind is Down:
            self._hear_of_end(message)
        elif kind is slots.Lost:
            self.losses.append(message.failure)
        elif kind is slots.Broken:
            self._break(message.failure)
        elif message == LOOK:
            self._look()
        if self.losses and len(self.jobs) <= len(self.losses):
            for failure, number in zip(self.losses, list(self.jobs), strict=False):
                self.jobs.pop(number).fail(to_exception(failure))
            self.losses.clear()

    def _break(self, failure: slots.Failure) -> None:
        import logging

        _, _, summary, text = failure
        logging.getLogger("concurrent.futures").critical("Exception in initializer:\n%s", text.rstrip())
        self._give_up(f"A task actor's initializer failed, the pool is not usable anymore: {summary}")

    def _give_up(self, why: str) -> None:
        self.pool.broken = why
        self.pool.close(kills=True)

    def _hear_of_end(self, down: Down) -> None:
        index, _ = self.actors.pop(down.ref, (-1, None))
        if index < 0:
            return
        ran = None if self.board is None else self.board.running(index)
        if ran is not None and self.board is not None:
            self.board.forget(index)
            if job := self.jobs.pop(ran[0], None):
                job.fail(
                    ActorKilled(f"the task's actor {down.pid} was stopped: {down.reason!r}", down.pid, down.reason)
                )
        if down.reason == "normal" or self.pool.broken is not None:
            return
        if isinstance(down.reason, Exception) and not isinstance(down.reason, ActorKilled):
            self._give_up(f"A task actor failed, the pool is not usable anymore: {down.reason}")
        else:
            self._start_actor(index)

    # ---- workers that do not come back -------------------------------------------------------------------------------

    def _look_later(self) -> None:
        self.looks = True
        self.timer = _core.send_after(LOOKS_EVERY, _core.self(), LOOK)

    def _look(self) -> None:
        """Name the workers that C code has held since the last look."""
        self.looks = bool(self.jobs)
        if not self.looks:
            self.probes.clear()
            return
        self._look_later()
        for actor, number, seconds in self.stuck():
            self.name(actor, number, seconds)
            if self.limit is not None and seconds > self.limit and (job := self.jobs.pop(number, None)):
                where = f"worker {self.places[actor]} is held by C code"
                job.fail(Timeout(f"the item is not done after {seconds:.1f} s, and cannot be stopped: {where}"))
        for index, _ in self.actors.values():
            ran = None if self.board is None else self.board.running(index)
            place = self.places[index]
            if ran is not None and ran[1] >= LOOKS_EVERY and place not in self.probes:
                self.probes[place] = _core.spawn(slots.answer, on=place)

    def stuck(self) -> list[tuple[int, int, float]]:
        """Return index, batch and seconds of the actors whose workers have not answered."""
        found = []
        for place, probe in list(self.probes.items()):
            if _core._process_info(probe.pid) is None:
                del self.probes[place]
                continue
            for index, _ in self.actors.values():
                ran = None if self.board is None else self.board.running(index)
                if self.places[index] == place and ran is not None and ran[1] >= LOOKS_EVERY:
                    found.append((index, *ran))
        return found

    def name(self, actor: int, number: int, seconds: float) -> None:
        """Say once on stderr what a task actor does not come back from."""
        if (actor, number) in self.named or sys.stderr is None:
            return
        self.named.add((actor, number))
        job = self.jobs.get(number)
        what = "a task" if job is None else job.describe()
        pid = next(handle.pid for index, handle in self.actors.values() if index == actor)
        print(
            f"smarm: worker {self.places[actor]} does not come back from {what}, which actor {pid} ({self.pool.name}) has run "
            f"for {seconds:.1f} s, and which cannot be interrupted there (C code, or no_preempt)",
            file=sys.stderr,
        )

    # ---- the end -----------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        """End the task actors; give those up that have not ended after the time that an ending may take."""
        patience = _core._kill_patience()
        ends = None if patience is None else time.monotonic() + patience
        for _, handle in self.actors.values():
            _core.kill(handle.pid)
        while self.actors:
            try:
                message = _core.receive(timeout=None if ends is None else max(0.0, ends - time.monotonic()))
            except Timeout:
                break
            if type(message) is Down:
                self.actors.pop(message.ref, None)
            elif type(message) is tuple:
                self._take(message)
        for index, _ in self.actors.values():
            if ran := None if self.board is None else self.board.running(index):
                self.name(index, *ran)


def _drop_all(pool: Pool) -> None:
    while pool.pending:
        try:
            pool.pending.popleft().drop()
        except IndexError:  # another was faster
            return


def _end(pool: Pool, manager: _Manager | None, error: Exception | None) -> None:
    """Leave nobody waiting: however the manager ends."""
    pool.closed = pool.closed or "cannot schedule new futures: the runtime of this pool has ended"
    if error is not None:
        pool.broken = f"{type(error).__name__}: {error}"
    elif pool.broken is not None:
        from concurrent.futures import BrokenExecutor

        error = BrokenExecutor(pool.broken)
    elif _core._is_ending():
        error = NoRuntime("the runtime ended before the task did")
    else:
        error = ActorKilled("the task was stopped with its pool")
    try:
        if manager is not None and manager.actors and not _core._is_ending():
            manager.kill()
    finally:
        pool.pid = None
        pool.asleep = False
        pool.over = True  # before the last look
        if manager is not None:
            if manager.timer is not None:
                manager.timer.cancel()
            manager.batches.close()
            for job in manager.jobs.values():
                job.fail(error)
            for _, handle in manager.actors.values():
                _core.kill(handle.pid)
            if manager.board is not None:
                manager.board.close()
        while pool.pending and pool.broken is not None:
            pool.pending.popleft().fail(error)
        _drop_all(pool)
        background.leave(pool)
        pool.ended.set()
