"""The build backend: meson-python, plus the launcher in editable installations.

meson-python puts `smarm-host` into a wheel but leaves executables out of an editable one. Here the editable wheel gets
a script of that name, which runs the launcher in the build directory.
"""

import base64
import hashlib
import os
import pathlib
import sys
import zipfile
import zlib

import mesonpy
from mesonpy import (  # noqa: F401  (the hooks that stay as they are)
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

# pip replaces "#!python" by the environment's interpreter. argv[0] stays the script's own path, by which the launcher
# finds its environment.
LAUNCHER = """\
#!python
import os, sys
os.execv({executable!r}, sys.argv)
"""


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    settings = dict(config_settings or {})
    # One per environment: meson remembers where in it pybind11 is.
    build_dir = settings.setdefault(
        "build-dir", f"build/editable-{sys.implementation.cache_tag}-{zlib.crc32(sys.prefix.encode()):08x}"
    )
    name = mesonpy.build_editable(wheel_directory, settings, metadata_directory)
    executable = pathlib.Path(build_dir, "host", "smarm-host").absolute()
    if executable.exists():  # not with -Dhost=disabled
        add_script(pathlib.Path(wheel_directory, name), "smarm-host", LAUNCHER.format(executable=str(executable)))
    return name


def add_script(wheel, script_name, text):
    """Add an executable script to a wheel, and its line to the wheel's RECORD."""
    project = "-".join(wheel.name.split("-")[:2])
    script = zipfile.ZipInfo(f"{project}.data/scripts/{script_name}")
    script.external_attr = 0o100755 << 16
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

    complete = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(complete, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == f"{project}.dist-info/RECORD":
                content += f"{script.filename},sha256={digest},{len(text.encode())}\n".encode()
            new.writestr(entry, content)
        new.writestr(script, text)
    os.replace(complete, wheel)
