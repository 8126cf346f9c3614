"""Extension modules of pybind11: several actors of a worker inside of them at once."""

import pytest

# What is left first was not entered last: pybind11's stack of calls, one for each thread, would be out of order.
CROSSING = """
    import smarm

    def work(turn):
        import smarm_test_pybind

        def called(name):
            if name == "b":
                smarm.sleep(0.02 * turn)
            return int(name in "abc")

        return smarm_test_pybind.call_with(["a", "b", "c"], called)

    def main():
        handles = [smarm.spawn(work, turn, on="main") for turn in (3, 1, 2, 1, 2, 3)]
        return smarm.join_all(handles)

    print(smarm.run(main, workers={workers}))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_actors_may_park_inside_and_leave_in_any_order(succeed, workers):
    assert succeed(CROSSING.format(workers=workers)) == "[3, 3, 3, 3, 3, 3]\n"


def test_actors_may_be_preempted_inside(succeed):
    out = succeed("""
        import smarm

        def work():
            import smarm_test_pybind

            for _ in range(40):
                assert smarm_test_pybind.call_with(["a"] * 50, lambda name: sum(range(3000)) and 1) == 50
            return "fine"

        def main():
            handles = [smarm.spawn(work, on="main") for _ in range(4)]
            print(smarm.join_all(handles))
            assert smarm.statistics().workers[0].preemptions > 0

        smarm.run(main, workers=1, time_slice=0.0001)
    """)
    assert out == "['fine', 'fine', 'fine', 'fine']\n"


def test_a_module_that_was_there_before_run(succeed):
    program = CROSSING.replace("    import smarm\n", "    import smarm, smarm_test_pybind\n", 1)
    assert succeed(program.format(workers=1)) == "[3, 3, 3, 3, 3, 3]\n"


def test_a_failure_inside_of_one_leaves_the_others_alone(succeed):
    out = succeed("""
        import smarm

        def work(turn):
            import smarm_test_pybind

            def called(name):
                smarm.sleep(0.01 * turn)
                if turn == 2:
                    raise ValueError(name)
                return 1

            try:
                return smarm_test_pybind.call_with(["a", "b"], called)
            except ValueError as error:
                return str(error)

        def main():
            return smarm.join_all([smarm.spawn(work, turn, on="main") for turn in (3, 2, 1)])

        print(smarm.run(main, workers=1))
    """)
    assert out == "[2, 'a', 2]\n"
