"""Async code in actors.

An actor is a plain function; what is written with ``async def`` runs in an event loop, which one actor is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@overload
def run[Result](main: Coroutine[Any, Any, Result], /) -> Result: ...
@overload
def run[Result](main: Callable[..., Coroutine[Any, Any, Result]], /, *args: Any) -> Result: ...


def run(main: Any, /, *args: Any) -> Any:
    """Run ``main(*args)``, an ``async def``, in an asyncio loop of the calling actor, and return its value.

    ``smarm.spawn(smarm.aio.run, serve, port)`` gives it an actor of its own: a coroutine cannot travel to one, the function
    can.  In place of a function ``main`` may be a coroutine.  While the loop waits the actor is parked.  An exit, a kill, and
    the end of a ``timeout`` block around the call cancel the main task; what that leaves goes out of the call, after all other
    tasks of the loop are cancelled, too.

    A TypeError tells of what is no coroutine, RuntimeError of a loop that runs already in this actor: await there instead.  A
    cancellation point, in each round of the loop.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("smarm.aio.run() was called in a running event loop of this actor: write `await` there")
    if callable(main):
        coroutine = main(*args)
        if not asyncio.iscoroutine(coroutine):
            raise TypeError(f"smarm.aio.run() needs an `async def`, and {main!r} returned {type(coroutine).__name__}")
    elif asyncio.iscoroutine(main) and not args:
        coroutine = main
    else:
        what = "a coroutine with arguments" if args else type(main).__name__
        raise TypeError(f"smarm.aio.run() needs an `async def` and its arguments, or a coroutine, not {what}")
    return asyncio.run(coroutine)
