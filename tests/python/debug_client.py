"""As much of an editor's side of the Debug Adapter Protocol as a test of debugpy needs."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable
from typing import Any

SECONDS = 60.0  # for an answer, on a busy machine


class DebugClient:
    """A connection to debugpy.listen()."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._lines = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        self._early: list[dict[str, Any]] = []  # what came before somebody waited for it

    def __enter__(self) -> DebugClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self._lines.close()
        self._socket.close()

    def send(self, command: str, **arguments: Any) -> int:
        """Send it and return its number."""
        number = next(self._numbers)
        body = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(body).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        return number

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send it and return the body of the answer."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> dict[str, Any]:
        """Wait for the answer to the request of that number."""
        message = self._wait(lambda message: message.get("request_seq") == number)
        assert message["success"], message
        return message.get("body") or {}

    def wait_for(self, event: str) -> dict[str, Any]:
        return self._wait(lambda message: message.get("event") == event).get("body") or {}

    def _wait(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for message in self._early:
            if is_it(message):
                self._early.remove(message)
                return message
        while not is_it(message := self._read()):
            self._early.append(message)
        return message

    def _read(self) -> dict[str, Any]:
        length = 0
        while line := self._lines.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        assert length, "the debugger closed the connection"
        message: dict[str, Any] = json.loads(self._lines.read(length))
        return message

    # ---- what an editor does -------------------------------------------------------------------------------------------

    def attach(self, path: str, line: int) -> None:
        """Attach with a breakpoint there."""
        self.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True)
        attached = self.send("attach", request="attach", justMyCode=False, subProcess=False)  # is answered last
        self.wait_for("initialized")
        self.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
        self.ask("configurationDone")
        self.answer(attached)

    def stopped(self) -> tuple[int, dict[str, Any]]:
        """Wait until a thread stops. Return its number and its innermost frame."""
        thread = self.wait_for("stopped")["threadId"]
        frames: list[dict[str, Any]] = self.ask("stackTrace", threadId=thread)["stackFrames"]
        return thread, frames[0]

    def value(self, expression: str, frame: dict[str, Any]) -> str:
        result: str = self.ask("evaluate", expression=expression, frameId=frame["id"])["result"]
        return result
