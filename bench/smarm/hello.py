import smarm


def main():
    print("hello, world")


if __name__ == "__main__":
    smarm.run(main)
