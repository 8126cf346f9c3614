"""What is requested of an actor that runs trio goes to trio's main task, on the way of a KeyboardInterrupt.

This looks behind trio's public interface, which has no other exception than KeyboardInterrupt for it.  Where a trio has not what is
used here, ``give`` refuses, and the exception is raised where the actor waits.
"""

from __future__ import annotations

import sys
import weakref

from smarm import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_undelivered: weakref.WeakKeyDictionary[Any, BaseException] = weakref.WeakKeyDictionary()  # by trio's Runner


def give(exception: BaseException) -> bool | None:
    """Have the running loop of this actor raise it in its main task, at its next checkpoint.

    None: that task has ended, and it is requested again, for after trio.run.  False: that trio is not known.
    """
    run: Any = sys.modules.get("trio._core._run")
    try:
        runner = run.GLOBAL_RUN_CONTEXT.runner
        _teach(run)
        if runner.main_task_outcome is not None:
            _core._arm_again(exception)
            return None
        _undelivered[runner] = exception
        runner.deliver_ki()
    except (AttributeError, TypeError):
        return False
    return True


def _teach(run: Any) -> None:
    """Make this trio raise ours where it would raise a KeyboardInterrupt."""
    task_type, runner_type = run.Task, run.Runner
    deliver, end = task_type._attempt_delivery_of_pending_ki, runner_type.task_exited
    if hasattr(deliver, "_smarm_taught"):
        return

    def attempt_delivery(task: Any) -> None:
        runner = task._runner
        if runner not in _undelivered:
            deliver(task)
        elif task._abort_func is not None:

            def raise_cancel() -> NoReturn:
                runner.ki_pending = False
                raise _undelivered.pop(runner)

            task._attempt_abort(raise_cancel)

    def task_exited(runner: Any, task: Any, outcome: Any) -> None:
        end(runner, task, outcome)
        if task is runner.main_task and (exception := _undelivered.pop(runner, None)) is not None:
            runner.ki_pending = False
            _core._arm_again(exception)

    attempt_delivery._smarm_taught = True  # type: ignore[attr-defined]
    task_type._attempt_delivery_of_pending_ki = attempt_delivery
    runner_type.task_exited = task_exited
