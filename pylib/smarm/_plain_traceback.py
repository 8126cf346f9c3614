"""Tracebacks without the module ``traceback``, for where it cannot be imported any more: no file can be opened, say.

They lack the text of the lines, and nothing else: causes, contexts, notes and the members of groups are there.
"""

from __future__ import annotations

MOST_FRAMES = 200  # of one traceback, the innermost: a runaway recursion has a million
_MOST_LINKS = 100  # of a chain of causes, and levels of groups

_BECAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_MEANWHILE = "\nDuring handling of the above exception, another exception occurred:\n\n"


def describe_type_and_message(exception: BaseException) -> str:
    """Return the last line of a traceback, without its end."""
    kind = type(exception)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(exception)
    except Exception:
        message = "<exception str() failed>"
    return f"{name}: {message}" if message else name


def format_exception(exception: BaseException, own: str, level: int = 0) -> str:
    """Return the text of a traceback; frames of files below the folder ``own`` are left out where there are others."""
    links: list[tuple[BaseException, str]] = []
    link: BaseException | None = exception
    joint = ""
    while link is not None and len(links) < _MOST_LINKS and all(link is not other for other, _ in links):
        links.append((link, joint))
        if link.__cause__ is not None:
            link, joint = link.__cause__, _BECAUSE
        else:
            link, joint = None if link.__suppress_context__ else link.__context__, _MEANWHILE
    return "".join(_format_one(one, own, level) + joint for one, joint in reversed(links))


def _format_one(exception: BaseException, own: str, level: int) -> str:
    frames: list[str] = []
    others: list[str] = []
    trace = exception.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        (others if code.co_filename.startswith(own) else frames).append(
            f'  File "{code.co_filename}", line {trace.tb_lineno}, in {code.co_name}\n'
        )
        trace = trace.tb_next
    frames = frames[-MOST_FRAMES:] or others[-1:]
    text = "".join(["Traceback (most recent call last):\n", *frames] if frames else [])
    text += describe_type_and_message(exception) + "\n"
    notes = getattr(exception, "__notes__", ())
    for note in notes if isinstance(notes, (list, tuple)) else ():
        text += f"{note}\n"
    if isinstance(exception, BaseExceptionGroup) and level < _MOST_LINKS:
        for number, member in enumerate(exception.exceptions, 1):
            inside = format_exception(member, own, level + 1)
            text += f"  +---------------- {number} ----------------\n"
            text += "".join(f"  | {line}\n" for line in inside.splitlines())
    return text
