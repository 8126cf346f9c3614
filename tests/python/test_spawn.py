"""smarm.spawn: what may be spawned, how arguments travel, and what the actor is told about itself."""

from __future__ import annotations

import functools
import threading

import in_workers
import pytest

import smarm

# ---- what may be spawned ---------------------------------------------------------------------------------------------


class Adder:
    def __init__(self, start):
        self.start = start

    def add(self, value):
        return self.start + value

    def __call__(self, value):
        return self.add(value)

    @classmethod
    def make(cls, start):
        return cls(start).start

    @staticmethod
    def twice(value):
        return 2 * value


@pytest.mark.parametrize(
    ("function", "arguments", "value"),
    [
        (abs, (-3,), 3),
        (len, ("four",), 4),
        (lambda a, b: a - b, (5, 2), 3),
        (in_workers.add, (1, 2), 3),
        (functools.partial(in_workers.add, 10), (5,), 15),
        (Adder(1).add, (2,), 3),
        (Adder(1), (3,), 4),
        (Adder.make, (6,), 6),
        (Adder.twice, (6,), 12),
        ("text".upper, (), "TEXT"),
        (int, ("42",), 42),
        (functools.partial(int, base=2), ("101",), 5),
        (print, (), None),
    ],
)
def test_anything_callable_runs_and_its_value_is_joined(alone, function, arguments, value):
    assert alone(lambda: smarm.spawn(function, *arguments).join()) == value


@pytest.mark.parametrize("thing", [None, 42, "print", b"", [print], object()])
def test_a_non_callable_is_refused(alone, thing):
    def main():
        with pytest.raises(TypeError, match=f"callable, not {type(thing).__name__}"):
            smarm.spawn(thing)
        return len(smarm.processes())

    assert alone(main) == 1


def test_spawn_needs_a_function(alone):
    def main():
        with pytest.raises(TypeError, match="function"):
            smarm.spawn()
        with pytest.raises(TypeError, match="function"):
            smarm.spawn(name="nobody")

    alone(main)


def test_an_unknown_option_is_refused_with_the_way_out(alone):
    def main():
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'base'.*functools\.partial"):
            smarm.spawn(int, "101", base=2)

    alone(main)


@pytest.mark.parametrize("name", [42, b"bytes", ["list"], object()])
def test_a_name_is_a_str(alone, name):
    def main():
        with pytest.raises(TypeError, match=f"name.*not {type(name).__name__}"):
            smarm.spawn(print, name=name)

    alone(main)


def test_a_name_that_is_not_text_is_refused(alone):
    def main():
        with pytest.raises(ValueError, match=r"name must be text that UTF-8 can hold, not '\\udc80'"):
            smarm.spawn(print, name="\udc80")

    alone(main)


@pytest.mark.parametrize("size", [0, 1, -1, 128 * 1024 - 1, 2**30 + 1, 2**62, 10**30, -(10**30)])
def test_a_stack_size_out_of_range_is_refused(alone, size):
    def main():
        with pytest.raises(smarm.ConfigError, match=r"stack_size must be from 131072 to 1073741824 bytes"):
            smarm.spawn(print, stack_size=size)
        return len(smarm.processes())

    assert alone(main) == 1


@pytest.mark.parametrize("size", ["131072", 131072.0, [1], b"1"])
def test_a_stack_size_is_a_whole_number(alone, size):
    def main():
        with pytest.raises(TypeError):
            smarm.spawn(print, stack_size=size)

    alone(main)


@pytest.mark.parametrize("size", [128 * 1024, 200_000, 1024 * 1024, 2**30, None])
def test_a_stack_size_within_range_is_taken(alone, size):
    assert alone(lambda: smarm.spawn(abs, -1, stack_size=size).join()) == 1


# ---- arguments -------------------------------------------------------------------------------------------------------


def test_a_mutable_argument_is_copied_whatever_the_placement(alone):
    def change(rows):
        rows.append("theirs")
        rows[0].append("theirs")
        return rows

    def main():
        rows = [["mine"], {"k": 1}]
        joined = smarm.spawn(change, rows).join()
        return rows, joined

    mine, theirs = alone(main)
    assert mine == [["mine"], {"k": 1}]
    assert theirs == [["mine", "theirs"], {"k": 1}, "theirs"]


def test_what_is_shared_within_the_arguments_stays_so(alone):
    def is_same(first, second, cyclic):
        return first is second, cyclic[0] is cyclic

    def main():
        rows = []
        cyclic = []
        cyclic.append(cyclic)
        return smarm.spawn(is_same, rows, rows, cyclic).join()

    assert alone(main) == (True, True)


@pytest.mark.parametrize("value", [None, True, 10**100, 1.5, "text" * 100, b"bytes" * 100, ("a", (1, 2.0))])
def test_an_immutable_argument_goes_by_reference_to_a_local_actor(alone, value):
    def main():
        seen = []
        smarm.spawn(lambda it: seen.append(it), value).join()
        return seen[0] is value

    assert alone(main)


def test_a_closure_shares_what_it_captures(alone):
    def main():
        counter = 0
        lock = threading.Lock()  # captured, not sent

        def add():
            nonlocal counter
            with lock:
                counter += 1

        for handle in [smarm.spawn(add) for _ in range(50)]:
            handle.join()
        return counter

    assert alone(main) == 50


UNSENDABLE = [
    (lambda lock: (lock,), r"args\[0\]: .*_thread\.lock"),
    (lambda lock: (1, lock), r"args\[1\]: "),
    (lambda lock: ({"rows": [1, 2, 3, {"lock": lock}]},), r"args\[0\]\['rows'\]\[3\]\['lock'\]: "),
    (lambda lock: ((1, (2, lock)),), r"args\[0\]\[1\]\[1\]: "),
    (lambda lock: (in_workers.Point(1, lock),), r"args\[0\]\.y: "),
    (lambda lock: ((number for number in (1, 2)),), r"args\[0\]: generator"),
    (lambda lock: (open("/dev/null"),), r"args\[0\]: .*TextIOWrapper"),  # noqa: SIM115 - closed by the caller
    (lambda lock: (threading,), r"args\[0\]: module"),
    (lambda lock: (smarm.spawn(abs, -1),), r"args\[0\]: .*JoinHandle"),
    (lambda lock: (memoryview(b"x"),), r"args\[0\]: memoryview"),
]


@pytest.mark.parametrize(("make", "message"), UNSENDABLE)
def test_the_path_to_an_argument_that_cannot_be_sent_is_named(alone, make, message):
    def main():
        arguments = make(threading.Lock())
        with pytest.raises(smarm.NotSendable, match=message) as caught:
            smarm.spawn(in_workers.identity, *arguments)
        for argument in arguments:
            if hasattr(argument, "close"):
                argument.close()
        assert isinstance(caught.value, TypeError)

    alone(main)


def test_an_argument_whose_own_code_fails_raises_what_it_raised(alone):
    class Spiteful:
        def __reduce_ex__(self, protocol):
            raise LookupError("spite")

    def main():
        with pytest.raises(LookupError, match="spite") as caught:
            smarm.spawn(in_workers.identity, [Spiteful()])
        return caught.value.__notes__

    assert any("args[0][0]" in note for note in alone(main))


def test_a_result_that_cannot_be_sent_fails_the_actor_with_its_path(alone):
    def main():
        with pytest.raises(smarm.ActorFailed, match=r"NotSendable.*result\['rows'\]\[1\]"):
            smarm.spawn(in_workers.unsendable).join()

    alone(main)


def test_a_mutable_result_is_the_joiners_own(alone):
    kept = []

    def make():
        rows = [1]
        kept.append(rows)
        return rows

    def main():
        handle = smarm.spawn(make)
        first, second = handle.join(), handle.join()
        first.append("changed")
        return second

    assert alone(main) == [1]
    assert kept == [[1]]


# ---- the new actor ---------------------------------------------------------------------------------------------------


def test_spawn_does_not_run_the_actor_before_the_spawner_parks(alone):
    def main():
        ran = []
        handle = smarm.spawn(lambda: ran.append(1))
        before = list(ran)
        handle.join()
        return before, ran

    assert alone(main) == ([], [1])


def test_an_actor_knows_its_pid_and_the_handle_has_the_same(alone):
    def main():
        handle = smarm.spawn(smarm.self)
        pid = handle.join()
        return pid == handle.pid != smarm.self()

    assert alone(main)


def test_pids_are_values(alone):
    def main():
        return [smarm.spawn(abs, -1).pid for _ in range(100)], smarm.self()

    pids, own = alone(main)
    assert len({*pids, own}) == 101
    assert sorted(pids) == sorted(pids, key=lambda pid: (pid.generation, pid.index))
    assert str(pids[0]) == f"<pid {pids[0].index}.{pids[0].generation}>"
    assert pids[0] != (pids[0].index, pids[0].generation)
    with pytest.raises(AttributeError):
        pids[0].index = 5
    with pytest.raises(TypeError):
        smarm.Pid(1, 1)
    with pytest.raises(TypeError):
        pids[0] < 5  # noqa: B015


def test_no_two_actors_have_the_same_pid(alone):
    def main():
        pids = set()
        for _ in range(200):
            handles = [smarm.spawn(smarm.self) for _ in range(10)]
            pids.update(handle.join() for handle in handles)
        return len(pids)

    assert alone(main) == 2000


def test_an_actor_may_spawn_deep_and_wide(alone):
    def main():
        def down(level):
            return 0 if level == 0 else 1 + smarm.spawn(down, level - 1).join()

        def wide(level):
            if level == 0:
                return 1
            handles = [smarm.spawn(wide, level - 1) for _ in range(3)]
            return sum(handle.join() for handle in handles)

        return smarm.spawn(down, 500).join(), smarm.spawn(wide, 6).join()

    assert alone(main) == (500, 729)


def test_dropping_the_handle_does_not_end_the_actor(alone, wait_until):
    def main():
        done = []

        def work():
            smarm.yield_now()
            done.append(1)

        smarm.spawn(work)
        wait_until(lambda: done)

    alone(main)


def test_a_name_may_hold_any_text(alone):
    def main():
        names = ["plain", "", "ünïcödé \N{SNAKE}", "nul\0inside", "n" * 10_000]
        handles = [smarm.spawn(smarm.receive, name=name) for name in names]
        return names, [smarm.process_info(handle.pid).name for handle in handles]

    names, seen = alone(main)
    assert seen == names


def test_the_spawn_site_and_the_parent_are_known(alone):
    def main():
        handle = smarm.spawn(smarm.receive)
        info = smarm.process_info(handle.pid)
        return info.parent == smarm.self(), info.spawned_at

    is_parent, site = alone(main)
    assert is_parent
    file, _, line = site.rpartition(":")
    assert file == __file__
    assert int(line) == main_line() + 1


def main_line() -> int:
    return test_the_spawn_site_and_the_parent_are_known.__code__.co_firstlineno + 1


def test_spawning_while_the_runtime_shuts_down_is_refused(alone, wait_until_parked):
    refused = []

    def park():
        try:
            smarm.receive()
        finally:
            try:
                smarm.spawn(print)
            except smarm.NoRuntime as error:
                refused.append(str(error))

    alone(lambda: wait_until_parked(smarm.spawn(park).pid))
    assert refused == ["the runtime is shutting down: it takes no new actors"]


def test_the_arguments_are_dropped_when_the_actor_has_ended(alone):
    import weakref

    class Thing:
        pass

    def main():
        thing = Thing()
        alive = weakref.ref(thing)
        handle = smarm.spawn(functools.partial(lambda it: None, thing))
        del thing
        held = alive() is not None
        handle.join()
        return held, alive() is None

    assert alone(main) == (True, True)
