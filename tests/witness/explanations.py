"""Why a test ends otherwise inside an actor: one row for each kind of difference."""

import fnmatch

# (module pattern, test pattern, explanation)
EXPLANATIONS: tuple[tuple[str, str, str], ...] = ()


def find(module, difference):
    """Return the explanation of this difference, or None."""
    for in_module, of_test, why in EXPLANATIONS:
        if fnmatch.fnmatchcase(module, in_module) and fnmatch.fnmatchcase(difference["test"], of_test):
            return why
    return None
