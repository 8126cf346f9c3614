"""Where the cache is, and whether somebody else could put a file there.

Code is loaded from it, so the answer has to be no.  Every directory on the way belongs to the user or to root, and nobody
else may write there; in one with the sticky bit (/tmp) others may write, but not touch what is the user's.  A symbolic
link that the user or root has made is followed, and what it leads to is looked at likewise.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

LINKS = 40
"""As many symbolic links as the kernel follows on one path."""


class Unusable(Exception):
    """No code is to be loaded from there, since somebody else could put it there; the message says who, and where."""


def default_place() -> str:
    """Return the directory that the environment names, absolute: nothing is made, nothing is looked at.

    It is the variable SMARM_EXTENSION_CACHE, else ``smarm/private`` in the user's cache directory.  Raises Unusable
    without a home directory.
    """
    if named := os.environ.get("SMARM_EXTENSION_CACHE"):
        return os.path.abspath(named)
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):  # to be ignored then, says the XDG specification
        home = os.path.expanduser("~")
        if not os.path.isdir(home):
            raise Unusable(
                f"there is no home directory ({home}) to keep it in: SMARM_EXTENSION_CACHE can name another one"
            )
        cache = os.path.join(home, ".cache")
    return os.path.join(cache, "smarm", "private")


def open_place(path: str, *, make: bool) -> str:
    """Check all of the way to a directory and return its real path; what is missing is made with mode 0700, or FileNotFoundError.

    The directory itself must be the user's own.  Raises Unusable and OSError.
    """
    status = os.lstat("/")
    _check("/", status)
    done, rest, links = "/", path.split("/"), 0
    while rest:
        name = rest.pop(0)
        if name in ("", "."):
            continue
        here = os.path.join(done, name) if name != ".." else os.path.dirname(done)
        status = _status(here, make)
        _check(here, status)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(here)
            rest[:0] = target.split("/")
            done = "/" if target.startswith("/") else done
        elif stat.S_ISDIR(status.st_mode):
            done = here
        else:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), here)
    _check_own(done, status)
    return done


def _status(here: str, make: bool) -> os.stat_result:
    try:
        return os.lstat(here)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):  # somebody was faster: what he made is looked at like all others
        os.mkdir(here, 0o700)
    return os.lstat(here)


def _check(here: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise Unusable(f"{here} belongs to the user {status.st_uid}, who could put code there")
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_ISVTX:
        return
    if status.st_mode & stat.S_IWOTH:
        raise Unusable(f"everybody may write to {here}: chmod o-w {here}")
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid):
        raise Unusable(f"the group {status.st_gid} may write to {here}: chmod g-w {here}")


def _check_own(here: str, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise Unusable(f"{here} does not belong to the user who runs this")
    if status.st_mode & (stat.S_IWOTH | stat.S_IWGRP):  # not even with a sticky bit
        raise Unusable(f"others may write to {here}: chmod 700 {here}")


def _is_private_group(group: int) -> bool:
    """Return whether it is the group that some systems make for each user, with the user's name and nobody else in it."""
    import grp
    import pwd

    try:
        user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and entry.gr_name == user.pw_name and set(entry.gr_mem) <= {user.pw_name}
