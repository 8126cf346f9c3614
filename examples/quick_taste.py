"""The quick taste: one actor, one channel, three values."""

import smarm


def worker(rx):
    for _ in range(3):
        print("got", rx.recv())


def main():
    tx, rx = smarm.channel()
    h = smarm.spawn(worker, rx)  # any core may take it
    for v in (1, 2, 3):
        tx.send(v)
    h.join()


if __name__ == "__main__":
    smarm.run(main)
