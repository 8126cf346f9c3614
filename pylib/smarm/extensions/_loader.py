"""What _imp.create_dynamic asks in a worker with ``extensions="private"``: see src/extensions/import_hook.cpp."""

from __future__ import annotations

import os
import sys
from _thread import RLock

from smarm import _core
from smarm.extensions._policy import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from importlib.machinery import ModuleSpec
    from typing import Any

    from smarm.extensions._copies import Copies

_lock = RLock()  # of all that follows: one actor opens, the others of its worker wait
_copies: Copies | None = None
_kept: dict[tuple[str, str], dict[str, Any]] = {}  # what modules that initialise themselves once had then


def open_module(spec: ModuleSpec) -> Any:
    """Return what stands for the private copy of this module's file; a module that cannot be initialised again.

    None: CPython is to load it as always.  Raises ImportError with the name and the path of the module.
    """
    if spec.origin is None or spec.name == "smarm._core":
        return None
    if (spec.origin, spec.name) in _kept:
        return _again(spec)
    policy = Policy()
    reason = policy.why_main_only(spec.name)
    if reason is not None:
        raise _stays(spec, reason)
    path = os.path.realpath(spec.origin)
    with _lock:
        try:
            return _own_copies().open(path, policy)
        except ImportError as error:
            raise ImportError(error.msg, name=spec.name, path=spec.origin) from None
        except OSError as error:
            text = f"smarm cannot make a private copy of {path}: {error}"
            raise ImportError(text, name=spec.name, path=spec.origin) from error


def _stays(spec: ModuleSpec, reason: str) -> ImportError:
    from smarm.extensions import _refusals

    text = f'{spec.name} stays with the main interpreter ({reason}): use it in actors spawned with on="main"'
    refusal = ImportError(text, name=spec.name, path=spec.origin)
    _refusals.watch(refusal, f'The extension module {spec.name} is for actors that are spawned with on="main".')
    return refusal


def _own_copies() -> Copies:
    global _copies
    if _copies is None:
        import atexit

        from smarm.extensions._copies import Copies

        _copies = Copies()
        atexit.register(_core._end_extensions)
    return _copies


def keep(spec: ModuleSpec, module: types.ModuleType) -> None:
    """Keep what this module has now, for the next import: it would not initialise itself again."""
    assert spec.origin is not None
    _kept[spec.origin, spec.name] = dict(module.__dict__)


def _again(spec: ModuleSpec) -> types.ModuleType:
    """Return a module with what it had at first, as CPython does."""
    assert spec.origin is not None
    module = sys.modules.get(spec.name) or type(sys)(spec.name)
    module.__dict__.update(_kept[spec.origin, spec.name])
    return module


def library_to_open(name: Any) -> Any:
    """Return what ctypes is to open for this name: the copy of a library that must be private."""
    text = os.fspath(name) if isinstance(name, (str, os.PathLike)) else ""
    policy = Policy()
    if not (isinstance(text, str) and "/" in text and os.path.basename(text).startswith(policy.private_libraries)):
        return name
    path = os.path.realpath(text)
    if not os.path.exists(path):
        return name
    with _lock:
        copies = _own_copies()
        copies.open(path, policy)
        return copies.path_of(path)


def make_faulthandler(spec: ModuleSpec) -> types.ModuleType:
    """Return smarm's faulthandler: CPython's refuses the interpreters of workers."""
    from smarm.extensions import _faulthandler

    return _faulthandler.make(spec.name)
