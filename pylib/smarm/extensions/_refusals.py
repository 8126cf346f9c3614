"""What to do about an extension module that refuses a worker's interpreter, on the exception that the program sees.

The ImportError of the refusal says it.  But packages catch it: numpy raises another one with a text of its own, pandas
chains one more, polars goes on, and names are missing later.  So from the first refusal on this interpreter looks at the
exceptions that are raised in it (sys.monitoring), and says the same on those that follow from a refusal.
"""

from __future__ import annotations

import re
import sys

from smarm._main import LOAD_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any

_TOOL_IDS = (3, 4)  # of sys.monitoring: those without a meaning of their own
_SUSPECTS = (ImportError, NameError, AttributeError, TypeError)  # unless raised from another
_MOST_LINKS = 10  # of a chain of causes

_hints: set[str] = set()  # the notes of what has been explained
_imports: dict[str, tuple[str, set[str]]] = {}
"""By module through whose code a refusal has passed: its note, and the names in that code, which it may not have got."""


def explain(refusal: ImportError, module: str, copies_help: bool) -> None:
    """Say on the exception of a refusal what to do.  copies_help: whether private copies of the module could be made."""
    from smarm.extensions._policy import Policy

    ways = 'spawn the actor with on="main"'
    if copies_help and Policy().why_main_only(module) is None:
        ways = f'run with extensions="private", or {ways}'
    hint = f"The extension module {module} loads in the main interpreter only: {ways}."
    _hints.add(hint)
    _say(refusal, hint)
    _watch()


def watch(refusal: ImportError, hint: str) -> None:
    """Have the same done for what follows from an exception that says already what to do, and get this note, too."""
    _hints.add(hint)
    refusal.add_note(hint)
    _watch()


def _say(exception: BaseException, hint: str) -> None:
    """Put the hint into the exception's message, unless it is in there, and among its notes."""
    text = str(exception)
    if hint not in text and exception.args and exception.args[0] == text:
        longer = f"{text.rstrip()}{'.' if text[-1:].isalnum() else ''} {hint}"
        exception.args = (longer, *exception.args[1:])
        if isinstance(exception, ImportError):
            exception.msg = longer
    exception.add_note(hint)


def _watch() -> None:
    monitoring = sys.monitoring
    if any(monitoring.get_tool(tool) == __name__ for tool in _TOOL_IDS):
        return
    for tool in _TOOL_IDS:
        if monitoring.get_tool(tool) is None:
            monitoring.use_tool_id(tool, __name__)
            monitoring.register_callback(tool, monitoring.events.RAISE, _look_at)
            monitoring.set_events(tool, monitoring.events.RAISE)
            return


def _look_at(code: types.CodeType, _: int, exception: BaseException) -> None:
    """Look at an exception that is raised in this code, or passes through it."""
    if exception.__cause__ is None and not isinstance(exception, _SUSPECTS):  # most: this is quick
        return
    if code.co_filename.startswith("<frozen importlib"):
        return
    try:
        frame = sys._getframe(1)
        hint = hint_of(exception)
        if hint is None:
            hint = _hint_of_causes(exception) or _hint_of_imports(exception, frame.f_globals)
            if hint is None:
                return
            _say(exception, hint)
        found = _imports.setdefault(_name_of(frame.f_globals), (hint, set()))
        found[1].update(code.co_names, code.co_varnames)
    except Exception:  # of the program's __str__, __eq__ and the like
        pass


def _name_of(names: dict[str, Any]) -> str:
    name = names.get("__name__")
    if name == LOAD_NAME:  # the script, which is called otherwise while it is loaded
        return "__main__"
    return name if isinstance(name, str) else ""


def forget() -> None:
    """Forget what was seen in modules that are no longer there, and in the script."""
    for name in [name for name in _imports if name not in sys.modules or name == "__main__"]:
        del _imports[name]


def hint_of(exception: BaseException) -> str | None:
    """Return what this exception says already, None if it is of no refusal."""
    notes = getattr(exception, "__notes__", ())
    return next((note for note in notes if note in _hints), None)


def _hint_of_causes(exception: BaseException) -> str | None:
    """Return the hint of what this exception was raised from, an ImportError also while that was handled."""
    for _ in range(_MOST_LINKS):
        following = exception.__cause__
        if following is None and isinstance(exception, ImportError):
            following = exception.__context__
        if following is None:
            return None
        hint = hint_of(following)
        if hint is not None:
            return hint
        exception = following
    return None


def _hint_of_imports(exception: BaseException, names: dict[str, Any]) -> str | None:
    """Return the hint of a refusal that the raising module, or the one it looks into, has swallowed: something is missing now."""
    own = _imports.get(_name_of(names))
    if isinstance(exception, NameError) and own is not None:
        missing = re.search("'([^']+)'", str(exception))  # of an UnboundLocalError, too
        return own[0] if missing is not None and missing[1] in own[1] else None
    if isinstance(exception, AttributeError) and isinstance(exception.obj, type(sys)):
        other = _imports.get(exception.obj.__name__)
        return other[0] if other is not None and exception.name in other[1] else None
    if isinstance(exception, ImportError):
        other = _imports.get(exception.name or "")
        if other is not None and getattr(exception, "name_from", None) in other[1]:
            return other[0]
        return own[0] if own is not None else None
    if isinstance(exception, (AttributeError, TypeError)) and own is not None and "'NoneType' object" in str(exception):
        placeholders = any(name in names and names[name] is None for name in own[1])
        return own[0] if placeholders else None
    return None
