"""Whether an installation works: run by python and by smarm-host, in an environment that has nothing but smarm."""

import sys

import smarm


def square(number):
    return number * number


def main():
    handles = [smarm.spawn(square, number) for number in range(20)] + [smarm.spawn(square, 20, on=1)]
    assert smarm.join_all(handles) == [number * number for number in range(21)]
    sender, receiver = smarm.channel()
    smarm.spawn(lambda: sender.send(["a", {"message": 1}]))
    assert receiver.recv(timeout=60) == ["a", {"message": 1}]
    print(f"smarm {smarm.__version__} works with Python {sys.version.split()[0]}: {smarm.__file__}")


if __name__ == "__main__":
    smarm.run(main, workers=2)
