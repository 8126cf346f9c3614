"""What the tests of the standard library's locks share."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import smarm

PATIENCE = 30  # seconds; a test that needs more hangs


def run_all(*functions: Callable[[], Any], main: Callable[[], Any] | None = None) -> list[Any]:
    """Run each function in an actor of the main lane, and `main` in the main actor; return the actors' values."""

    def start() -> list[Any]:
        handles = [smarm.spawn(function, on="local") for function in functions]
        if main is not None:
            main()
        return [handle.join(timeout=PATIENCE) for handle in handles]

    return smarm.run(start, workers=1)


def start_thread(function: Callable[[], Any]) -> Callable[[], Any]:
    """Start a plain thread; the returned call waits for its value (parking, when an actor calls it)."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def body() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=body, daemon=True).start()
    return lambda: future.result(timeout=PATIENCE)
