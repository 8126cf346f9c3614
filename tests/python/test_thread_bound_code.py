"""Native code with thread-local variables of its own: actors are not made to give their worker away inside of it."""

import pytest

# Each call() is a stack of calls that another actor's would tear. Outside of them actors are preempted as ever.
CROSSING = """
    import smarm
    {top}

    def compute():
        sum(range(300))

    def work():
        {get}
        torn = 0
        for _ in range(30):
            torn += call(compute, 30)
            for _ in range(300):
                compute()
        return torn

    def main():
        print(smarm.join_all([smarm.spawn(work, on={on}) for _ in range(4)]))
        workers = smarm.statistics().workers
        assert sum(worker.preemptions for worker in workers) > 0

    if __name__ == "__main__":
        smarm.run(main, workers=2, time_slice=0.0001)
"""
IMPORT = "from smarm_test_thread_local import call"
CTYPES = (
    "import ctypes, importlib.util; "
    "library = ctypes.PyDLL(importlib.util.find_spec('smarm_test_thread_local').origin); "
    "kind = ctypes.PYFUNCTYPE(None); "
    "call = lambda function, times: library.call_plainly(kind(function), times)"
)


@pytest.mark.parametrize("on", ['"main"', "1"])
def test_actors_are_not_preempted_inside(succeed, on):
    assert succeed(CROSSING.format(top="", get=IMPORT, on=on)) == "[0, 0, 0, 0]\n"


def test_a_module_that_was_there_before_run(succeed):
    assert succeed(CROSSING.format(top=IMPORT, get="pass", on='"main"')) == "[0, 0, 0, 0]\n"


@pytest.mark.parametrize("on", ['"main"', "1"])
def test_a_library_that_ctypes_loads(succeed, on):
    assert succeed(CROSSING.format(top="", get=CTYPES, on=on)) == "[0, 0, 0, 0]\n"


def test_messages_encoded_inside_do_not_preempt_either(succeed):
    # The codec lets others run while it encodes something large.
    program = CROSSING.replace("sum(range(300))", "smarm.send(smarm.self(), [str(n) for n in range(300)])")
    program = program.replace("    return torn", "        [smarm.receive() for _ in range(330)]\n        return torn")
    assert succeed(program.format(top="", get=IMPORT, on='"main"')) == "[0, 0, 0, 0]\n"


def test_an_actor_may_park_inside(alone):
    import smarm

    def main():
        from smarm_test_thread_local import call

        me = smarm.self()
        handle = smarm.spawn(lambda: [smarm.send(me, n) for n in range(3)])
        got = []
        assert call(lambda: got.append(smarm.receive()), 3) == 0
        handle.join()
        return got

    assert alone(main) == [0, 1, 2]


def test_an_actor_that_leaves_such_code_is_preempted_again(succeed):
    # Two actors that wait for each other's progress without parking.
    out = succeed("""
        import smarm, smarm_test_thread_local

        done = []

        def work(me, other):
            smarm_test_thread_local.call(lambda: sum(range(100_000)), 10)
            done.append(me)
            while other not in done:
                pass
            return me

        def main():
            print(smarm.join_all([smarm.spawn(work, 1, 2), smarm.spawn(work, 2, 1)]))

        smarm.run(main, workers=1)
    """)
    assert out == "[1, 2]\n"
