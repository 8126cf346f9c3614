"""Native code has the stack that it expects: large frames, guards that no frame steps over, reports of those that overrun."""

import re
import signal

import pytest

import smarm

# Others are alive beside: what an overrun would write into is theirs.
FRAMES = """
    import smarm

    def work(kilobytes, levels):
        import smarm_test_frames

        return smarm_test_frames.use(kilobytes, levels)

    def parked(n):
        kept = [n] * 10
        smarm.receive()
        assert kept == [n] * 10
        return n

    def main():
        beside = [smarm.spawn(parked, n, on={on}) for n in range({beside})]
        handle = smarm.spawn(work, {kilobytes}, {levels}, on={on}, name="worker", stack_size={stack_size})
        more = [smarm.spawn(parked, n, on={on}) for n in range({beside}, 2 * {beside})]
        print(handle.join())
        for other in beside + more:
            smarm.send(other.pid, None)
        assert smarm.join_all(beside + more) == list(range(2 * {beside}))

    if __name__ == "__main__":
        smarm.run(main, workers=2)
"""


def frames(kilobytes, levels=1, on='"main"', stack_size=None, beside=100):
    return FRAMES.format(kilobytes=kilobytes, levels=levels, on=on, stack_size=stack_size, beside=beside)


@pytest.mark.parametrize("on", ['"main"', "1"])
@pytest.mark.parametrize(("kilobytes", "levels"), [(700, 1), (700, 8), (1500, 1), (1500, 4), (5000, 1)])
def test_frames_that_fit_a_threads_stack_fit_an_actors(succeed, kilobytes, levels, on):
    assert succeed(frames(kilobytes, levels, on)) == f"{kilobytes * levels * 1000}\n"


REPORT = r"smarm: stack overflow: C code has used up the \d+ KiB of actor <pid \d+\.\d+> 'worker'; .*stack_size"


def check_report(result):
    # Python's faulthandler, which run_app switches on, may stumble over the frames of others that were overwritten: SIGBUS.
    assert result.code in (-signal.SIGSEGV, -signal.SIGBUS), (result.out, result.err)
    assert re.search(REPORT, result.err), result.err
    assert re.search(r'  File ".*", line \d+, in work\n', result.err), result.err


@pytest.mark.unsanitized(reason="the sanitizer reports the fault itself")
@pytest.mark.parametrize("on", ['"main"', "1"])
@pytest.mark.parametrize("kilobytes", [700, 1500, 5000])
def test_more_than_the_stack_has_is_reported_with_actor_and_traceback(run_app, kilobytes, on):
    check_report(run_app(frames(kilobytes, 100, on)))


@pytest.mark.unsanitized(reason="the sanitizer reports the fault itself")
def test_a_frame_that_is_larger_than_a_small_stack_is_reported(run_app):
    check_report(run_app(frames(700, 1, stack_size=256 * 1024)))


@pytest.mark.unsanitized(reason="the sanitizer reports the fault itself")
@pytest.mark.parametrize("kilobytes", [1500, 5000])
def test_a_frame_that_reaches_over_the_guard_is_reported_as_well(run_app, kilobytes):
    check_report(run_app(frames(kilobytes, 1, stack_size=1024 * 1024, beside=0)))


# The first actors of a worker load the script, on the stacks that they have.
LOADING = """
    import smarm
    import smarm_test_frames

    used = smarm_test_frames.use(700)

    def work():
        return used

    def main():
        handles = [smarm.spawn(work, on=1{per_spawn}) for _ in range(3)]
        print(smarm.join_all(handles))

    if __name__ == "__main__":
        smarm.run(main, workers=2{per_run})
"""


@pytest.mark.parametrize(
    ("per_spawn", "per_run"), [(", stack_size=256 * 1024", ""), ("", ", stack_size=256 * 1024")], ids=["spawn", "run"]
)
def test_a_script_is_loaded_on_a_large_stack(succeed, per_spawn, per_run):
    assert succeed(LOADING.format(per_spawn=per_spawn, per_run=per_run)) == "[700000, 700000, 700000]\n"


def test_stacks_are_small_again_when_the_script_is_loaded(alone):
    def main():
        smarm.spawn(int, on=1).join()
        before = smarm.statistics().workers[1].stack_bytes_reserved
        handles = [smarm.spawn(smarm.receive, on=1, stack_size=256 * 1024) for _ in range(1000)]
        while smarm.statistics().workers[1].stacks_in_use < 1000:
            smarm.sleep(0.001)
        reserved = smarm.statistics().workers[1].stack_bytes_reserved - before
        for handle in handles:
            smarm.send(handle.pid, None)
        smarm.join_all(handles)
        return reserved

    assert alone(main, workers=2) < 600 * 1024 * 1024


def test_the_default_stack_has_eight_mebibytes_of_address_space(alone):
    def main():
        before = smarm.statistics().workers[0].stack_bytes_reserved
        handles = [smarm.spawn(smarm.receive) for _ in range(1000)]
        smarm.yield_now()
        reserved = smarm.statistics().workers[0].stack_bytes_reserved - before
        for handle in handles:
            smarm.send(handle.pid, None)
        smarm.join_all(handles)
        return reserved

    assert alone(main) >= 900 * 8 * 1024 * 1024


def test_python_leaves_native_code_room_at_the_end_of_its_recursion(succeed):
    out = succeed("""
        import smarm, smarm_test_frames

        def work():
            deepest = 0

            def key(depth):
                nonlocal deepest
                try:
                    sorted([depth + 1], key=key)
                except RecursionError:
                    deepest = max(deepest, smarm_test_frames.use(700))
                return 0

            key(0)
            return deepest

        print(smarm.run(lambda: smarm.spawn(work).join(), workers=1))
    """)
    assert out == "700000\n"


@pytest.mark.unsanitized(reason="the sanitizer's shadow of the stacks has page tables, too")
def test_what_a_parked_actor_costs_is_told_with_its_page_tables(alone):
    count = 2000

    def main(stack_size):
        before = smarm.statistics()
        handles = [smarm.spawn(smarm.receive, stack_size=stack_size) for _ in range(count)]
        while smarm.statistics().workers[0].ready:
            smarm.yield_now()
        after = smarm.statistics()
        for handle in handles:
            smarm.send(handle.pid, None)
        smarm.join_all(handles)
        # Its stack's page at least; for the rest a run before may have left memory.
        assert after.resident_bytes - before.resident_bytes >= 4096 * count
        return (after.page_table_bytes - before.page_table_bytes) / count

    assert 4096 <= alone(main, None) < 4800
    assert 500 <= alone(main, 256 * 1024) < 900
