"""Where the task actors of a pool live."""

from __future__ import annotations

from smarm import _core
from smarm._errors import ConfigError
from smarm.work import background

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smarm.work.pool import Place


def places_of(placement: Place, own: int) -> list[int]:
    """Return the workers on which task actors live, in the order in which they get some.  Raises ConfigError."""
    count = _core._worker_count() or 1
    if placement is None:
        every = [(own + 1 + each) % count for each in range(count)]  # the submitter's own last
        if background.is_ours() and count > 1:
            every.remove(0)  # shares its interpreter with the program
        return every
    if placement == "main":
        return [0]
    if placement == "local":
        return [own]
    if isinstance(placement, int) and 0 <= placement < count:
        return [placement]
    raise ConfigError(
        f'placement= is "main", "local", a worker\'s index from 0 to {count - 1}, or None; not {placement!r}'
    )
