"""Random actors of a supervision tree are killed all the time: python -m tests.soak.kills MINUTES SEED WORKERS TIME_SLICE

Clients have work done by servers of the tree, one piece after the other: a piece that failed is tried again, one that was
acknowledged is never.  The vault, which nobody kills, notes each piece, so it knows when one is missing that a client was
promised.  What else must hold: every call is answered or fails; a killed actor's monitors hear of it; names come back; a
server continues where its predecessor ended; a transient job that was accepted is done as long as its supervisor lives.
"""

from __future__ import annotations

import logging
import random
import sys
import time

import smarm
from smarm import Child, DynamicSupervisor, Supervisor
from tests.soak.load import Reports, run_from_arguments

CLIENTS = 6
INTERVAL = 2.0  # seconds between two reports
PATIENCE = 60.0  # seconds; longer is a hang
OFTEN = {"max_restarts": 1_000_000, "max_seconds": 1.0}  # restarts that a supervisor is to put up with
REASONS = ["kill", "kill", ValueError("as the killer wishes"), ("odd", 1), "shutdown", "normal"]

logging.getLogger("smarm").setLevel(logging.CRITICAL)  # a report of each restart would be most of the work


class Vault(smarm.Server):
    """Knows the last piece of each client, and how many each server has done."""

    def init(self):
        self.last = {}
        self.done = {}

    def handle_call(self, request, caller):
        what, *arguments = request
        return getattr(self, what)(*arguments)

    def note(self, client, number, server):
        last = self.last.get(client, 0)
        if number == last + 1:
            self.last[client] = number
            self.done[server] = self.done.get(server, 0) + 1
        elif number > last:
            raise AssertionError(f"{client} was promised {number - 1}, but {last} is the last that was done")
        return self.done.get(server, 0)

    def done_by(self, server):
        return self.done.get(server, 0)

    def last_of(self, client):
        return self.last.get(client, 0)


class Shop(smarm.Server):
    """Does pieces of work, and has a state that its successor gets from the vault."""

    def init(self, name):
        self.name = name
        self.done = smarm.call("vault", ("done_by", name), timeout=PATIENCE)

    def handle_call(self, request, caller):
        before, self.done = self.done, smarm.call("vault", ("note", *request, self.name), timeout=PATIENCE)
        return before, self.done


def job(boss, client, number):
    """Do one piece, say so, and end."""
    smarm.call("vault", ("note", client, number, "jobs"), timeout=PATIENCE)
    smarm.send(boss, number)


def shops(prefix, count, workers):
    names = [f"{prefix}-{index}" for index in range(count)]
    return [Child(name, Shop, (name,), name=name, on=index % workers) for index, name in enumerate(names)]


def make_tree(workers):
    """Return the tree, and the names of its servers."""
    deep = Supervisor(shops("deep", 2, workers), strategy="one_for_all", **OFTEN)
    branches = [
        Supervisor(shops("all", 3, workers), strategy="one_for_all", **OFTEN),
        Supervisor(shops("rest", 3, workers), strategy="rest_for_one", **OFTEN),
        Supervisor([*shops("one", 3, workers), Child("deep", deep)], **OFTEN),
        DynamicSupervisor(name="dynamic", **OFTEN),
    ]
    tree = Supervisor([Child(f"branch {number}", branch) for number, branch in enumerate(branches)], **OFTEN)
    return tree, [child.id for branch in (deep, *branches[:3]) for child in branch.children if child.name]


def be_client(name, servers, seed, stop):
    """Have pieces done until told to stop; return how many."""
    chance = random.Random(seed)
    seen = dict.fromkeys(servers, 0)
    number = 0
    while not stop.closed:
        number += 1
        deadline = time.monotonic() + PATIENCE
        while True:
            server = chance.choice(servers)
            try:
                before, done = smarm.call(server, (name, number), timeout=PATIENCE)
                break
            except (smarm.ProcessDown, smarm.NotRegistered):
                assert time.monotonic() < deadline, f"nobody has done piece {number} of {name}"
                smarm.sleep(chance.random() * 0.002)
        assert before <= done, f"{server} had done {before}, then {done}"
        assert seen[server] <= done, f"{server} had done {seen[server]} and begins again at {done}"
        seen[server] = done
    return number


def be_employer(name, stop):
    """Have transient jobs done, again only when their supervisor has ended."""
    number = 0
    while not stop.closed:
        number += 1
        deadline = time.monotonic() + PATIENCE
        while not have_job_done(name, number):
            assert time.monotonic() < deadline, f"nobody has done job {number}"
            smarm.sleep(0.001)
    return number


def have_job_done(name, number):
    pid = smarm.whereis("dynamic")
    if pid is None:
        return False
    ref = smarm.monitor(pid)
    try:
        smarm.SupervisorRef(pid).start_child(
            Child("job", job, (smarm.self(), name, number), restart="transient"), timeout=PATIENCE
        )
        while True:
            message = smarm.receive(timeout=PATIENCE)
            if message == number:
                return True
            if isinstance(message, smarm.Down):
                return False
            # A job that was done, but killed before it could end, says so again.
            assert isinstance(message, int), message
            assert message < number, message
    except smarm.ProcessDown:
        return False
    finally:
        smarm.demonitor(ref, flush=True)


def be_killer(protected, seed, stop):
    """Kill what is not protected; return how many were killed."""
    chance = random.Random(seed)
    killed = 0
    while not stop.closed:
        smarm.sleep(chance.random() * 0.01)
        victims = [pid for pid in smarm.processes() if pid not in protected and pid != smarm.self()]
        for pid in chance.sample(victims, min(len(victims), chance.choice([1, 1, 1, 5]))):
            reason = chance.choice(REASONS)
            if reason != "kill":
                info = smarm.process_info(pid)
                # An orderly end is one: nobody does a transient job again that was told to shut down.
                if info is not None and (info.name != "job" or reason != "shutdown"):
                    smarm.exit(pid, reason)
                continue
            ref = smarm.monitor(pid)
            smarm.kill(pid)
            smarm.receive(ref, timeout=PATIENCE)
            killed += 1
    return killed


def jobs_done(servers):
    return sum(smarm.call("vault", ("done_by", name)) for name in (*servers, "jobs"))


def main(seconds, seed, workers):
    chance = random.Random(seed)
    reports = Reports()
    Vault.start(name="vault", link=True)
    tree, servers = make_tree(workers)
    go_on, stop = smarm.channel()  # closed when all are to come to their end
    supervisor = tree.start()
    clients = {
        f"client {number}": smarm.spawn(
            be_client, f"client {number}", servers, chance.randrange(2**32), stop, on=number % workers, link=True
        )
        for number in range(CLIENTS)
    }
    clients["employer"] = smarm.spawn(be_employer, "employer", stop, link=True)
    protected = {smarm.self(), smarm.whereis("vault"), supervisor.pid, *(handle.pid for handle in clients.values())}
    killer = smarm.spawn(be_killer, protected, chance.randrange(2**32), stop, on="local", link=True)
    while reports.seconds() < seconds:
        smarm.sleep(INTERVAL)
        reports.write(jobs_done(servers))
    go_on.close()
    kills = killer.join(PATIENCE)
    for name, handle in clients.items():
        promised = handle.join(PATIENCE)
        noted = smarm.call("vault", ("last_of", name))
        assert noted == promised, f"{name} was promised {promised} pieces, {noted} were done"
    for name in servers:
        while smarm.whereis(name) is None:  # it comes back
            smarm.sleep(0.001)
    supervisor.stop()
    smarm.ServerRef("vault").stop()
    assert smarm.processes() == [smarm.self()]
    print(f"{kills} kills with a monitor, and about as many exits", file=sys.stderr)


if __name__ == "__main__":
    run_from_arguments(main, report_dead_letters=0)  # what is sent to the killed
