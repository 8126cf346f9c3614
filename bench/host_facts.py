"""The machine and the versions that a run's numbers belong to."""

import os
import platform
import subprocess
import sysconfig
import time
from pathlib import Path


def first_line_of(path, key):
    with open(path) as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "unknown")


def commit(root):
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def host_facts():
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "CPU": first_line_of("/proc/cpuinfo", "model name"),
        "CPUs": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(first_line_of('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "virtual": "yes" if "hypervisor" in first_line_of("/proc/cpuinfo", "flags") else "no",
        "Python": f"{platform.python_version()}, {platform.python_compiler()}, "
        + ("with" if "--enable-optimizations" in flags else "without")
        + " PGO",
        "smarm": f"commit {commit(Path(__file__).parent)}",
    }
