"""What a task actor reports of a failure, as the exception that the submitter sees."""

from __future__ import annotations

from smarm._errors import ActorExit, ActorFailed, ActorKilled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smarm.work.slots import Failure


class RemoteTraceback(Exception):
    """The cause of an exception that a task raised: its text is the traceback in the worker."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def to_exception(failure: Failure) -> BaseException:
    """Return the task's own exception, with the traceback in the worker as its cause.

    An ActorFailed stands for one that cannot travel, an ActorKilled for the end of the task's actor.
    """
    _, exception, summary, text = failure
    if isinstance(exception, ActorExit):
        return ActorKilled(f"the task was stopped: {exception.reason!r}", reason=exception.reason)
    if exception is None:
        exception = ActorFailed(f"the task failed, and its exception cannot travel: {summary}", None, None, text)
    if text:  # else it is of this side
        exception.__cause__ = RemoteTraceback(text)
    return exception
