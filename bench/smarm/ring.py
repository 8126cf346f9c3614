"""Actors in a ring pass a token on; via="channel" or "mailbox"."""

import time

import smarm
from bench.common import rate
from bench.smarm.program import run, settle


def over_channels(actors, laps):
    channels = [smarm.channel() for _ in range(actors)]

    def node(index):
        receive = channels[index][1].recv
        send = channels[(index + 1) % actors][0].send
        for _ in range(laps):
            send(receive())

    return [smarm.spawn(node, index) for index in range(actors)], lambda: channels[0][0].send(0), channels


def over_mailboxes(actors, laps):
    def node(index):
        send, receive = smarm.send, smarm.receive
        following = receive()
        for _ in range(laps):
            send(following, receive())
        if index == 0:
            receive()  # the token comes round once more

    nodes = [smarm.spawn(node, index) for index in range(actors)]
    for index, handle in enumerate(nodes):
        smarm.send(handle.pid, nodes[(index + 1) % actors].pid)
    return nodes, lambda: smarm.send(nodes[0].pid, 0), None


def measure(actors=1000, laps=1000, via="channel"):
    nodes, start_token, _keep = (over_channels if via == "channel" else over_mailboxes)(actors, laps)
    settle()
    start = time.perf_counter()
    start_token()
    smarm.join_all(nodes)
    return rate(actors * laps, time.perf_counter() - start, "hops/s")


if __name__ == "__main__":
    run(measure)
