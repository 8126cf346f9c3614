"""The hand-made modules on two workers at once, from private copies: what the main interpreter answers, and each for itself."""

from __future__ import annotations

import pytest
from handmade import FAULTS, HANDMADE

# smarm runs here in processes of their own: what is loaded stays loaded.
TOGETHER = """
    import sys
    sys.path.append({folder!r})
    import handmade
    import smarm

    def use(name):
        return getattr(handmade, name)()

    def main():
        handles = [smarm.spawn(use, {name!r}, on=number) for number in (1, 2) * {times}]
        return smarm.join_all(handles)

    if __name__ == "__main__":
        for _ in range({runs}):
            print(smarm.run(main, workers=3, extensions="private"{options}))
"""


@pytest.fixture
def together(request, succeed, tmp_path):
    """Call a function of handmade.py on two workers at once; return what it returned, the first worker's first."""

    def together(name, *, runs=1, times=1, options=""):
        folder = str(request.path.parent)
        program = TOGETHER.format(folder=folder, name=name, runs=runs, times=times, options=options)
        out = succeed(program, env={"SMARM_EXTENSION_CACHE": str(tmp_path / "copies")})
        results = [eval(line) for line in out.splitlines()]
        return results[0] if runs == 1 else results

    return together


@pytest.mark.parametrize("name", HANDMADE)
def test_two_workers_answer_as_the_main_interpreter(name, together):
    use = HANDMADE[name]
    expected = use()
    assert together(use.__name__, times=3) == [expected] * 6


def test_threads_of_a_module_belong_to_its_importer(together):
    assert together("interpreters_of_threads") == [True, True]


@pytest.mark.parametrize("count", ["bundled_count", "ring_count", "unique_count"])
def test_each_worker_counts_for_itself(count, together):
    assert together(count) == [1001, 1001]


def test_libraries_that_need_each_other_may_be_in_memory(succeed, request, tmp_path):
    (tmp_path / "file").write_text("")
    program = TOGETHER.format(folder=str(request.path.parent), name="ring_count", runs=1, times=1, options="")
    assert succeed(program, env={"SMARM_EXTENSION_CACHE": str(tmp_path / "file")}) == "[1001, 1001]\n"


def test_the_next_run_finds_the_same_interpreters(together):
    assert together("bundled_count", runs=3) == [[1001, 1001], [2002, 2002], [3003, 3003]]


def test_libraries_that_are_shared_count_together(together):
    options = ', extensions_share=["libsmarm_test_base", "libsmarm_test_front"]'
    assert sorted(together("bundled_count", options=options)) == [1001, 2002]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_fails_as_in_the_main_interpreter(fault, succeed, tmp_path):
    program = """
        import os
        import smarm

        def work():
            os.environ["SMARM_TEST_FAULT"] = FAULT
            errors = set()
            for _ in range(50):
                try:
                    import smarm_test_faulty
                except Exception as error:
                    errors.add((type(error).__name__, str(error), repr(error.__cause__)))
            return errors

        if __name__ == "__main__":
            one, two = smarm.run(lambda: smarm.join_all([smarm.spawn(work, on=number) for number in (1, 0)]), workers=2, extensions="private")
            assert one == two, (one, two)
            print(len(one))
    """
    program = program.replace("= FAULT", f"= {fault!r}")
    assert succeed(program, env={"SMARM_EXTENSION_CACHE": str(tmp_path / "copies")}) == "1\n"
