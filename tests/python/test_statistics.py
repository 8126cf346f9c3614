"""statistics, processes and process_info."""

from __future__ import annotations

import dataclasses

import in_workers
import pytest

import smarm


def test_the_counters_count(alone):
    def main():
        before = smarm.statistics().workers[0]
        handles = [smarm.spawn(abs, -1) for _ in range(10)]
        for handle in handles:
            handle.join()
        for _ in range(5):
            smarm.send(smarm.self(), 1)
            smarm.receive()
        return before, smarm.statistics().workers[0]

    before, after = alone(main)
    assert after.started - before.started == 10
    assert after.finished - before.finished == 10
    assert after.messages - before.messages == 5
    assert after.switches - before.switches >= 10
    assert (before.actors, after.actors) == (1, 1)
    assert (before.index, before.sleeping) == (0, False)


def test_gauges_say_now(alone, wait_until_parked):
    def main():
        handles = [smarm.spawn(smarm.receive) for _ in range(8)]
        unstarted = smarm.statistics().workers[0]
        for handle in handles:
            wait_until_parked(handle.pid)
        parked = smarm.statistics()
        return unstarted, parked

    unstarted, parked = alone(main)
    assert (unstarted.actors, unstarted.ready, unstarted.stacks_in_use) == (9, 8, 1)
    worker = parked.workers[0]
    assert (worker.actors, worker.ready, worker.stacks_in_use) == (9, 0, 9)
    assert parked.actors == 9


def test_only_started_workers_are_listed(succeed):
    out = succeed("""
        import smarm
        def main():
            print([worker.index for worker in smarm.statistics().workers])
            smarm.spawn(abs, -1, on=2).join()
            print([worker.index for worker in smarm.statistics().workers])
        smarm.run(main, workers=4)
    """)
    assert out == "[0]\n[0, 2]\n"


def test_messages_between_workers_are_counted_where_they_arrive(succeed):
    out = succeed("""
        import smarm
        def collect(count):
            for _ in range(count):
                smarm.receive()
        def main():
            handle = smarm.spawn(collect, 20, on=1)
            for number in range(20):
                smarm.send(handle.pid, number)
            handle.join()
            workers = smarm.statistics().workers
            print(workers[0].messages, workers[1].messages, workers[1].messages_from_other_workers)
        smarm.run(main, workers=2)
    """)
    assert out == "20 0 20\n"


def test_what_is_told_is_frozen(alone):
    statistics = alone(smarm.statistics)
    info = alone(lambda: smarm.process_info(smarm.self()))
    for told in (statistics, statistics.workers[0], info):
        assert dataclasses.is_dataclass(told)
        name = dataclasses.fields(told)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(told, name, None)
    assert isinstance(statistics, smarm.Statistics)
    assert isinstance(statistics.workers[0], smarm.WorkerStatistics)
    assert isinstance(info, smarm.ProcessInfo)


def test_main_is_an_actor_with_a_name_and_no_parent(alone):
    info = alone(lambda: smarm.process_info(smarm.self()))
    assert (info.name, info.parent, info.state, info.worker, info.waiting_for) == ("main", None, "running", 0, None)


def test_every_state_is_told(alone, wait_until_parked):
    def main():
        tx, rx = smarm.channel(1)
        tx.send("full")
        handles = {
            "a message": smarm.spawn(smarm.receive, name="m"),
            "time": smarm.spawn(smarm.sleep, 1000),
            "a channel's value": smarm.spawn(lambda: empty_rx.recv()),
            "room in a channel": smarm.spawn(lambda: tx.send("more")),
            "another actor's end": smarm.spawn(lambda: handles["a message"].join()),
        }
        keep, empty_rx = smarm.channel()
        unstarted = smarm.process_info(handles["time"].pid)
        assert (unstarted.state, unstarted.waiting_for) == ("unstarted", None)
        for waiting_for, handle in handles.items():
            wait_until_parked(handle.pid, waiting_for)
        told = {waiting_for: smarm.process_info(handle.pid) for waiting_for, handle in handles.items()}
        smarm.send(handles["a message"].pid, 1)
        ready = smarm.process_info(handles["a message"].pid).state
        handles["a message"].join()
        return told, ready, smarm.process_info(handles["a message"].pid), smarm.self(), (keep, rx)

    told, ready, ended, parent, _ = alone(main)
    for waiting_for, info in told.items():
        assert (info.state, info.waiting_for, info.worker, info.parent) == ("parked", waiting_for, 0, parent)
    assert told["a message"].name == "m"
    assert ready == "ready"
    assert ended is None


def test_processes_lists_every_living_actor(alone):
    def main():
        handles = [smarm.spawn(smarm.receive) for _ in range(20)]
        ended = smarm.spawn(abs, -1)
        ended.join()
        return set(smarm.processes()) == {smarm.self(), *(handle.pid for handle in handles)}

    assert alone(main)


def test_actors_of_all_workers_are_seen_from_any(succeed):
    out = succeed("""
        import smarm
        def look(pids):
            return [smarm.process_info(pid).worker for pid in pids], len(smarm.processes())
        def park(tx):
            tx.send(smarm.worker_index())
            smarm.receive()
        def main():
            tx, rx = smarm.channel()
            handles = [smarm.spawn(park, tx, on=index, name=f"w{index}") for index in range(3)]
            for _ in handles:
                rx.recv()
            print(smarm.spawn(look, [handle.pid for handle in handles], on=2).join())
        smarm.run(main, workers=3)
    """)
    assert out == "([0, 1, 2], 5)\n"


@pytest.mark.parametrize("what", [None, 1, b"main", (0, 1)])
def test_process_info_of_what_is_no_actor_is_refused(alone, what):
    def main():
        with pytest.raises(TypeError, match=f"its registered name or what has a .pid, not by {type(what).__name__}"):
            smarm.process_info(what)

    alone(main)


def test_process_info_takes_a_name_and_what_has_a_pid(alone):
    def main():
        handle = smarm.spawn(smarm.receive)
        smarm.register("named", handle.pid)
        with pytest.raises(smarm.NotRegistered, match="no actor has the name 'nobody'"):
            smarm.process_info("nobody")
        infos = [smarm.process_info(by) for by in ("named", handle, handle.pid)]
        smarm.send(handle, "end")
        handle.join()
        return {info.pid == handle.pid for info in infos}, smarm.process_info(handle)

    assert alone(main) == ({True}, None)


def test_looking_at_actors_that_come_and_go_is_safe(succeed):
    out = succeed("""
        import smarm
        def churn(stop):
            lives = 0
            while True:
                for handle in [smarm.spawn(abs, -1, on="local") for _ in range(10)]:
                    lives += handle.join()
                try:
                    stop.recv(timeout=0)
                except smarm.Timeout:
                    continue
                except smarm.Closed:
                    return lives
        def main():
            tx, stop = smarm.channel()
            handles = [smarm.spawn(churn, stop, on=index) for index in range(3)]
            for _ in range(100):
                for pid in smarm.processes():
                    info = smarm.process_info(pid)
                    assert info is None or info.pid == pid
                smarm.statistics()
                smarm.yield_now()
            tx.close()
            print(all(handle.join() > 0 for handle in handles))
        smarm.run(main, workers=3)
    """)
    assert out == "True\n"


def test_an_idle_runtime_uses_no_cpu_to_speak_of(succeed):
    """Counted in wake-ups, not in time: workers that have nothing to do go to sleep and stay there.

    Some few are meant: the timer, its wheel, a look at stacks that ran deep once the worker has come to rest.
    """
    out = succeed("""
        import smarm
        def main():
            smarm.spawn(abs, -1, on=1).join()
            smarm.sleep(0.05)
            before = [worker.waits for worker in smarm.statistics().workers]
            smarm.sleep(0.5)
            after = [worker.waits for worker in smarm.statistics().workers]
            print(all(new - old <= 4 for old, new in zip(before, after)))
        smarm.run(main, workers=2)
    """)
    assert out == "True\n"


def test_the_module_of_the_workers_is_the_same_smarm(succeed):
    out = succeed("""
        import smarm
        def version():
            return smarm.__version__
        def main():
            print(smarm.spawn(version, on=1).join() == smarm.__version__)
        smarm.run(main, workers=2)
    """)
    assert out == "True\n"


def test_handles_of_actors_of_other_workers_report_their_state(succeed):
    out = succeed("""
        import smarm
        def work(rx):
            return rx.recv()
        def main():
            tx, rx = smarm.channel()
            handle = smarm.spawn(work, rx, on=1)
            print(repr(handle).rsplit(", ", 1)[1])
            tx.send(1)
            handle.join()
            print(repr(handle).rsplit(", ", 1)[1])
        smarm.run(main, workers=2)
    """)
    assert out == "running>\nreturned>\n"
    assert in_workers.where() is None
