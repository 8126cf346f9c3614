"""A runtime for code outside of any: in a daemon thread, from the first use to the end of the program.

It gives way to a ``smarm.run`` of the program when nobody uses it.
"""

from __future__ import annotations

import atexit
import os
import threading

from smarm import _config, _core, _main, _worker
from smarm._errors import AlreadyRunning, NoRuntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from smarm._core import Pid

    class User(Protocol):
        """A pool: until it leaves, the runtime stays."""

        name: str
        closed: str | None
        ended: threading.Event

        def close(self, *, cancels: bool = False, kills: bool = False) -> None: ...


exiting = False
"""Whether the program ends."""

_lock = threading.Lock()
_users: set[User] = set()
_ours: _Background | None = None


class _Background:
    """One runtime and its thread."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.error: BaseException | None = None
        self.run = 0
        self.pid: Pid | None = None
        self.thread = threading.Thread(target=self._live, name="smarm", daemon=True)
        self.thread.start()
        self.begun.wait()
        if self.error is not None:
            raise self.error

    def _live(self) -> None:
        # One worker more than there are CPUs: the program's own interpreter is the main lane's, too.
        given: dict[str, Any] = {}
        if not os.environ.get("SMARM_WORKERS"):
            given["workers"] = min(_config._available_cpus() + 1, _config.MAX_WORKERS)
        try:
            options = _config.resolve(given)
            _core._run(self._hold, (), options, _main.is_shipped_by_value())
        except BaseException as error:
            self.error = error
        finally:
            self.begun.set()

    def _hold(self) -> None:
        self.run, self.pid = _core._portal_run(), _core.self()
        self.begun.set()
        _core.receive()

    def stop(self) -> None:
        """End it and wait for that."""
        if self.pid is not None:
            tell(self.run, self.pid)
        self.thread.join()


def enter(pool: User) -> int:
    """Return the number of the runtime that a plain thread uses; of the one in the background, if there is no other."""
    global _ours
    with _lock:
        run = _core._portal_run()
        if run == 0:
            if _worker.own_index != 0:
                raise NoRuntime("the runtime has ended")
            _ours = _Background()
            run = _ours.run
        if _ours is not None and _ours.run == run:
            _users.add(pool)
        return run


def tell(run: int, pid: Pid) -> None:
    """Wake an actor of this run, from a plain thread; nothing if the run has ended."""
    try:
        _core._portal_send(run, pid, None)
    except NoRuntime:
        return


def leave(pool: User) -> None:
    """The pool has ended."""
    _users.discard(pool)


def is_ours() -> bool:
    """Whether the runtime is the one in the background."""
    return _ours is not None and _ours.run == _core._portal_run()


def give_way() -> None:
    """End the runtime in the background, if it is there, for another one.  Raises AlreadyRunning when it is in use."""
    global _ours
    with _lock:
        if _ours is None or _core.worker_index() is not None:
            return
        for pool in [pool for pool in _users if pool.closed]:
            pool.ended.wait()  # it is about to
        if _users:
            names = ", ".join(sorted({pool.name for pool in _users}))
            raise AlreadyRunning(
                f"{names} outside of a runtime is still in use, which needs one of its own: shut it down, or exhaust it, "
                "before smarm.run()"
            )
        _ours.stop()
        _ours = None


def _end_program() -> None:
    """As concurrent.futures does: what was submitted is done before the program ends."""
    global exiting
    exiting = True
    if _ours is None:
        return
    used = list(_users)
    try:
        for pool in used:
            pool.close()
        for pool in used:
            pool.ended.wait()
    except BaseException:  # Ctrl-C
        for pool in used:
            pool.close(cancels=True, kills=True)
        raise
    finally:
        try:
            _ours.stop()
        except KeyboardInterrupt:  # once more: who asks twice does not want to wait
            import signal

            os._exit(128 + signal.SIGINT)


def _forget_parent() -> None:
    """The threads of a forked child's parent are not there."""
    global _lock, _ours
    _lock = threading.Lock()
    _users.clear()
    _ours = None


if _worker.own_index == 0:
    atexit.register(_end_program)
    os.register_at_fork(after_in_child=_forget_parent)
