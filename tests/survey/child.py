"""One package in one process: python -m tests.survey.child MODE NAME.  Prints a line of JSON: what came of it.

MODE plain: under plain python.  main: on a worker, extension modules as they are.  private: on two workers at once, from
private copies, three times each.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
import warnings

import smarm
from tests.survey.workloads import WORKLOADS, is_native

ROUNDS = 3


def look(name: str) -> dict[str, object]:
    """Run the workload once; say what it returned in few words, and whether the native code was at work."""
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    try:
        text = repr(WORKLOADS[name].use())
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return {"error": f"{type(error).__name__}: {error}"[:400], "where": f"{frame.filename}:{frame.lineno}"}
    return {
        "digest": hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16],
        "shown": text[:200],
        "native": is_native(name),
        "seconds": round(time.perf_counter() - started, 3),
    }


def look_often(name: str, parent: smarm.Pid) -> list[dict[str, object]]:
    """Import and run it, wait for the other worker, run it again and again."""
    first = look(name)
    smarm.send(parent, "imported")
    smarm.receive()
    return [first, *(look(name) for _ in range(ROUNDS))] if "error" not in first else [first]


def on_two_workers(name: str) -> list[list[dict[str, object]]]:
    """Run it on workers 1 and 2 at the same time."""
    handles = [smarm.spawn(look_often, name, smarm.self(), on=worker) for worker in (1, 2)]
    for _ in handles:
        smarm.receive()
    for handle in handles:
        smarm.send(handle.pid, "go on")
    return smarm.join_all(handles)


def main() -> None:
    """Do what the command line says."""
    mode, name = sys.argv[1:]
    if mode == "plain":
        result: object = look(name)
    elif mode == "main":
        result = smarm.run(lambda: smarm.spawn(look, name, on=1).join(), workers=2)
    else:
        result = smarm.run(on_two_workers, name, workers=3, extensions="private")
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
