"""Actors of the supervision tests.  A module of its own, so that other workers can import it without pytest."""

from __future__ import annotations

import smarm


class Crash(Exception):
    """What a child raises when it is told to."""


def obey():
    """Do what the messages say until one ends the actor."""
    while True:
        match smarm.receive():
            case "crash":
                raise Crash("told to")
            case "end":
                return
            case ("exit", reason):
                raise smarm.ActorExit(reason)


def child(boss, id):
    """Tell `boss` of each start and end.  Start it with ack=True: then what it tells comes in the order of events."""
    try:
        smarm.send(boss, ("up", id, smarm.self()))
        smarm.started()
        obey()
    finally:
        smarm.send(boss, ("down", id))


def asking_child(boss, id):
    """Fail during each start for which `boss` says so."""
    smarm.send(boss, ("up", id, smarm.self()))
    if smarm.call(boss, ("may start", id), timeout=None) == "fail":
        raise Crash("in init")
    try:
        smarm.started()
        obey()
    finally:
        smarm.send(boss, ("down", id))


def plain_child(boss, id):
    """Never say that it has started."""
    smarm.send(boss, ("up", id, smarm.self()))
    obey()


def failing_child(boss):
    raise Crash("in init")


def returning_child(boss):
    pass


def storm(boss):
    smarm.send(boss, "started")
    raise Crash("at once")


def deaf_child(boss, id):
    """Ignore what can be ignored: exit signals become messages that nobody reads."""
    smarm.trap_exit(True)
    child(boss, id)


def deaf():
    smarm.trap_exit(True)
    smarm.started()
    while True:
        smarm.receive()


def swallowing_child(boss, id):
    """Take ActorExit for an error to go on after, even that of kill, until there is a message."""
    smarm.send(boss, ("up", id, smarm.self()))
    while not smarm.message_count():
        try:
            smarm.started()
            smarm.receive()
        except smarm.ActorExit:
            pass


def shielded_child(boss, id):
    """Let nothing in until there is a message."""
    with smarm.shield():
        smarm.send(boss, ("up", id, smarm.self()))
        smarm.started()
        smarm.receive()


def careful_child(boss, id):
    """Ask `boss` before it ends."""
    smarm.trap_exit(True)
    smarm.send(boss, ("up", id, smarm.self()))
    smarm.started()
    asked = smarm.receive(smarm.Exit)
    smarm.call(boss, ("may end", id, asked.reason), timeout=None)


def child_that_calls_its_supervisor(boss, supervisor_name):
    try:
        smarm.SupervisorRef(supervisor_name).which_children()
    except RuntimeError as error:
        smarm.send(boss, str(error))
    smarm.started()
    obey()


def doomed_child(boss):
    """Have itself killed by `boss` before it has started."""
    smarm.call(boss, ("kill me", smarm.self()), timeout=None)
    smarm.receive()


def linked_to(boss, pid):
    smarm.trap_exit(True)
    smarm.link(pid)
    smarm.send(boss, "linked")
    smarm.send(boss, smarm.receive(smarm.Exit))


def start_supervisor(boss, supervisor):
    """Start a supervisor, tell how that went, and obey."""
    try:
        smarm.send(boss, supervisor.start())
    except smarm.StartFailed as error:
        smarm.send(boss, error)
    obey()


def which_worker(boss):
    smarm.send(boss, ("worker", smarm.worker_index()))
    obey()


def refuse_to_decode():
    raise ValueError("this cannot be decoded")


class Unwelcome:
    """Can be sent, but not received."""

    def __reduce__(self):
        return refuse_to_decode, ()


def ends_unspeakably(boss, how):
    smarm.send(boss, ("up", "a", smarm.self()))
    smarm.receive()
    if how == "exit":
        raise smarm.ActorExit(Unwelcome())
    error = Crash("told to")
    error.detail = Unwelcome()
    raise error


class Counter(smarm.Server):
    """Counts; terminates with a message to its boss."""

    def init(self, boss, start=0):
        self.boss = boss
        self.count = start
        smarm.send(boss, ("init", smarm.self()))

    def handle_call(self, request, caller):
        match request:
            case "count":
                return self.count
            case "crash":
                raise Crash("told to")
            case "later":
                self.waiting = caller
                return self.NO_REPLY
            case "last":
                self.stop()
                return "bye"
            case "exit":
                raise smarm.ActorExit("because")
            case "unsendable":
                return lambda: None
            case "worker":
                return smarm.worker_index()
            case "wait":
                return smarm.receive(lambda message: message == "go on")
            case "stop yourself":
                smarm.ServerRef(smarm.self()).stop()
            case "link":
                smarm.trap_exit(True)
                smarm.link(self.boss)
                return True

    def handle_cast(self, message):
        if message == "answer":
            smarm.reply(self.waiting, "at last")
        else:
            self.count += message

    def handle_info(self, message):
        smarm.send(self.boss, ("info", message))

    def terminate(self, reason):
        smarm.send(self.boss, ("terminated", reason))


class Broken(smarm.Server):
    def init(self, boss):
        raise Crash("in init")


class Restless(smarm.Server):
    """Uses continue and the idle timeout."""

    def init(self, boss):
        self.boss = boss
        self.proceed("from init")

    def handle_continue(self, value):
        smarm.send(self.boss, ("continue", value))

    def handle_cast(self, message):
        self.idle_timeout = 0.001

    def handle_timeout(self):
        smarm.send(self.boss, "idle")
        self.stop()


class Hasty(smarm.Server):
    """Calls proceed() twice where it is told to."""

    def init(self, boss, where):
        self.boss, self.where = boss, where
        self.go_on("init")

    def go_on(self, here):
        self.proceed(here)
        if here == self.where:
            self.proceed("again")

    def handle_continue(self, value):
        if value != "done":
            self.go_on("handle_continue" if value == "init" else "done")

    def handle_cast(self, message):
        self.go_on("handle_cast")


class Polite(smarm.Server):
    """Asks its boss before it does anything."""

    def init(self, boss):
        self.boss = boss

    def handle_cast(self, message):
        smarm.call(self.boss, message, timeout=None)


class Reluctant(smarm.Server):
    """Runs only when its boss says so."""

    def init(self, boss):
        if not smarm.call(boss, ("may run", smarm.self()), timeout=None):
            return self.IGNORE
        self.runs = True
        return None

    def terminate(self, reason):
        assert self.runs, "a server that was not started has nothing to clean up"


class Idle(smarm.Server):
    """Never runs, and takes its time to go."""

    def init(self):
        return self.IGNORE

    def __del__(self):
        smarm.sleep(1)


class Mute(smarm.Server):
    """Has no callbacks."""


class Slow(smarm.Server):
    def init(self, boss):
        smarm.send(boss, smarm.self())
        smarm.receive()
