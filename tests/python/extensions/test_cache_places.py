"""Where copies are kept, who could plant one, and what is done where none can be kept."""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import pathlib
import resource
import subprocess
import sys
import types

import pytest
import smarm_test_frames
import smarm_test_thread_local

from smarm import ExtensionCacheError
from smarm.extensions import _contents
from smarm.extensions._cache import Cache

NATIVE = [smarm_test_frames.__file__, smarm_test_thread_local.__file__]
SOMEBODY = 54321


def copy_of(original: str):
    return lambda descriptor: os.write(descriptor, pathlib.Path(original).read_bytes())


@pytest.fixture
def refused(original):
    """Place a copy in a cache that must not be used; return why it is not."""

    def place(cache: Cache) -> str:
        path = cache.place(original, 1, copy_of(original))
        assert path.startswith("/proc/self/")
        assert pathlib.Path(path).read_bytes() == pathlib.Path(original).read_bytes()
        cache.release(path)
        return cache.trouble

    return place


def give_away(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the path be somebody else's; without the right to, let it look so."""
    if os.geteuid() == 0:
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)
        return
    real = os.lstat

    def lstat(name, **more):
        status = real(name, **more)
        return types.SimpleNamespace(st_mode=status.st_mode, st_uid=SOMEBODY) if str(name) == str(path) else status

    monkeypatch.setattr(os, "lstat", lstat)


@pytest.mark.parametrize("whose", ["the place", "a directory above it"])
def test_a_directory_of_somebody_else_is_not_used(whose, tmp_path, refused, monkeypatch):
    place = tmp_path / "above/cache"
    place.mkdir(parents=True)
    given = place if whose == "the place" else place.parent
    give_away(given, monkeypatch)
    assert refused(Cache(str(place))) == f"{given} belongs to the user {SOMEBODY}, who could put code there"
    assert list(place.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_not_even_roots_directory_is_the_users_own(tmp_path, run_python):
    """Somebody else, with root's directory as the place."""
    done = run_python(f"""if True:
        import os
        from smarm.extensions import _directory
        os.seteuid({SOMEBODY})
        try:
            _directory.open_place("/usr", make=True)
        except _directory.Unusable as refusal:
            print(refusal)
    """)
    assert done == "/usr does not belong to the user who runs this\n"


@pytest.mark.parametrize("mode", [0o777, 0o772, 0o770])
def test_a_directory_above_to_which_others_may_write_is_not_used(mode, tmp_path, refused, monkeypatch):
    monkeypatch.setattr(grp, "getgrgid", lambda group: types.SimpleNamespace(gr_name="staff", gr_mem=[]))
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(mode)
    assert "may write to" in refused(Cache(str(above / "cache")))
    assert list(above.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o720])
def test_a_place_to_which_others_may_write_is_not_used(mode, place, refused, monkeypatch):
    monkeypatch.setattr(grp, "getgrgid", lambda group: types.SimpleNamespace(gr_name="staff", gr_mem=[]))
    place.mkdir()
    place.chmod(mode)
    assert f"may write to {place}: chmod" in refused(Cache(str(place)))


def test_the_users_private_group_may_write_above(tmp_path, original, monkeypatch):
    import pwd

    user = pwd.getpwuid(os.geteuid())
    members: list[str] = []
    monkeypatch.setattr(grp, "getgrgid", lambda group: types.SimpleNamespace(gr_name=user.pw_name, gr_mem=members))
    above = tmp_path / "above"
    above.mkdir()
    os.chown(above, -1, user.pw_gid)
    above.chmod(0o770)
    cache = Cache(str(above / "cache"))
    cache.release(cache.place(original, 1, copy_of(original)))
    assert cache.trouble is None
    members.append("somebody")
    cache = Cache(str(above / "cache"))
    cache.release(cache.place(original, 1, copy_of(original)))
    assert cache.trouble.endswith(f"may write to {above}: chmod g-w {above}")


def test_a_sticky_directory_above_is_as_good_as_the_users(tmp_path, original):
    above = tmp_path / "tmp"
    above.mkdir()
    above.chmod(0o1777)
    cache = Cache(str(above / "cache"))
    cache.release(cache.place(original, 1, copy_of(original)))
    assert cache.trouble is None


def test_a_link_of_somebody_else_is_not_followed(tmp_path, refused, monkeypatch):
    target, link = tmp_path / "target", tmp_path / "cache"
    target.mkdir(mode=0o700)
    link.symlink_to(target)
    give_away(link, monkeypatch)
    assert refused(Cache(str(link))) == f"{link} belongs to the user {SOMEBODY}, who could put code there"
    assert list(target.iterdir()) == []


def test_a_link_of_the_user_is_followed_and_what_it_leads_to_is_looked_at(tmp_path, original, refused):
    target, link = tmp_path / "a/target", tmp_path / "cache"
    target.mkdir(mode=0o700, parents=True)
    link.symlink_to("./a/../a/target")
    cache = Cache(str(link))
    path = cache.place(original, 1, copy_of(original))
    cache.release(path)
    assert path.startswith(f"{target}/")
    target.parent.chmod(0o777)
    assert f"everybody may write to {target.parent}" in refused(Cache(str(link)))


def test_links_in_a_circle_end(tmp_path, refused):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert "Too many levels of symbolic links" in refused(Cache(str(tmp_path / "a")))


def test_a_file_in_the_way_is_said(tmp_path, refused):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in refused(Cache(str(tmp_path / "file" / "cache")))


def test_without_a_home_copies_are_in_memory(tmp_path, refused, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert "there is no home directory" in refused(Cache())
    assert not (tmp_path / "nobody").exists()


def test_a_path_that_is_too_long_is_in_memory_alone(cache, tmp_path, original):
    deep = tmp_path
    cache._place = str(tmp_path / "/".join(["c" * 200] * 10))
    while len(str(deep)) < 2400:
        deep = deep / ("d" * 200)
    deep.mkdir(parents=True)
    long = deep / "x.so"
    long.write_bytes(b"long")
    for name, kept in ((str(long), False), (original, True)):
        path = cache.place(name, 1, copy_of(name))
        cache.release(path)
        assert path.startswith(cache._place) == kept


# ---- file systems ------------------------------------------------------------------------------------------------------

PROGRAM = """
import ctypes, os, sys
from smarm.extensions._cache import Cache
original = sys.argv[1]
def write(descriptor):
    with open(original, "rb") as file:
        data = file.read()
    while data:
        data = data[os.write(descriptor, data):]
cache = Cache()
path = cache.place(original, 1, write)
ctypes.CDLL(path)
cache.release(path)
print("memory" if path.startswith("/proc/self/") else path)
print(cache.trouble)
"""


def mount_command() -> list[str]:
    """Return what runs a program where it may mount; empty if nothing does."""
    for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        try:
            if subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            break
    return []


MOUNT = mount_command()
needs_mounts = pytest.mark.skipif(not MOUNT, reason="nobody here may mount: neither root nor a user namespace")


@pytest.fixture
def run_on(place):
    """Run PROGRAM with its cache on a file system that is mounted so; return the two lines it prints."""

    def run(options: str, before: str = "true", after: str = "true") -> list[str]:
        place.mkdir(exist_ok=True)
        script = f'mount -t tmpfs -o mode=700,{options} none {place} && {before} && {after} && exec "$@"'
        program = [sys.executable, "-c", PROGRAM, NATIVE[1]]
        done = subprocess.run(
            [*MOUNT, "sh", "-c", script, "sh", *program],
            capture_output=True, text=True, env=os.environ | {"SMARM_EXTENSION_CACHE": str(place)},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


@needs_mounts
def test_a_disk_that_may_be_written_and_executed_is_used(run_on, place):
    where, trouble = run_on("size=10m")
    assert where.startswith(f"{place}/")
    assert trouble == "None"


@needs_mounts
def test_a_full_disk_is_answered_from_memory(run_on, place):
    assert run_on("size=16k") == ["memory", f"nothing can be written to {place} (No space left on device)"]


@needs_mounts
def test_a_disk_without_inodes_is_answered_from_memory(run_on, place):
    assert run_on("nr_inodes=4") == ["memory", f"nothing can be written to {place} (No space left on device)"]


@needs_mounts
def test_a_noexec_disk_is_answered_from_memory(run_on, place):
    assert run_on("noexec") == ["memory", f"{place} is on a file system that is mounted noexec"]


@needs_mounts
def test_a_read_only_disk_is_answered_from_memory(run_on, place):
    assert run_on("ro") == ["memory", f"nothing can be written to {place} (Read-only file system)"]


@needs_mounts
def test_copies_on_a_read_only_disk_are_used(run_on, place):
    fill = f"{sys.executable} -c '{PROGRAM}' {NATIVE[1]} >/dev/null"
    where, trouble = run_on("size=10m", fill, f"mount -o remount,ro {place}")
    assert where.startswith(f"{place}/")
    assert trouble == "None"


def test_what_the_kernel_will_not_execute_is_in_memory(cache, original, monkeypatch):
    """A security module may forbid it where no mount option says so."""
    import mmap

    def refuse(*arguments, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(mmap, "mmap", refuse)
    path = cache.place(original, 1, copy_of(original))
    cache.release(path)
    assert path.startswith("/proc/self/")
    assert cache.trouble.endswith("may not be executed (Permission denied)")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_where_the_disk_has_no_room_the_copy_is_in_memory(cache, place, original, number):
    def write(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{place}/"):
            raise OSError(number, os.strerror(number))
        os.write(descriptor, b"copy")

    path = cache.place(original, 1, write)
    assert pathlib.Path(path).read_bytes() == b"copy"
    cache.release(path)
    assert path.startswith("/proc/self/")
    assert cache.trouble == f"nothing can be written to {place} ({os.strerror(number)})"
    assert [path for path in place.rglob("*") if not path.is_dir()] == []


# ---- no room at all ----------------------------------------------------------------------------------------------------


def in_a_child(limit: int, least: int, program: str) -> str:
    """Run it with a resource limit, set after the imports."""
    done = subprocess.run([sys.executable, "-c", program, str(limit), str(least)], capture_output=True, text=True)
    return done.stdout + done.stderr


NO_ROOM = """
import os, resource, sys
from smarm.extensions._cache import Cache
import smarm.extensions._contents, mmap
cache = Cache({place!r})
resource.setrlimit(int(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[2])))
try:
    cache.place({original!r}, 1, lambda descriptor: [os.write(descriptor, b"x" * 1000) for _ in range(100)])
except OSError as error:
    print(type(error).__name__, error)
print(sorted(name for _, _, names in os.walk({place!r}) for name in names) if sys.argv[1] == "1" else "")
"""


def test_without_room_anywhere_the_error_says_what_to_do(place, original):
    program = NO_ROOM.format(place=str(place), original=original)
    assert in_a_child(resource.RLIMIT_FSIZE, 5000, program) == (
        f"ExtensionCacheError [Errno 27] there is no place for a private copy of {original}: nothing can be written to {place} "
        "(File too large), and memory does not do (File too large). Let SMARM_EXTENSION_CACHE name a directory of yours "
        "on a disk with room, from which programs may be run\n[]\n"
    )


def test_without_descriptors_it_is_the_same_error(place, original):
    out = in_a_child(resource.RLIMIT_NOFILE, 3, NO_ROOM.format(place=str(place), original=original))
    assert out.startswith("ExtensionCacheError [Errno 24]")
    assert "Too many open files" in out


def test_what_the_writer_reads_is_no_matter_of_the_cache(cache, original):
    def write(descriptor: int) -> None:
        raise PermissionError(13, "Permission denied", "/original")

    for _ in "on disk", "in memory":
        with pytest.raises(PermissionError) as caught:
            cache.place(original, 1, write)
        assert not isinstance(caught.value, ExtensionCacheError)
        cache._no_loads = "for this test"


# ---- memory ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory(tmp_path):
    """Return a cache that keeps nothing: there is a file in its way."""
    (tmp_path / "file").write_text("")
    return Cache(str(tmp_path / "file"))


def test_a_name_in_memory_is_never_used_again(memory):
    """glibc would answer with the library that had the name before: descriptors' numbers come again."""
    frames = memory.place(NATIVE[0], 1, copy_of(NATIVE[0]))
    loaded = ctypes.CDLL(frames)
    memory.release(frames)
    other = memory.place(NATIVE[1], 1, copy_of(NATIVE[1]))
    assert os.path.basename(other) == os.path.basename(frames)
    assert hasattr(ctypes.CDLL(other), "PyInit_smarm_test_thread_local")
    assert hasattr(loaded, "PyInit_smarm_test_frames")
    memory.release(other)


def test_a_copy_in_memory_keeps_its_name_when_it_is_loaded(memory):
    path = memory.place(NATIVE[1], 1, copy_of(NATIVE[1]))
    library = ctypes.CDLL(path)
    memory.release(path)
    assert memory.place(NATIVE[1], 1, copy_of(NATIVE[1])) == path
    assert ctypes.CDLL(path)._handle == library._handle
    assert memory.place(NATIVE[1], 2, copy_of(NATIVE[1])) != path
    for held in list(memory._held):
        memory.release(held)


def test_a_copy_in_memory_that_was_not_loaded_is_made_again(memory):
    path = memory.place(NATIVE[1], 1, copy_of(NATIVE[1]))
    memory.release(path, loaded=False)
    again = memory.place(NATIVE[1], 1, copy_of(NATIVE[1]))
    assert again != path
    ctypes.CDLL(again)
    memory.release(again)


def test_the_survey_of_a_place_that_is_none_is_empty(tmp_path):
    (tmp_path / "file").write_text("")
    assert list(_contents.survey(str(tmp_path / "file"))) == []
    assert list(_contents.survey(str(tmp_path / "nothing"))) == []
