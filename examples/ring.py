"""A ring of actors passes a token round: python examples/ring.py [ACTORS [LAPS]]"""

import sys
import time

import smarm


def main(actors, laps):
    channels = [smarm.channel() for _ in range(actors)]

    def node(index):
        receive = channels[index][1].recv
        send = channels[(index + 1) % actors][0].send
        for _ in range(laps):
            send(receive())

    handles = [smarm.spawn(node, index) for index in range(1, actors)]
    send, receive = channels[1][0].send, channels[0][1].recv
    start = time.perf_counter()
    for lap in range(laps):
        send(lap)
        assert receive() == lap
    elapsed = time.perf_counter() - start
    for handle in handles:
        handle.join()
    print(f"{actors:,} actors, {laps:,} laps: {actors * laps / elapsed / 1e6:.2f} million hops per second")


if __name__ == "__main__":
    smarm.run(main, *(map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (1_000, 1_000)))
