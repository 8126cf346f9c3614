"""An actor that does not park does not stop the others of its worker."""

import gc
import threading

import smarm


def run(main, **options):
    return smarm.run(main, workers=1, **options)


def busy():
    while True:
        pass


def test_a_busy_loop_lets_others_run():
    def main():
        hog = smarm.spawn(busy, on="local")
        for _ in range(20):
            smarm.sleep(0.001)
        smarm.kill(hog.pid)
        try:
            hog.join()
        except smarm.ActorKilled:
            return "others ran"

    assert run(main) == "others ran"


def test_a_loop_that_allocates_nothing_is_preempted_too():
    def main():
        stop = []

        def hog():
            n = 0
            while not stop:
                n ^= 1
            return "saw it"

        handle = smarm.spawn(hog)
        smarm.sleep(0.005)
        stop.append(True)
        return handle.join()

    assert run(main) == "saw it"


def test_preemptions_are_counted():
    def main():
        hogs = [smarm.spawn(busy, on="local") for _ in range(2)]
        smarm.sleep(0.02)
        for hog in hogs:
            smarm.kill(hog.pid)
        return smarm.statistics().workers[0].preemptions

    assert run(main) > 0


def test_without_a_time_slice_nobody_is_preempted():
    def main():
        seen = []
        smarm.spawn(lambda: seen.append("other"))
        for _ in range(300_000):
            pass
        return seen

    assert run(main, time_slice=0) == []


def test_no_preempt_keeps_the_worker():
    def main():
        seen = []
        smarm.spawn(lambda: seen.append("other"))
        with smarm.no_preempt():
            for _ in range(300_000):
                pass
            inside = list(seen)
        smarm.yield_now()
        return inside, seen

    inside, after = run(main, stall_threshold=0)
    assert (inside, after) == ([], ["other"])


def test_a_section_without_preemption_may_park_by_itself():
    def main():
        seen = []
        smarm.spawn(lambda: seen.append("other"))
        with smarm.no_preempt():
            smarm.yield_now()
            return seen

    assert run(main) == ["other"]


def test_check_is_harmless_when_the_slice_is_not_used_up():
    def main():
        for _ in range(1000):
            smarm.check()
        return "done"

    assert run(main) == "done"


def test_a_pool_thread_of_the_interpreter_does_not_take_the_request():
    def main():
        stop = threading.Event()

        def foreign():
            while not stop.is_set():
                sum(range(100))

        thread = threading.Thread(target=foreign)
        thread.start()
        hog = smarm.spawn(busy, on="local")
        for _ in range(5):
            smarm.sleep(0.001)
        smarm.kill(hog.pid)
        stop.set()
        thread.join()
        return "preempted beside a thread"

    assert run(main) == "preempted beside a thread"


def test_an_actor_that_parks_in_a_finaliser_during_a_collection_does_not_end_preemption():
    def main():
        class Parks:
            def __del__(self):
                smarm.sleep(0.005)

        def collect():
            cycle = Parks()
            cycle.itself = cycle
            del cycle
            gc.collect()
            return "collected"

        collector = smarm.spawn(collect)
        hog = smarm.spawn(busy, on="local")
        for _ in range(10):
            smarm.sleep(0.001)
        smarm.kill(hog.pid)
        return collector.join()

    assert run(main) == "collected"


def test_imports_of_several_actors_survive_preemption():
    modules = ["fractions", "difflib", "csv", "gettext", "html.parser", "http.cookies", "xml.dom.minidom", "wave"]

    def main():
        def load(name):
            return __import__(name).__name__

        handles = [smarm.spawn(load, name) for name in modules * 4]
        hog = smarm.spawn(busy, on="local")
        names = [handle.join() for handle in handles]
        smarm.kill(hog.pid)
        return names

    assert run(main, time_slice=1e-4) == [name.partition(".")[0] for name in modules * 4]


def test_results_are_right_under_very_short_slices():
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    def main():
        handles = [smarm.spawn(lambda: sorted(range(2000), key=lambda x: -x)[0] + fib(16)) for _ in range(8)]
        return [handle.join() for handle in handles]

    assert run(main, time_slice=1e-4) == [1999 + 987] * 8


def test_exceptions_being_handled_stay_with_their_actor_under_preemption():
    def main():
        def handle(number):
            for _ in range(200):
                try:
                    raise ValueError(number)
                except ValueError as error:
                    for _ in range(50):
                        pass
                    try:
                        raise
                    except ValueError as again:
                        assert again is error
                        assert again.args == (number,)
            return number

        return [h.join() for h in [smarm.spawn(handle, n) for n in range(6)]]

    assert run(main, time_slice=1e-4) == list(range(6))
