"""Which modules of an interpreter are the program's own: what a worker forgets that is kept for the next run.

What is installed (the standard library, site-packages, smarm) stays as the program has left it, as it does in the main
interpreter.  So does a package with extension modules, wherever it is: those can be loaded once.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def forget() -> None:
    """Take the program's modules out of this interpreter, and what smarm knows of them."""
    import gc
    import importlib

    from smarm import _core

    folders = tuple(_installed_folders())
    stays = {top: _is_installed(top, module, folders) for top, module in list(sys.modules.items()) if "." not in top}
    for name, module in list(sys.modules.items()):
        if is_native(module):
            stays[_top(name)] = True
    for name in [name for name in sys.modules if not stays.get(_top(name), False)]:
        del sys.modules[name]
    refusals = sys.modules.get("smarm.extensions._refusals")
    if refusals is not None:
        refusals.forget()
    importlib.invalidate_caches()
    _core._forget_codecs()
    gc.collect()


def _top(name: str) -> str:
    return name.partition(".")[0]


def _installed_folders() -> Iterator[str]:
    """Yield the folders of what is installed, each with a slash at its end."""
    import os
    import site
    import sysconfig

    known = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    known += [os.path.dirname(os.__file__), *site.getsitepackages(), site.getusersitepackages()]
    for folder in {folder for folder in known if folder}:
        yield os.path.join(os.path.realpath(folder), "")
        yield os.path.join(os.path.abspath(folder), "")


def _is_installed(name: str, module: Any, folders: tuple[str, ...]) -> bool:
    if name in ("__main__", "smarm") or name in sys.builtin_module_names:
        return True
    try:
        file = getattr(module, "__file__", None)
        places = [file] if isinstance(file, str) else list(getattr(module, "__path__", ()))
    except Exception:  # anything may be in sys.modules
        return False
    if not places:  # frozen, or made by code: the standard library's?
        return name in sys.stdlib_module_names
    return all(place.startswith(folders) for place in places)


def is_native(module: Any) -> bool:
    """Whether this value of sys.modules is an extension module that comes from a file."""
    import importlib.machinery

    try:
        return isinstance(module.__spec__.loader, importlib.machinery.ExtensionFileLoader)
    except Exception:
        return False
