"""Supervised workers on all cores: some jobs crash their worker, which is replaced; no job is lost.

python examples/supervised_workers.py [JOBS [WORKERS]]
"""

import logging
import sys

import smarm
from smarm import Child, Supervisor


class Queue(smarm.Server):
    """Hands out jobs. A worker that dies gives its job back, and the second try of a job goes well."""

    def init(self, jobs, boss):
        self.waiting = [(job, 1) for job in range(jobs)]
        self.given = {}  # the ref of a worker's monitor: its job
        self.idle = []  # workers that wait for a job
        self.results = {}
        self.jobs = jobs
        self.boss = boss

    def handle_call(self, request, caller):
        self.idle.append(caller)
        self.give()
        return self.NO_REPLY

    def give(self):
        while self.waiting and self.idle:
            job, caller = self.waiting.pop(), self.idle.pop(0)
            self.given[smarm.monitor(caller.caller)] = job
            smarm.reply(caller, job)

    def handle_cast(self, result):
        job, value = result
        self.results[job] = value
        if len(self.results) == self.jobs:
            smarm.send(self.boss, self.results)

    def handle_info(self, message):
        match message:
            case smarm.Down(ref):
                job, attempt = self.given.pop(ref)
                if job not in self.results:
                    self.waiting.append((job, attempt + 1))
                    self.give()


def worker(queue):
    """Do one job; the supervisor starts the next worker."""
    job, attempt = smarm.ServerRef(queue).call("job", timeout=None)
    if job % 10 == 3 and attempt == 1:
        raise RuntimeError(f"job {job} went wrong")
    smarm.ServerRef(queue).cast((job, sum(range(job))))


def main(jobs, workers):
    logging.basicConfig(stream=sys.stdout, format="%(message).70s")  # crash reports, shortened
    children = [Child("queue", Queue, (jobs, smarm.self()), name="queue")]
    children += [Child(f"worker {number}", worker, ("queue",)) for number in range(workers)]
    with Supervisor(children, max_restarts=10 * jobs + 10).start():
        results = smarm.receive(dict)
    assert results == {job: sum(range(job)) for job in range(jobs)}
    print(f"{jobs} jobs are done, {sum(job % 10 == 3 for job in range(jobs))} of them at the second try")


if __name__ == "__main__":
    smarm.run(main, *(map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (40, 4)))
