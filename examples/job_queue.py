"""A job queue on sqlite: python examples/job_queue.py [FILE]

One server owns the database and gives jobs to a pool of workers.  A job whose worker crashes goes back into the queue;
the third crash marks it as failed.
"""

import sqlite3
import sys
from typing import NamedTuple

import smarm
from smarm import Child, Supervisor

TRIES = 3


class Job(NamedTuple):
    """One job."""

    id: int
    number: int


class Jobs(smarm.Server):
    """The queue: owns the database, and answers one request at a time."""

    def init(self, file: str) -> None:
        # Its calls run on threads of a pool, one at a time but not always the same.
        self.database = sqlite3.connect(file, check_same_thread=False)
        self.running: dict[smarm.Pid, int] = {}
        self.execute(
            "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, number INTEGER, tries INTEGER, result TEXT)"
        )

    def execute(self, statement: str, *values: object) -> list[tuple[int, ...]]:
        def call() -> list[tuple[int, ...]]:
            with self.database:
                return self.database.execute(statement, values).fetchall()

        return smarm.block_on_io(call)

    def handle_call(self, request: object, caller: smarm.Call) -> object:
        match request:
            case ("add", int(number)):
                self.execute("INSERT INTO jobs (number, tries) VALUES (?, 0)", number)
                return None
            case "take":
                return self.take(caller.pid)
            case ("done", int(job), str(result)):
                self.running.pop(caller.pid)
                self.execute("UPDATE jobs SET result = ? WHERE id = ?", result, job)
                return None
            case "results":
                return self.execute("SELECT number, result FROM jobs ORDER BY id")
            case _:
                raise ValueError(request)

    def take(self, worker: smarm.Pid) -> Job | None:
        busy = ",".join(map(str, self.running.values()))
        found = self.execute(
            f"SELECT id, number FROM jobs WHERE result IS NULL AND id NOT IN ({busy}) ORDER BY id LIMIT 1"
        )
        if not found:
            return None
        job = Job(*found[0])
        self.execute("UPDATE jobs SET tries = tries + 1 WHERE id = ?", job.id)
        self.running[worker] = job.id
        smarm.monitor(worker)
        return job

    def handle_info(self, message: object) -> None:
        if isinstance(message, smarm.Down) and (job := self.running.pop(message.pid, None)) is not None:
            self.execute("UPDATE jobs SET result = 'failed' WHERE id = ? AND tries >= ?", job, TRIES)


def work(name: str) -> None:
    """Do jobs until there are none."""
    jobs = smarm.ServerRef("jobs")
    while job := jobs.call("take", wait=1):
        if job.number == 13:
            raise ValueError("no luck")
        jobs.call(("done", job.id, str(job.number**2)))


def main(file: str) -> None:
    Jobs.start(file, name="jobs")
    jobs = smarm.ServerRef("jobs")
    for number in (7, 12, 13, 14):
        jobs.call(("add", number))
    workers = [Child(f"worker {n}", work, (f"worker {n}",), restart="transient", significant=True) for n in range(2)]
    pool = Supervisor(workers, max_restarts=10, auto_shutdown="all_significant").start(link=False)
    smarm.receive(smarm.monitor(pool))
    for number, result in jobs.call("results"):
        print(number, result)


if __name__ == "__main__":
    import logging

    logging.getLogger("smarm.supervisor").setLevel(logging.CRITICAL)  # the crashes are meant
    smarm.run(main, sys.argv[1] if len(sys.argv) > 1 else ":memory:")
