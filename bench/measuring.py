"""Running programs: one run of one program, and interleaved rounds of many (A B A B)."""

import json
import os
import resource
import signal
import subprocess
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program did not print a result."""


def others_share(busy_before, own_cpu, wall):
    """CPUs that everybody else used meanwhile: above 0.3 a result says little."""
    return max(0.0, busy_seconds() - busy_before - own_cpu) / max(wall, 1e-9)


def busy_seconds():
    """Seconds that all CPUs together have spent on anything but idling."""
    with open("/proc/stat") as file:
        fields = [int(field) / TICKS_PER_SECOND for field in file.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4]


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def stop(process):
    """End a process that was started here, with its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue


def at_priority(nice, command):
    """The command at that priority. Linux shares CPUs between sessions first, so that of the session is set, too."""
    if nice is None:
        return command
    return ["sh", "-c", f'echo {nice} >/proc/self/autogroup; exec nice -n {nice} "$@"', "sh", *command]


def last_result(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None


def run_program(command, timeout, cwd):
    before, busy, start = resource.getrusage(resource.RUSAGE_CHILDREN), busy_seconds(), time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, cwd=cwd,
    )  # fmt: skip
    try:
        out, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"took over {timeout} s") from None
    finally:
        stop(process)
    result = last_result(out)
    if process.returncode != 0 or result is None:
        raise Failed(f"exit code {process.returncode}: {(errors or out).strip()[-200:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    result["others"] = others_share(busy, cpu, time.monotonic() - start)
    return result


def run_server(command, load_generator, seconds, cwd):
    """Start an echo server, drive it, and end it by closing its stdin."""
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=cwd,
    )
    try:
        port = next((line.split()[1].decode() for line in server.stdout if line.startswith(b"PORT ")), None)
        if port is None:
            raise Failed("the server printed no port")
        cpu, busy, start = cpu_of(server.pid), busy_seconds(), time.monotonic()
        load = [*load_generator, f"port={port}", f"seconds={seconds}"]
        try:
            done = subprocess.run(load, capture_output=True, text=True, timeout=seconds + 30, start_new_session=True)
        except subprocess.TimeoutExpired:
            raise Failed(f"the load generator took over {seconds + 30} s") from None
        if done.returncode != 0:
            raise Failed(f"load generator: {done.stderr[-200:]}")
        used, wall = cpu_of(server.pid) - cpu, time.monotonic() - start
        result = last_result(done.stdout)
        extra = result["extra"]
        extra["server_us_per_request"] = used / max(extra["requests_with_warm_up"], 1) * 1e6
        result["others"] = others_share(busy, used + extra["generator_cpu_s"], wall)
        return result
    finally:
        server.stdin.close()
        stop(server)


def rounds(programs, count, run, note):
    """Every program once, then every program again ...: {label: [result, ...]}. A failure is a result with an error."""
    results = {program.label: [] for program in programs}
    for number in range(count):
        for program in programs:
            if any("error" in result for result in results[program.label]):
                continue
            try:
                result = run(program)
            except (Failed, OSError) as why:
                result = {"error": str(why)}
            results[program.label].append(result)
            note(number, program, result)
    return results
