"""Portals: from threads that run no actor, and from asyncio, to the runtime."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading

import in_workers
import pytest

import smarm

PATIENCE = 60


def in_thread(function, *arguments):
    """Run the function in a thread of its own and return what it returns or raises; the calling actor parks."""
    box = queue.SimpleQueue()

    def run():
        try:
            box.put((True, function(*arguments)))
        except BaseException as error:
            box.put((False, error))

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        smarm.sleep(0.0005)
    thread.join()
    worked, value = box.get()
    if worked:
        return value
    raise value


def spawn_for_ever(portal):
    while True:
        with contextlib.suppress(smarm.ActorKilled):  # it came before the end, and met it
            portal.spawn(abs, 1).result()


def run(main, *arguments, **options):
    return smarm.run(main, *arguments, **{"workers": 2} | options)


# ---- threads ---------------------------------------------------------------------------------------------------------


def test_a_thread_sends_by_pid_and_by_name():
    def main():
        portal = smarm.portal()
        me = smarm.self()
        smarm.register("main", me)
        in_thread(portal.send, me, ["by pid"])
        in_thread(portal.send, "main", "by name")
        return smarm.receive(), smarm.receive()

    assert run(main) == (["by pid"], "by name")


def test_a_thread_calls(on):
    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on=on)
        smarm.register("doubler", handle.pid)
        answers = in_thread(lambda: [portal.call(handle.pid, [number]) for number in range(20)])
        assert answers == [[number, number] for number in range(20)]
        return in_thread(portal.call, "doubler", "x")

    assert run(main) == "xx"


def test_many_threads_call_at_once(on):
    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on=on)
        results = [[] for _ in range(8)]

        def work(mine):
            mine.extend(portal.call(handle.pid, number) for number in range(25))

        threads = [threading.Thread(target=work, args=(mine,)) for mine in results]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            smarm.sleep(0.001)
        for thread in threads:
            thread.join()
        return results == [[number * 2 for number in range(25)]] * 8

    assert run(main)


def test_what_can_go_wrong_in_a_call(on):
    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on=on)
        with pytest.raises(smarm.Timeout, match="no answer"):
            in_thread(lambda: portal.call(handle.pid, "sleep", timeout=0.02))
        with pytest.raises(smarm.ProcessDown) as caught:
            in_thread(lambda: portal.call(handle.pid, "crash", timeout=None))
        assert isinstance(caught.value.reason, smarm.ActorFailed)
        with pytest.raises(smarm.ActorFailed):
            handle.join()
        with pytest.raises(smarm.ProcessDown, match="noproc"):
            in_thread(portal.call, handle.pid, 1)
        for use in (portal.call, portal.send):
            with pytest.raises(smarm.NotRegistered):
                in_thread(use, "nobody", 1)
            with pytest.raises(smarm.NotSendable):
                in_thread(use, handle.pid, threading.Lock())
            with pytest.raises(TypeError, match="its Pid, its registered name or what has a"):
                in_thread(use, 7, 1)
        with pytest.raises(ValueError, match="0 or more"):
            in_thread(lambda: portal.call(handle.pid, 1, timeout=-1))

    run(main)


def test_a_thread_meets_a_full_mailbox(on):
    def main():
        portal = smarm.portal()
        go, rx = smarm.channel()
        handle = smarm.spawn(in_workers.park_then_collect, rx, on=on, mailbox_limit=1)
        in_thread(portal.send, handle.pid, 1)
        for use in (portal.send, portal.call):
            with pytest.raises(smarm.MailboxFull):
                in_thread(use, handle.pid, 2)
        go.send(None)
        return handle.join()

    assert run(main) == [1]


def test_a_thread_spawns_and_waits():
    def main():
        portal = smarm.portal()

        def work():
            task = portal.spawn(in_workers.add, 2, 3)
            assert task.result(PATIENCE) == task.result() == 5
            assert task.done()
            places = [portal.spawn(in_workers.where, on=on).result(PATIENCE) for on in ("main", 0, 1)]
            failing = portal.spawn(in_workers.fail, "on purpose", name="failing")
            with pytest.raises(smarm.ActorFailed, match="on purpose") as caught:
                failing.result(PATIENCE)
            assert isinstance(caught.value.__cause__, ValueError)
            assert (caught.value.name, caught.value.pid) == ("failing", failing.pid)
            waiting = portal.spawn(in_workers.park)
            with pytest.raises(smarm.Timeout):
                waiting.result(timeout=0.01)
            assert repr(waiting) == f"<smarm.PortalTask of {waiting.pid}, running>"
            portal.send(waiting.pid, "end")
            assert waiting.result(PATIENCE) is None
            return places

        return in_thread(work)

    assert run(main) == [0, 0, 1]


def test_a_thread_can_be_the_first_to_use_another_worker():
    def main():
        portal = smarm.portal()
        return in_thread(lambda: portal.spawn(in_workers.where, on=2).result(PATIENCE))

    assert run(main, workers=3) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((), {}, TypeError, "positional"),
        ((1,), {}, TypeError, "something callable, not int"),
        ((abs, 1), {"on": "local"}, smarm.ConfigError, 'on= is "main", "spread", a worker'),
        ((abs, 1), {"on": 9}, smarm.ConfigError, "not 9"),
        ((abs, 1), {"link": True}, TypeError, "cannot link or monitor"),
        ((abs, 1), {"monitor": True}, TypeError, "cannot link or monitor"),
        ((abs, 1), {"size": 1}, TypeError, "unexpected keyword argument 'size'"),
        ((abs, threading.Lock()), {}, smarm.NotSendable, r"args\[0\]"),
        ((lambda: None,), {}, smarm.NotSendable, "function"),
    ],
)
def test_what_a_portal_cannot_spawn(arguments, options, error, message):
    def main():
        portal = smarm.portal()
        with pytest.raises(error, match=message):
            in_thread(lambda: portal.spawn(*arguments, **options))

    run(main)


def test_a_task_that_nobody_waits_for_is_reported(run_app):
    result = run_app("""
        import smarm, threading
        def fail():
            raise ValueError("unseen")
        def main():
            portal = smarm.portal()
            def work():
                portal.spawn(fail)
            thread = threading.Thread(target=work)
            thread.start()
            while thread.is_alive() or len(smarm.processes()) > 1:
                smarm.yield_now()
        smarm.run(main, workers=1)
    """)
    assert result.code == 0
    assert "nobody joined it" in result.err
    assert "ValueError: unseen" in result.err


def test_in_an_actor_a_portal_does_what_smarm_does():
    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on="local")
        portal.send(smarm.self(), "mail")
        assert smarm.receive() == "mail"
        assert portal.call(handle.pid, 4) == 8
        task = portal.spawn(in_workers.add, 1, 1, on="main")
        assert task.result(PATIENCE) == 2  # parks: the new actor runs on this very worker
        smarm.kill(handle.pid)

    run(main)


def test_a_portal_works_in_threads_of_other_interpreters():
    def main():
        handle = smarm.spawn(in_workers.double_calls, on="local")
        return smarm.spawn(in_workers.call_in_a_thread, handle.pid, on=1).join()

    assert run(main) == ("xx", 7)


# ---- where the portal leads ------------------------------------------------------------------------------------------


def test_a_portal_that_was_made_before_finds_the_runtime():
    portal = smarm.portal()
    assert not portal.running
    assert repr(portal) == "<smarm.Portal, closed>"
    with pytest.raises(smarm.NoRuntime, match="leads nowhere yet"):
        portal.spawn(abs, 1)
    pids = queue.SimpleQueue()

    def work():
        portal.send(pids.get(), "from before")

    thread = threading.Thread(target=work)
    thread.start()

    def main():
        pids.put(smarm.self())
        assert portal.running
        return smarm.receive()

    assert smarm.run(main, workers=1) == "from before"
    thread.join()


def test_after_the_end_a_portal_leads_nowhere_even_when_another_runtime_runs():
    portal, pid = smarm.run(lambda: (smarm.portal(), smarm.self()), workers=1)
    uses = [
        lambda: portal.send(pid, 1),
        lambda: portal.call(pid, 1),
        lambda: portal.spawn(abs, 1),
        lambda: asyncio.run(portal.call_async(pid, 1)),
    ]

    def all_fail():
        assert not portal.running
        for use in uses:
            with pytest.raises(smarm.NoRuntime, match="has ended"):
                use()

    all_fail()
    smarm.run(lambda: in_thread(all_fail), workers=1)


def test_threads_that_wait_at_the_end_of_the_runtime_are_freed():
    outcomes = queue.SimpleQueue()
    waiting = threading.Barrier(3)
    threads = []

    def caller(portal, pid):
        waiting.wait()
        with pytest.raises((smarm.NoRuntime, smarm.ProcessDown)) as caught:
            portal.call(pid, "sleep", timeout=None)
        outcomes.put(type(caught.value))

    def spawner(portal):
        task = portal.spawn(in_workers.park)
        waiting.wait()
        with pytest.raises(smarm.ActorKilled):
            task.result()
        with pytest.raises(smarm.NoRuntime):
            spawn_for_ever(portal)
        outcomes.put(smarm.ActorKilled)

    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on=1)
        threads.append(threading.Thread(target=caller, args=(portal, handle.pid)))
        threads.append(threading.Thread(target=spawner, args=(portal,)))
        for thread in threads:
            thread.start()
        while waiting.n_waiting < 2:
            smarm.yield_now()
        waiting.wait()

    run(main)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert outcomes.qsize() == 2


# ---- asyncio ---------------------------------------------------------------------------------------------------------


def test_asyncio_code_calls_and_awaits_actors(on):
    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on=on)

        async def work():
            answers = await asyncio.gather(*(portal.call_async(handle.pid, number) for number in range(50)))
            assert answers == [number * 2 for number in range(50)]
            task = portal.spawn(in_workers.add, 20, 22)
            assert await task == await task == 42
            with pytest.raises(smarm.ActorFailed, match="on purpose"):
                await portal.spawn(in_workers.fail, "on purpose")
            with pytest.raises(smarm.Timeout, match="no answer"):
                await portal.call_async(handle.pid, "sleep", timeout=0.02)
            with pytest.raises(smarm.NotRegistered):
                await portal.call_async("nobody", 1)
            portal.send(handle.pid, "ignored")
            return await asyncio.to_thread(portal.call, handle.pid, 1, timeout=None)

        return in_thread(lambda: asyncio.run(work()))

    assert run(main) == 2


def test_a_cancelled_call_is_given_up_and_a_cancelled_wait_is_not():
    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on=1)

        async def work():
            call = asyncio.create_task(portal.call_async(handle.pid, "sleep", timeout=None))
            task = portal.spawn(in_workers.park)

            async def wait():
                return await task

            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
            for each in (call, waiting):
                each.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await each
            assert not task.done()
            portal.send(task.pid, "end")
            return await task

        assert in_thread(lambda: asyncio.run(work())) is None
        while any((info := smarm.process_info(pid)) and info.name == "portal call" for pid in smarm.processes()):
            smarm.yield_now()

    run(main)


def test_a_loop_in_an_actor_waits_without_holding_up_its_worker():
    def main():
        portal = smarm.portal()
        handle = smarm.spawn(in_workers.double_calls, on="local")

        async def work():
            return await portal.spawn(in_workers.add, 1, 2, on="main"), await portal.call_async(handle.pid, 2)

        return asyncio.run(work())

    assert run(main) == (3, 4)
