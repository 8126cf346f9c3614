"""TCP echo, one actor per connection; api="net" (smarm.net) or "socket" (the standard library's).

Prints its port and ends when stdin is closed.
"""

import contextlib
import os
import socket
import sys

import smarm
from bench.common import parameters


def handle(connection):
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(4096):
            connection.sendall(data)


def announce(address):
    print(f"PORT {address[1]}", flush=True)


def accept_sockets():
    server = socket.create_server(("127.0.0.1", 0), backlog=1024)
    announce(server.getsockname())
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        smarm.spawn(lambda connection=connection: handle(connection))


def main(api="net", workers=1):
    if api == "net":
        smarm.spawn(lambda: smarm.net.serve(handle, ("127.0.0.1", 0), workers=workers, ready=announce))
    else:
        smarm.spawn(lambda: accept_sockets())
    smarm.block_on_io(sys.stdin.buffer.read)
    os._exit(0)  # a hundred connections are open


if __name__ == "__main__":
    arguments = parameters(sys.argv[1:])
    smarm.run(lambda: main(**arguments), workers=arguments.get("workers", 1))
