"""Count the words of files on every core: python examples/word_count.py [DIRECTORY]

One actor on each worker takes paths from a channel until it is closed, and returns its own count.
"""

import collections
import os
import re
import sys
from pathlib import Path

import smarm

WORD = re.compile(r"\w+")


def count(paths: smarm.Receiver[str]) -> tuple[int, collections.Counter[str]]:
    """Count the words of the files that this actor gets."""
    words: collections.Counter[str] = collections.Counter()
    files = 0
    for path in paths:
        words.update(WORD.findall(Path(path).read_text(errors="replace").lower()))
        files += 1
    return files, words


def main(directory: str) -> None:
    paths, work = smarm.channel(capacity=100)
    pool = smarm.spawn_pool(count, work)
    for path in Path(directory).glob("*.py"):
        paths.send(os.fspath(path))
    paths.close()
    total: collections.Counter[str] = collections.Counter()
    for worker, (files, words) in enumerate(smarm.join_all(pool)):
        print(f"worker {worker}: {files} files")
        total.update(words)
    print(*(f"{word} {number}" for word, number in total.most_common(5)), sep=", ")


if __name__ == "__main__":
    smarm.run(main, sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.__file__))
