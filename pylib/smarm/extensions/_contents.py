"""What is in the cache of copies, and what goes.

    PLACE/TAG/path/of/the/original.so/STAMP/    one directory for each version of an original: its files
                                            SLOT.BYTES.so    the copy of one slot; a length that is not BYTES: half written
                                            .NAME.tmp        being written

TAG is that of the Python and the smarm, STAMP the original's time, size and inode.  The access time of a file is when it
was last used.

Whoever writes or loads a copy has its directory locked (shared) until that is done; whoever removes files locks it for
himself alone, and leaves it when he cannot.  So nothing goes between its being found and its being loaded, and what is
half written while nobody has the lock was left by a process that died.  A copy that a process has loaded may go: Linux
keeps the bytes of a removed file for as long as they are mapped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_TAG = re.compile(r"\w[\w.+-]*-smarm-[\w.+-]+")
_STAMP = re.compile(r"-?\d+-\d+-\d+(-\w+)?")
_COPY = re.compile(r"(\d+)\.\d+\.so")
_TEMPORARY = re.compile(r"\.\w+\.tmp")


class File(NamedTuple):
    """One file of the cache; ``slot`` is None if it is no copy."""

    name: str
    bytes: int
    last_used: float
    slot: int | None


class Entry(NamedTuple):
    """One version of an original; ``last_used`` in seconds since the epoch, as time.time()."""

    original: str
    tag: str
    stamp: str
    directory: str
    files: tuple[File, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def last_used(self) -> float:
        """When the last one of them was used."""
        return max((file.last_used for file in self.files), default=0.0)

    @property
    def slots(self) -> list[int]:
        """The slots that have a copy."""
        return sorted(file.slot for file in self.files if file.slot is not None)

    @property
    def is_current(self) -> bool:
        """Whether the original is still the file that was copied."""
        try:
            return f"{self.stamp}-".startswith(f"{stamp_of(self.original)}-")
        except OSError:
            return False


class Removed(NamedTuple):
    """What was removed, and how many originals were left because somebody loads a copy just now."""

    files: int
    bytes: int
    busy: int


def stamp_of(original: str) -> str:
    """Return what tells this version of the file from another one.  Raises OSError."""
    status = os.stat(original)
    return f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}"


def survey(place: str) -> Iterator[Entry]:
    """Look at everything in the cache."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for tag in sorted(os.listdir(place)):
            top = os.path.join(place, tag)
            if _TAG.fullmatch(tag) and not os.path.islink(top):
                yield from _survey_tag(top, tag)


def _survey_tag(top: str, tag: str) -> Iterator[Entry]:
    for path, _, names in os.walk(top):
        above, stamp = os.path.split(path)
        if _STAMP.fullmatch(stamp) and above != top:
            files = tuple(file for name in sorted(names) if (file := _look_at(path, name)))
            yield Entry(above[len(top) :], tag, stamp, path, files)


def _look_at(directory: str, name: str) -> File | None:
    copy = _COPY.fullmatch(name)
    if not copy and not _TEMPORARY.fullmatch(name):
        return None
    try:
        status = os.lstat(os.path.join(directory, name))
    except FileNotFoundError:  # removed by somebody else meanwhile
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return File(name, status.st_size, status.st_atime, int(copy[1]) if copy else None)


def sweep(place: str, entries: Iterable[Entry]) -> None:
    """Remove what was left half written."""
    for entry in entries:
        left = [file for file in entry.files if _TEMPORARY.fullmatch(file.name)]
        if left:
            _remove(place, entry.directory, left)


def evict(place: str, limit: int) -> int:
    """Remove what was not used for longest if there are more bytes than that, and a tenth more.  Return how many are left."""
    entries = list(survey(place))
    sweep(place, entries)
    kept = sum(entry.bytes for entry in entries)
    if kept <= limit:
        return kept
    files = [(file, entry) for entry in entries for file in entry.files]
    for file, entry in sorted(files, key=lambda row: row[0].last_used):
        if kept <= limit - limit // 10:
            break
        if _remove(place, entry.directory, [file]):
            kept -= file.bytes
    return kept


def clear(place: str, wanted: Callable[[Entry], bool] = lambda entry: True) -> Removed:
    """Remove these entries, but for those of which a copy is loaded just now."""
    files = size = busy = 0
    for entry in list(survey(place)):
        if not wanted(entry):
            continue
        if _remove(place, entry.directory, entry.files):
            files += len(entry.files)
            size += entry.bytes
        else:
            busy += 1
    return Removed(files, size, busy)


def _remove(place: str, directory: str, files: Iterable[File]) -> bool:
    """Remove files of one directory, and the directory if that was all; False if somebody uses it just now."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # somebody else has
        return True
    try:
        if not _lock_alone(descriptor):
            return False
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name, dir_fd=descriptor)
        with contextlib.suppress(OSError):  # not empty, or no longer there
            while directory != place:
                os.rmdir(directory)
                directory = os.path.dirname(directory)
    finally:
        os.close(descriptor)
    return True


def _lock_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the sentence in docs/reference says what that means
        pass
    return True
