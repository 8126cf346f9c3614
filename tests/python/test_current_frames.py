"""sys._current_frames() and _current_exceptions() answer for the own interpreter: its threads and its actors."""

import sys
import threading

import smarm


def park_here():
    smarm.receive()


def own_frames():
    frames = sys._current_frames()
    return threading.get_ident(), {ident: frame.f_code.co_name for ident, frame in frames.items()}


def test_they_name_the_own_actors_and_threads_and_no_others(on):
    def main():
        parked = [smarm.spawn(park_here, on=on) for _ in range(3)]
        elsewhere = smarm.spawn(park_here, on=1 if on == "local" else "local")
        release = threading.Event()
        thread = threading.Thread(target=release.wait)
        thread.start()
        for handle in [*parked, elsewhere]:
            while smarm.process_info(handle.pid).state != "parked":
                smarm.yield_now()
        ident, names = smarm.spawn(own_frames, on=on).join()
        assert names.pop(ident) == "own_frames"
        mine = threading.get_ident()
        assert (mine in names) == (thread.ident in names) == (on == "local")
        names.pop(mine, None)
        names.pop(thread.ident, None)
        assert sorted(names.values()) == ["park_here"] * 3
        release.set()
        thread.join()
        for handle in [*parked, elsewhere]:
            smarm.send(handle.pid, "end")
        smarm.join_all([*parked, elsewhere])

    smarm.run(main, workers=2)


def look_many_times():
    for _ in range(300):
        assert threading.get_ident() in sys._current_frames()
        assert threading.get_ident() in sys._current_exceptions()


def spawn_many():
    for _ in range(300):
        smarm.spawn(int, on="local").join()


def test_workers_may_look_at_the_same_time_while_actors_come_and_go():
    def main():
        smarm.join_all([smarm.spawn(function, on=on) for on in (0, 1) for function in (look_many_times, spawn_many)])

    smarm.run(main, workers=2)


def test_current_exceptions_says_what_an_actor_handles(alone, wait_until_parked):
    def handle_error():
        try:
            raise ValueError("handled here")
        except ValueError:
            smarm.send(smarm.receive(), threading.get_ident())
            smarm.receive()

    def main():
        handle = smarm.spawn(handle_error)
        smarm.send(handle.pid, smarm.self())
        ident = smarm.receive()
        wait_until_parked(handle.pid)
        exceptions = sys._current_exceptions()
        assert str(exceptions[ident]) == "handled here"
        assert exceptions[threading.get_ident()] is None
        smarm.send(handle.pid, "end")
        handle.join()

    alone(main)
