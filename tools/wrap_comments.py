"""Wrap the comments of C and C++ files at the width of .clang-format, which leaves them as they are.

usage: python tools/wrap_comments.py [--check] FILE...

Only lines that are too long change: what is too much goes to the next line of the same paragraph.  A comment behind code goes above it.
``--check`` changes nothing, names the lines and ends with 1.
"""

from __future__ import annotations

import pathlib
import re
import sys

WIDTH = 120
COMMENT = re.compile(r"^(\s*)(//|/\*|\*(?!/)) ?(\s*)(.*)$")
LABEL = re.compile(r"^[A-Z]\w{1,8}:\s+|^\w+:\s{2,}|^[-*] |^\d+\. ")
RULER = re.compile(r"^\s*(//|/\*) (---- )?.*?-{20,}( \*/)?$")
BEHIND = re.compile(r"^(\s*)(\S.*?)\s{2,}(// .*)$")


def split(text: str, room: int) -> tuple[str, str]:
    """Split a text at the last space that is within the room, or at the first one."""
    at = text.rfind(" ", 0, room + 1)
    if text[at:].strip() == "*/":
        at = text.rfind(" ", 0, at)  # not alone on a line
    if at <= 0:
        at = text.find(" ")
    return (text, "") if at < 0 else (text[:at].rstrip(), text[at:].strip())


def continuation(line: str) -> str:
    """Return what the next line of the same paragraph begins with."""
    found = COMMENT.match(line)
    assert found
    indent, mark, space, text = found.groups()
    label = LABEL.match(text)
    mark = " *" if mark == "/*" else mark
    return f"{indent}{mark} {space}{' ' * label.end() if label else ''}"


def wrap(lines: list[str]) -> list[str]:
    done: list[str] = []
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        if len(line) <= WIDTH:
            done.append(line)
            continue
        if RULER.match(line):
            end = " */" if line.endswith("*/") else ""
            done.append(line[: WIDTH - len(end)].rstrip() + end)
            continue
        behind = BEHIND.match(line)
        found = COMMENT.match(line)
        if found is None and behind and '"' not in behind[3] and not line.rstrip().endswith("\\"):
            rest[:0] = [behind[1] + behind[3], behind[1] + behind[2]]
            continue
        if found is None or " " not in found[4]:
            done.append(line)
            continue
        begin = line[: len(line) - len(found[4])]
        kept, more = split(found[4], WIDTH - len(begin))
        if not more:
            done.append(line)
            continue
        done.append(begin + kept)
        prefix = continuation(line)
        following = rest[0] if rest else ""
        same = COMMENT.match(following)
        joins = (
            same is not None
            and following.startswith(prefix)
            and not following[len(prefix) :].startswith(" ")
            and following[len(prefix) :].strip()
            and not LABEL.match(same[4])
            and not more.endswith("*/")
        )
        if joins:
            rest[0] = f"{prefix}{more} {following[len(prefix) :]}"
        else:
            rest.insert(0, prefix + more)
    return done


def main() -> int:
    check = sys.argv[1:2] == ["--check"]
    bad = 0
    for name in sys.argv[1 + check :]:
        path = pathlib.Path(name)
        before = path.read_text()
        after = "\n".join(wrap(before.split("\n")))
        if before == after:
            continue
        if check:
            for number, line in enumerate(before.split("\n"), 1):
                if len(line) > WIDTH:
                    print(f"{name}:{number}: the comment is longer than {WIDTH} columns: ./dev format")
                    bad = 1
        else:
            path.write_text(after)
    return bad


if __name__ == "__main__":
    sys.exit(main())
