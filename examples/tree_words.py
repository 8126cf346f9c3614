"""Count the words of a whole directory tree, on every core: python examples/tree_words.py [DIRECTORY]

`smarm.map` takes paths as it needs them, sends as many at a time as are worth a message, and gives the counts as they are done.
"""

import collections
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import smarm

WORD = re.compile(r"\w+")


def paths_below(directory: str) -> Iterator[str]:
    """Yield the Python files of a tree."""
    for folder, _, names in os.walk(directory):
        yield from (os.path.join(folder, name) for name in names if name.endswith(".py"))


def count(path: str) -> dict[str, int]:
    """Count one file's words, on whichever worker."""
    return collections.Counter(WORD.findall(Path(path).read_text(errors="replace").lower()))


def main(directory: str) -> None:
    total: collections.Counter[str] = collections.Counter()
    files = failed = 0
    for words in smarm.map(count, paths_below(directory), ordered=False, on_error="return"):
        files += 1
        if isinstance(words, Exception):  # it is gone, or may not be read
            failed += 1
        else:
            total.update(words)
    print(f"{total.total()} words in {files} files, {failed} of which could not be read")
    print(*(f"{word} {number}" for word, number in total.most_common(5)), sep=", ")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(sysconfig.get_path("stdlib"), "json"))
