"""As much of an editor's side of the Debug Adapter Protocol as a test of debugpy needs."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

SECONDS = 60.0  # for an answer, on a busy machine


class DebugClient:
    """A connection to debugpy.listen(); what it says in between is skipped."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._lines = self._socket.makefile("rb")
        self._numbers = itertools.count(1)

    def __enter__(self) -> DebugClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self._lines.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> None:
        body = {"seq": next(self._numbers), "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(body).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send it and return the body of the answer."""
        self.send(command, **arguments)
        message = self._wait(lambda message: message.get("command") == command)
        assert message["success"], message
        return message.get("body") or {}

    def wait_for(self, event: str) -> dict[str, Any]:
        return self._wait(lambda message: message.get("event") == event).get("body") or {}

    def _wait(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            length = 0
            while line := self._lines.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            assert length, "the debugger closed the connection"
            message: dict[str, Any] = json.loads(self._lines.read(length))
            if is_it(message):
                return message

    # ---- what an editor does -------------------------------------------------------------------------------------------

    def attach(self, path: str, line: int) -> None:
        """Attach with a breakpoint there."""
        self.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True)
        self.send("attach", request="attach", justMyCode=False, subProcess=False)  # is answered at the end
        self.wait_for("initialized")
        self.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
        self.ask("configurationDone")

    def stopped(self) -> tuple[int, dict[str, Any]]:
        """Wait until a thread stops. Return its number and its innermost frame."""
        thread = self.wait_for("stopped")["threadId"]
        frames: list[dict[str, Any]] = self.ask("stackTrace", threadId=thread)["stackFrames"]
        return thread, frames[0]

    def value(self, expression: str, frame: dict[str, Any]) -> str:
        result: str = self.ask("evaluate", expression=expression, frameId=frame["id"])["result"]
        return result
