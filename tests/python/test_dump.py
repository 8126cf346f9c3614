"""A debugger's view from outside: SIGQUIT, the watchdog, the deadlock report."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading


def start(tmp_path, program):
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMARM_")}
    return subprocess.Popen(
        [sys.executable, "-u", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def read_until(process, pattern):
    text = ""
    too_long = threading.Timer(60, process.kill)  # only a failure takes so long; then the output ends
    too_long.start()
    while not re.search(pattern, text, re.DOTALL):
        line = process.stderr.readline()
        assert line, f"the output ended without {pattern!r}: {text}"
        text += line
    too_long.cancel()
    return text


WEDGED = """
    import ctypes
    import smarm

    def waits():
        smarm.receive()

    def wedges():
        print("wedged", flush=True)
        ctypes.PyDLL(None).sleep(100)       # keeps the GIL

    def main():
        patient = smarm.spawn(waits, on="local", name="patient")
        while smarm.process_info(patient.pid).state != "parked":
            smarm.yield_now()
        smarm.spawn(wedges, on=1, name="stubborn").join()

    smarm.run(main, workers=2)
"""


def test_sigquit_prints_every_actor_also_of_a_wedged_worker(tmp_path):
    process = start(tmp_path, WEDGED)
    try:
        assert process.stdout.readline() == "wedged\n"
        os.kill(process.pid, signal.SIGQUIT)
        dump = read_until(process, r"in wedges\n")
        assert re.search(r"<pid \d+\.1> 'main': parked, waits for another actor's end, worker 0\n.*in main\n", dump)
        assert re.search(r"'patient': parked, waits for a message, worker 0, .*spawned at .*program.py:13\n.*in waits\n", dump)
        assert re.search(r"'stubborn': running, worker 1, .*\n  File .*program.py\", line 10, in wedges\n", dump)
    finally:
        process.kill()
        process.communicate()


def test_an_actor_that_holds_its_worker_up_in_c_is_reported_once_with_its_line(tmp_path):
    process = start(
        tmp_path,
        """
        import ctypes
        import smarm

        def stalls():
            ctypes.PyDLL(None).usleep(300_000)

        def main():
            handle = smarm.spawn(stalls, on="local", name="slow")
            while smarm.process_info(handle.pid):
                smarm.sleep(0.001)

        smarm.run(main, workers=1)
        """,
    )
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert re.fullmatch(r"smarm: worker 0 has been held up for \d+ ms by actor <pid 1\.1> 'slow' at .*program.py:6 in stalls, .*\n", errors)


def test_a_program_that_nothing_can_wake_says_so_and_shows_who_waits_for_what(tmp_path):
    process = start(
        tmp_path,
        """
        import smarm

        def main():
            tx, rx = smarm.channel()
            smarm.spawn(lambda: rx.recv(), name="reader")
            smarm.receive()

        smarm.run(main, workers=1)
        """,
    )
    try:
        report = read_until(process, r"deadlock: .*in main\..*lambda")
        assert "'main': parked, waits for a message" in report
        assert "'reader': parked, waits for a channel's value" in report
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def test_waiting_for_a_timer_is_no_deadlock(tmp_path):
    process = start(tmp_path, "import smarm\nsmarm.run(lambda: smarm.sleep(0.2), workers=1)\n")
    assert process.communicate(timeout=60) == ("", "")
