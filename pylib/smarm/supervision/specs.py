"""What a supervisor is told about a child."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

from smarm._server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from smarm.supervision.starting import OnFull

type Restart = Literal["permanent", "transient", "temporary"]
type Kind = Literal["worker", "supervisor"]


def is_supervisor(start: Any) -> bool:
    return getattr(type(start), "_is_supervisor", False) is True


@dataclass(frozen=True, slots=True)
class Child:
    """What a supervisor starts, and what it does when that ends.

    ``start`` is a function, a Server class or a Supervisor; ``start(*args)`` runs in an actor linked to the
    supervisor.  Each start gets a fresh copy of ``args``.

    ``restart``: "permanent" is restarted always, "transient" after a failure (any reason but "normal", "shutdown" and
    a tuple that begins with "shutdown"), "temporary" never.

    ``shutdown``: seconds between asking it to exit with "shutdown" and killing it, "brutal_kill" to kill at once,
    "inf" or ``math.inf`` to wait; the default is 5, for supervisors "inf".

    ``on``, ``mailbox_limit``, ``mailbox_byte_limit`` and ``on_full`` are as for spawn.

    ``name`` is registered before the function runs, at each restart again.  A Server or a
    Supervisor has started when it is initialised, a function with ``ack=True`` when it calls ``smarm.started()``;
    others count as started when they are spawned.  ``significant``: see auto_shutdown of Supervisor.

    Raises ValueError or TypeError for what does not fit together.
    """

    id: Any
    start: Callable[..., Any]
    args: tuple[Any, ...] = ()
    _: KW_ONLY
    restart: Restart = "permanent"
    shutdown: float | Literal["brutal_kill", "inf"] | None = None
    on: str | int | None = None
    name: str | None = None
    kind: Kind | None = None
    ack: bool = False
    significant: bool = False
    mailbox_limit: int | None = None
    mailbox_byte_limit: int | None = None
    on_full: OnFull = "error"

    def __post_init__(self) -> None:
        if not callable(self.start):
            raise TypeError(
                f"child {self.id!r}: start must be a function, a Server class or a Supervisor, not {self.start!r}"
            )
        if isinstance(self.start, Server):
            raise TypeError(
                f"child {self.id!r}: start must be the class {type(self.start).__name__}, not an object of it"
            )
        if not isinstance(self.args, tuple):
            raise TypeError(f"child {self.id!r}: args must be a tuple, not {self.args!r}")
        if self.restart not in ("permanent", "transient", "temporary"):
            raise ValueError(
                f'child {self.id!r}: restart is "permanent", "transient" or "temporary", not {self.restart!r}'
            )
        if self.kind not in (None, "worker", "supervisor"):
            raise ValueError(f'child {self.id!r}: kind is "worker" or "supervisor", not {self.kind!r}')
        if self.significant and self.restart == "permanent":
            raise ValueError(f"child {self.id!r}: a permanent child cannot be significant, for it never ends by itself")
        if isinstance(self.shutdown, str):
            if self.shutdown not in ("brutal_kill", "inf"):
                raise ValueError(
                    f'child {self.id!r}: shutdown is seconds, "brutal_kill" or "inf", not {self.shutdown!r}'
                )
        elif self.shutdown is not None and not isinstance(self.shutdown, (int, float)):
            raise TypeError(
                f'child {self.id!r}: shutdown is seconds, "brutal_kill" or "inf", not {type(self.shutdown).__name__}'
            )
        elif self.shutdown is not None and not self.shutdown >= 0:  # NaN included
            raise ValueError(f"child {self.id!r}: shutdown must not be negative, it is {self.shutdown!r}")

    @property
    def resolved_kind(self) -> Kind:
        """kind, or what ``start`` is."""
        return self.kind or ("supervisor" if is_supervisor(self.start) else "worker")

    @property
    def patience(self) -> float | None:
        """Seconds that it gets to shut down; None: for ever.  Not for "brutal_kill"."""
        if self.shutdown is None:
            return None if self.resolved_kind == "supervisor" else 5.0
        return None if self.shutdown in ("inf", math.inf) else float(self.shutdown)

    @property
    def acks(self) -> bool:
        """Whether the actor itself says when it is ready."""
        return (
            self.ack or is_supervisor(self.start) or (isinstance(self.start, type) and issubclass(self.start, Server))
        )
