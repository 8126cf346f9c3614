"""A chat server: python examples/chat_server.py [PORT]

Each connection has two actors: one reads lines, one writes what others say.  The room is a server under a supervisor.
Without a port it plays a short chat with itself.
"""

import sys
from contextlib import suppress

import smarm
from smarm import Child, Supervisor, net

LINE_LIMIT = 1000


class Room(smarm.Server):
    """Who is here; passes on what is said."""

    def init(self) -> None:
        self.members: dict[smarm.Pid, str] = {}

    def handle_call(self, request: object, caller: smarm.Call) -> str:
        match request:
            case ("join", str(name)):
                if name in self.members.values():
                    return "taken"
                smarm.monitor(caller)
                self.members[caller.pid] = name
                self.say(f"* {name} is here")
                return "welcome"
            case ("leave", smarm.Pid() as member):
                self.leave(member)
                return "goodbye"
            case _:
                raise ValueError(request)

    def handle_cast(self, text: str) -> None:
        self.say(text)

    def handle_info(self, message: object) -> None:
        if isinstance(message, smarm.Down):  # a connection's writer has failed
            self.leave(message.pid)

    def leave(self, member: smarm.Pid) -> None:
        if name := self.members.pop(member, None):
            self.say(f"* {name} has left")

    def say(self, text: str) -> None:
        for member in self.members:
            smarm.send(member, text)


def write(connection: net.Connection, name: str) -> None:
    """Join the room, and write to the connection what it sends."""
    room = smarm.ServerRef("room")
    answer = room.call(("join", name), wait=1)
    with suppress(ConnectionError):  # talk sees it, too
        connection.sendall(f"{answer}\n".encode())
        while answer == "welcome":
            connection.sendall(f"{smarm.receive(str)}\n".encode())


def talk(connection: net.Connection) -> None:
    """Read a name, then what it says, until the connection ends."""
    connection.sendall(b"your name?\n")
    name = connection.readline(LINE_LIMIT, timeout=60).decode().strip()
    writer = smarm.spawn(lambda: write(connection, name), link=True, name=f"writer of {name}")
    try:
        with suppress(ConnectionError):  # who vanishes has left
            for line in connection.lines(LINE_LIMIT):
                smarm.ServerRef("room").cast(f"{name}: {line.decode(errors='replace').strip()}")
    finally:
        smarm.unlink(writer)
        with suppress(smarm.NotThere):  # a room that starts again has no members
            smarm.ServerRef("room").call(("leave", writer.pid))
        smarm.kill(writer)  # now that nobody sends to it any more


def listen(port: int, address: smarm.Sender[object]) -> None:
    """Accept for ever."""
    net.serve(talk, ("127.0.0.1", port), ready=address.send, name="talker")


def client(address: object, name: str) -> net.Connection:
    """Connect and join under that name."""
    connection = net.connect(address, timeout=5)  # type: ignore[arg-type]
    assert connection.readline(timeout=5) == b"your name?\n"
    connection.sendall(f"{name}\n".encode())
    print(name, "reads", connection.readline(timeout=5))
    return connection


def main(port: int) -> None:
    sender, receiver = smarm.channel()
    with Supervisor([Child("room", Room, name="room"), Child("listener", listen, (port, sender))]).start():
        address = receiver.recv()
        if port:
            print("listening on", address)
            smarm.receive()  # until Ctrl-C
        with client(address, "ada") as ada, client(address, "grace") as grace:
            grace.sendall(b"hello\n")
            for _ in range(3):
                print("ada reads", ada.readline(timeout=5))


if __name__ == "__main__":
    smarm.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
