"""A debugger's view from outside: SIGQUIT, the watchdog, the deadlock report."""

import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import textwrap
import threading

import in_workers
import pytest

import smarm


def start(tmp_path, program, **variables):
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMARM_")}
    environment |= variables
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
        dump = "line 9"
        while "line 9" in dump:  # it has printed, and has not gone on yet
            os.kill(process.pid, signal.SIGQUIT)
            dump = read_until(process, r"in wedges\n")
        assert re.search(
            r"<pid \d+\.1> 'main': parked, waits for another actor's end "
            r"\(<pid 2\.1>\), for \d+\.\d\d s, worker 0\n.*in main\n",
            dump,
        )
        assert re.search(
            r"'patient': parked, waits for a message, for \d+\.\d\d s, worker 0, .*spawned at .*program.py:13\n.*in waits\n",
            dump,
        )
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
    assert re.fullmatch(
        r"smarm: worker 0 has been held up for \d+ ms by actor <pid 1\.1> 'slow' at .*program.py:6 in stalls, .*\n",
        errors,
    )


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
        assert "'main': parked, waits for a message, for 0." in report
        assert "'reader': parked, waits for a channel's value" in report
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def test_waiting_for_a_timer_is_no_deadlock(tmp_path):
    process = start(tmp_path, "import smarm\nsmarm.run(lambda: smarm.sleep(0.2), workers=1)\n")
    assert process.communicate(timeout=60) == ("", "")


def test_a_thread_that_could_wake_the_actors_means_no_deadlock(tmp_path):
    process = start(
        tmp_path,
        """
        import pathlib, threading
        import smarm

        def monitor_sleeps():  # for good: it waits in a futex without an end (the workers wait in epoll)
            calls = [task.joinpath("syscall").read_text().split() for task in pathlib.Path("/proc/self/task").iterdir()]
            return any(call[0] == "202" and call[4] == "0x0" for call in calls)

        def main():
            shared.extend([smarm.portal(), smarm.self()])
            return smarm.receive()

        shared = []
        runs = threading.Thread(target=lambda: print(smarm.run(main, workers=1)))
        runs.start()
        while not (len(shared) == 2 and smarm.statistics().workers[0].sleeping and monitor_sleeps()):
            pass
        portal, pid = shared
        portal.send(pid, "from outside")
        runs.join()
        """,
    )
    assert process.communicate(timeout=60) == ("from outside\n", "")


WAITS_IN_A_CIRCLE = """
    import math
    import threading
    import smarm

    def main():
        mutex = smarm.Mutex()
        rlock = threading.RLock()
        handles = {}

        def holds_mutex():
            with mutex.hold(timeout=math.inf):
                smarm.yield_now()
                handles["owner"].join()

        def owns_rlock():
            with rlock:
                smarm.yield_now()
                smarm.yield_now()
                smarm.call(server.pid, "please", timeout=None)

        def serves():
            smarm.receive()
            with mutex.hold(timeout=math.inf):
                pass

        def bystander():
            with rlock:
                pass

        server = smarm.spawn(serves, name="server")
        handles["holder"] = smarm.spawn(holds_mutex, name="holder")
        handles["owner"] = smarm.spawn(owns_rlock, name="owner")
        smarm.spawn(bystander, name="bystander").join()

    smarm.run(main, workers=1)
"""


def test_the_deadlock_report_has_the_wait_graph_and_its_circles(tmp_path):
    process = start(tmp_path, WAITS_IN_A_CIRCLE)
    try:
        report = read_until(process, r"these wait for each other: .*\n")
        graph = report[report.index("who waits for whom") :]
        edges = set(re.findall(r"  <pid \S+> '(\w+)' waits for <pid \S+> '(\w+)' \((.*)\)\n", graph))
        assert edges == {
            ("main", "bystander", "another actor's end"),
            ("bystander", "owner", "a lock"),
            ("holder", "owner", "another actor's end"),
            ("owner", "server", "a message"),
            ("server", "holder", "a lock"),
        }
        circle = re.findall(r"'(\w+)'", graph[graph.index("each other") :].splitlines()[0])
        assert circle[0] == circle[-1]
        start_of = circle.index("holder")
        assert (circle[:-1] * 2)[start_of : start_of + 3] == ["holder", "owner", "server"]
    finally:
        process.kill()
        process.communicate()


def test_a_deadlock_is_reported_although_the_pool_of_blocking_calls_has_idle_threads(tmp_path):
    process = start(
        tmp_path,
        """
        import smarm

        def main():
            smarm.block_on_io(int)
            smarm.receive()

        smarm.run(main, workers=1)
        """,
    )
    try:
        read_until(process, r"deadlock: .*in main")
    finally:
        process.kill()
        process.communicate()


# ---- smarm dump PID --------------------------------------------------------------------------------------------------


def smarm_dump(pid):
    return subprocess.run([sys.executable, "-m", "smarm", "dump", str(pid)], capture_output=True, text=True, timeout=60)


def test_smarm_dump_prints_every_actor_also_of_a_wedged_worker(tmp_path):
    process = start(tmp_path, WEDGED)
    try:
        assert process.stdout.readline() == "wedged\n"
        for _ in range(3):  # it does no harm
            done = smarm_dump(process.pid)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("smarm: 3 actors\n")
            assert re.search(r"'patient': parked, waits for a message, for \d+\.\d\d s, .*\n.*in waits\n", done.stdout)
            assert re.search(r"'stubborn': running, worker 1, .*\n.*line 10, in wedges\n", done.stdout)
        assert process.poll() is None
    finally:
        process.kill()
        assert process.communicate()[1] == ""  # what was asked for by the command went to the command


BUSY_SERVER = """
    import smarm

    class Busy(smarm.Server):
        def handle_cast(self, message):
            print("busy", flush=True)
            smarm.sleep(100)

    def main():
        Busy.start(on="local", name="idle")
        Busy.start(on=1).cast("go")
        smarm.sleep(100)

    smarm.run(main, workers=2)
"""


@pytest.mark.parametrize("wish", [{}, {"SMARM_INTERNAL_FRAMES": "1"}], ids=["hidden", "shown on request"])
def test_a_dump_hides_the_frames_of_smarm_where_the_program_has_some(tmp_path, wish):
    process = start(tmp_path, BUSY_SERVER, **wish)
    try:
        assert process.stdout.readline() == "busy\n"
        done = smarm_dump(process.pid)
        assert done.returncode == 0, done.stderr
        actors = re.split(r"^(?=<pid )", done.stdout, flags=re.MULTILINE)[1:]
        (busy,) = [actor for actor in actors if "in Busy.handle_cast" in actor]
        assert 'File "' in busy
        assert ("/smarm/_server.py" in busy) == bool(wish), done.stdout
        (idle,) = [actor for actor in actors if "for a message" in actor and "worker 0" in actor]
        assert "/smarm/_server.py" in idle  # it has no other frames
    finally:
        process.kill()
        process.communicate()


def test_a_large_dump_arrives_whole(tmp_path):
    process = start(
        tmp_path,
        """
        import smarm

        def waits():
            smarm.receive()

        def main():
            actors = [smarm.spawn(waits, on="local", name=f"number {n}") for n in range(3000)]
            while smarm.process_info(actors[-1].pid).state != "parked":
                smarm.yield_now()
            print("ready", flush=True)
            smarm.sleep(1000)

        smarm.run(main, workers=1)
        """,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        done = smarm_dump(process.pid)
        assert done.returncode == 0
        assert set(re.findall(r"'number (\d+)'", done.stdout)) == {str(n) for n in range(3000)}
        assert done.stdout.endswith("in waits\n")
    finally:
        process.kill()
        process.communicate()


def test_smarm_dump_ends_no_process_that_does_not_know_it(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        done = smarm_dump(other.pid)
        assert done.returncode == 1
        assert done.stdout == ""
        assert re.fullmatch(rf"smarm: process {other.pid} is no smarm program that runs .*\n", done.stderr)
        assert other.poll() is None
    finally:
        other.communicate(b"\n")
    assert other.returncode == 0


def test_smarm_dump_of_nobody_says_so():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid, message in [
        (ended.pid, f"there is no process {ended.pid}"),
        (0, "0 is no process id"),
        (10**30, f"there is no process {10**30}"),
    ]:
        done = smarm_dump(pid)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"smarm: {message}\n")


def test_wrong_arguments_are_refused():
    for arguments in ([], ["dump"], ["dump", "me"], ["dum", "1"], ["dump", "1", "2"]):
        done = subprocess.run([sys.executable, "-m", "smarm", *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, arguments
        assert "usage: smarm" in done.stderr
    done = subprocess.run([sys.executable, "-m", "smarm", "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("smarm ")


def test_a_program_whose_runtime_has_ended_is_none_any_more(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", "import smarm; smarm.run(lambda: None); print('over', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        process.stdout.readline()
        assert "is no smarm program that runs" in smarm_dump(process.pid).stderr
    finally:
        process.communicate(b"\n")
    assert process.returncode == 0


def test_process_info_says_for_whom_an_actor_waits_and_how_long():
    def main():
        mutex = smarm.Mutex()
        mutex.acquire(timeout=1)

        def waits():
            with mutex.hold(timeout=60):
                pass

        waiter = smarm.spawn(waits)
        joiner = smarm.spawn(waiter.join)
        for pid in (waiter.pid, joiner.pid):
            while smarm.process_info(pid).state != "parked":
                smarm.yield_now()
        while smarm.process_info(waiter.pid).waiting_seconds <= 0.01:
            smarm.yield_now()
        infos = [smarm.process_info(pid) for pid in (waiter.pid, joiner.pid, smarm.self())]
        mutex.release()
        joiner.join()
        assert [info.waiting_for_pid for info in infos] == [smarm.self(), waiter.pid, None]
        assert 0.01 < infos[0].waiting_seconds < 60
        assert infos[2].waiting_seconds is None

    smarm.run(main, workers=1)


def test_the_system_s_tools_show_threads_by_what_they_do():
    def main():
        smarm.spawn(in_workers.where, on=1).join()
        smarm.block_on_io(len, ())
        return {(task / "comm").read_text().strip() for task in pathlib.Path("/proc/self/task").iterdir()}

    assert {"smarm-worker1", "smarm-monitor", "smarm-signals", "smarm-blocking"} <= smarm.run(main, workers=2)


# ---- a reader that does not read -------------------------------------------------------------------------------------

UNREAD = """
    import os, pathlib, signal, sys
    import smarm

    def waits():
        smarm.receive()

    def writer_waits():
        for task in pathlib.Path("/proc/self/task").iterdir():
            if (task / "comm").read_text() == "smarm-reports\\n":
                return (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        return False

    def main():
        handles = [smarm.spawn(waits, on=number % 2) for number in range(2000)]
        for handle in handles:
            while smarm.process_info(handle.pid).state != "parked":
                smarm.yield_now()
        os.kill(os.getpid(), signal.SIGQUIT)
        looks = 0
        while looks < 100:  # the pipe is full, and it waits for room
            looks = looks + 1 if writer_waits() else 0
            smarm.yield_now()
        print("unread", flush=True)
        if sys.argv[1] == "work":
            for handle in handles:
                smarm.send(handle.pid, "end")
            smarm.join_all(handles)
            print("worked", flush=True)
        smarm.receive()

    smarm.run(main, workers=2)
"""


def run_unread(tmp_path, what):
    """Start UNREAD with a standard error that nobody reads."""
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(UNREAD))
    read_end, write_end = os.pipe()
    process = subprocess.Popen([sys.executable, script, what], stdout=subprocess.PIPE, stderr=write_end, text=True)
    os.close(write_end)
    return process, read_end


def test_a_dump_that_nobody_reads_holds_no_worker_up(tmp_path):
    process, read_end = run_unread(tmp_path, "work")
    too_long = threading.Timer(60, process.kill)  # only a failure takes so long
    too_long.start()
    try:
        assert process.stdout.readline() == "unread\n"
        assert process.stdout.readline() == "worked\n"
    finally:
        too_long.cancel()
        process.kill()
        process.communicate()
        os.close(read_end)


def test_signals_are_handled_while_a_dump_waits_for_its_reader(tmp_path):
    process, read_end = run_unread(tmp_path, "wait")
    too_long = threading.Timer(60, process.kill)
    too_long.start()
    try:
        assert process.stdout.readline() == "unread\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
    finally:
        too_long.cancel()
        process.kill()
        process.communicate()
        os.close(read_end)


def test_a_dump_is_written_while_others_wait_for_their_readers(tmp_path):
    process, read_end = run_unread(tmp_path, "wait")
    unread, theirs = os.pipe()
    asked = [sys.executable, "-m", "smarm", "dump", str(process.pid)]
    client = subprocess.Popen(asked, stdout=theirs)
    os.close(theirs)
    try:
        assert process.stdout.readline() == "unread\n"
        assert select.select([unread], [], [], 60)[0]  # the client has begun, and its reader takes nothing
        done = smarm_dump(process.pid)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.match(r"smarm: \d+ actors\n", done.stdout)
        assert done.stdout.count("waits for") > 1000
    finally:
        for it in (client, process):
            it.kill()
            it.communicate()
        os.close(read_end)
        os.close(unread)


def test_a_dump_leaves_the_flags_of_standard_error_as_they_are(tmp_path):
    process, read_end = run_unread(tmp_path, "work")
    try:
        assert process.stdout.readline() == "unread\n"
        flags = int(re.search(r"flags:\s+0?(\d+)", pathlib.Path(f"/proc/{process.pid}/fdinfo/2").read_text())[1], 8)
        assert flags & os.O_NONBLOCK == 0
    finally:
        process.kill()
        process.communicate()
        os.close(read_end)
