"""What CPython, its C API and other threads see of the switches between actors."""

from __future__ import annotations

import _thread
import ctypes
import sys
import threading
import time

import pytest

import smarm
from smarm import _core

api = ctypes.pythonapi
for name in ("PyThreadState_GetUnchecked", "PyGILState_GetThisThreadState"):
    getattr(api, name).restype = ctypes.c_void_p
    getattr(api, name).argtypes = []


def current():
    """Return the address of the attached thread state, after a look at whether CPython agrees that it is."""
    state = api.PyThreadState_GetUnchecked()
    assert state == api.PyGILState_GetThisThreadState()
    assert api.PyGILState_Check() == 1
    return state


def states_of_a_round():
    """Let three actors send each other messages; return what thread states each of them saw."""

    def play():
        seen = set()
        for peer in iter(smarm.receive, None):
            seen.add(current())
            smarm.send(peer, smarm.self())
        return seen

    players = [smarm.spawn(play, on="local") for _ in range(3)]
    mine = set()
    for _ in range(100):
        for player in players:
            smarm.send(player.pid, smarm.self())
            smarm.receive()
            mine.add(current())
    for player in players:
        smarm.send(player.pid, None)
    return [*(player.join() for player in players), mine], _core._keeps_gil()


@pytest.mark.parametrize("on", ["local", 1], ids=["main lane", "worker"])
def test_each_actor_has_one_thread_state_of_its_own_and_the_gil(on):
    def main():
        return smarm.spawn(states_of_a_round, on=on).join()

    seen, keeps_gil = smarm.run(main, workers=2)
    assert [len(states) for states in seen] == [1, 1, 1, 1]
    assert len(set.union(*seen)) == 4
    assert keeps_gil, "switches fell back to PyThreadState_Swap: CPython's thread states are not what py_swap.c expects"


def test_a_callback_from_c_runs_in_the_actor_that_called_it(alone):
    """PyGILState_Ensure must find this actor's thread state, not the one of whoever ran before."""
    callback = ctypes.CFUNCTYPE(None)  # calls PyGILState_Ensure and PyGILState_Release
    local = threading.local()

    def work(number):
        local.number = number
        seen = []
        call_back = callback(lambda: seen.append((local.number, current())))
        for _ in range(20):
            call_back()
            smarm.yield_now()
        assert seen == [(number, current())] * 20

    alone(lambda: smarm.join_all([smarm.spawn(work, number) for number in range(5)]))


def test_actors_end_while_threads_ask_for_the_gil(alone):
    """A thread that waits for the GIL writes to the thread state that holds it, which may be about to end."""

    def main():
        stop = []
        rounds = [0, 0]

        def ask(index):
            while not stop:
                rounds[index] += 1
                time.sleep(0)

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        for index in range(2):
            _thread.start_new_thread(ask, (index,))
        try:
            while min(rounds) < 300:
                smarm.join_all([smarm.spawn(smarm.yield_now) for _ in range(50)])
        finally:
            sys.setswitchinterval(before)
            stop.append(True)
        return True

    assert alone(main)


def test_monitoring_that_is_switched_on_reaches_actors_that_are_parked(alone):
    def called():
        pass

    def work():
        for _ in iter(smarm.receive, None):
            called()
            smarm.yield_now()

    def main():
        tool, events = 3, sys.monitoring.events
        count = [0]

        def count_call(code, offset):
            if code is called.__code__:
                count[0] += 1

        workers = [smarm.spawn(work) for _ in range(3)]
        smarm.yield_now()
        sys.monitoring.use_tool_id(tool, "test")
        sys.monitoring.register_callback(tool, events.PY_START, count_call)
        sys.monitoring.set_events(tool, events.PY_START)
        try:
            for _ in range(10):
                for worker in workers:
                    smarm.send(worker.pid, True)
            for worker in workers:
                smarm.send(worker.pid, None)
            smarm.join_all(workers)
        finally:
            sys.monitoring.set_events(tool, 0)
            sys.monitoring.free_tool_id(tool)
        return count[0]

    assert alone(main) == 30


def test_a_request_for_the_gil_that_came_too_late_holds_nobody_up(succeed):
    """A thread may ask a state that has just handed over, and get the GIL from another: CPython would wait for it for ever."""
    out = succeed("""
import ctypes

import smarm

get = ctypes.pythonapi.PyThreadState_GetUnchecked
get.restype = ctypes.c_void_p
EVAL_BREAKER = 3 * ctypes.sizeof(ctypes.c_void_p)  # after prev, next and interp; bit 0: somebody wants the GIL

def work():
    smarm.send(smarm.receive(), get())
    smarm.receive()
    return sum(number % 7 for number in range(10_000))

def main():
    worker = smarm.spawn(work, on="local")
    smarm.send(worker.pid, smarm.self())
    ctypes.c_size_t.from_address(smarm.receive() + EVAL_BREAKER).value |= 1
    smarm.send(worker.pid, "go on")
    print(worker.join())

smarm.run(main, workers=1)
""")
    assert out == "29994\n"
