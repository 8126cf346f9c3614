"""What a supervisor says about its children: in words, to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smarm import _core
from smarm._errors import StartFailed
from smarm._signals import HANDLING
from smarm.supervision import starting

if TYPE_CHECKING:
    from smarm._core import Pid
    from smarm.supervision.specs import Child


class Reports:
    """The reports of the supervisor that is the running actor, and who that is."""

    def __init__(self, name: str | None) -> None:
        pid: Pid = _core.self()
        self.label = f"{name!r} {pid}" if name else str(pid)
        self.parent = starting.parent()
        self.ancestors = (name or pid, *starting.ancestors())
        """The supervisors above its children, the nearest first: itself."""

    def report(self, spec: Child, pid: Pid | None, reason: object, decision: str) -> None:
        """Log how a child has ended, once."""
        if isinstance(reason, StartFailed):
            what = str(reason)
        else:
            name = f" (named {spec.name!r})" if spec.name else ""
            what = f"child {spec.id!r}{name} {pid} ended: {describe(reason)}"
        lines = [f"supervisor {self.label}: {what}", f"  decision: {decision}"]
        lines.append(f"  ancestors: {', '.join(map(str, self.ancestors))}")
        message = last_message_of(reason)
        if message is not None:
            lines.append(f"  last message: {message}")
        trace = traceback_of(reason)
        if trace:
            lines.append(trace.rstrip())
        report = {
            "id": spec.id,
            "name": spec.name,
            "pid": pid,
            "reason": reason,
            "decision": decision,
            "ancestors": self.ancestors,
            "last_message": message,
        }
        self.log("info" if is_orderly(reason) else "error", "%s", "\n".join(lines), extra={"smarm": report})

    def log(self, level: str, text: str, *arguments: Any, **options: Any) -> None:
        import logging

        # What a logging handler raises must not end the supervisor.
        try:
            getattr(logging.getLogger("smarm.supervisor"), level)(text, *arguments, **options)
        except Exception as error:
            import sys

            if sys.stderr is not None:
                what = f"a report of supervisor {self.label} could not be logged: {error!r}"
                sys.stderr.write(f"smarm: {what}\n{text % arguments}\n")


def traceback_of(reason: object) -> str:
    """Return the traceback that an exit reason carries, or that its causes carry."""
    seen = 0
    while isinstance(reason, BaseException) and seen < 16:
        text = getattr(reason, "remote_traceback", "")
        if text:
            return str(text)
        reason = reason.__cause__ or getattr(reason, "reason", None)
        seen += 1
    return ""


def last_message_of(reason: object) -> str | None:
    """Return the repr of the message that a server was handling when it failed; None: it was handling none."""
    seen = 0
    while isinstance(reason, BaseException) and seen < 16:
        for note in getattr(reason, "__notes__", ()):
            who, found, message = note.partition(HANDLING)
            if found and who.startswith("server "):
                return str(message)
        reason = reason.__cause__ or getattr(reason, "reason", None)
        seen += 1
    return None


def is_orderly(reason: object) -> bool:
    """Whether an exit reason says that nothing went wrong."""
    if isinstance(reason, tuple):
        return len(reason) > 0 and is_orderly(reason[0]) and reason[0] != "normal"
    return isinstance(reason, str) and reason in ("normal", "shutdown")


def describe(reason: object) -> str:
    """Return an exit reason in a line."""
    if isinstance(reason, BaseException):
        cause = reason.__cause__ or reason
        return f"{type(cause).__qualname__}: {cause}"
    return reason if isinstance(reason, str) else repr(reason)
