"""smarm: Erlang's model in one process of stock CPython.

Plain blocking code in isolated actors, on every core, with messages that move.  Start with ``smarm.run(main)`` or
``smarm-host app.py``.
"""

from smarm import io as io
from smarm._codec import register_codec as register_codec
from smarm._config import Runtime as Runtime
from smarm._config import run as run
from smarm._core import Barrier as Barrier
from smarm._core import Buffer as Buffer
from smarm._core import Condition as Condition
from smarm._core import Event as Event
from smarm._core import JoinHandle as JoinHandle
from smarm._core import Mutex as Mutex
from smarm._core import Once as Once
from smarm._core import Pid as Pid
from smarm._core import Receiver as Receiver
from smarm._core import Semaphore as Semaphore
from smarm._core import Sender as Sender
from smarm._core import Source as Source
from smarm._core import TaskGroup as TaskGroup
from smarm._core import Timer as Timer
from smarm._core import __version__ as __version__
from smarm._core import after as after
from smarm._core import block_on_io as block_on_io
from smarm._core import call as call
from smarm._core import channel as channel
from smarm._core import check as check
from smarm._core import demonitor as demonitor
from smarm._core import exit as exit
from smarm._core import interval as interval
from smarm._core import kill as kill
from smarm._core import link as link
from smarm._core import mailbox as mailbox
from smarm._core import message_count as message_count
from smarm._core import monitor as monitor
from smarm._core import no_preempt as no_preempt
from smarm._core import processes as processes
from smarm._core import readable as readable
from smarm._core import receive as receive
from smarm._core import register as register
from smarm._core import reply as reply
from smarm._core import select as select
from smarm._core import self as self
from smarm._core import send as send
from smarm._core import send_after as send_after
from smarm._core import shield as shield
from smarm._core import sleep as sleep
from smarm._core import spawn as spawn
from smarm._core import timeout as timeout
from smarm._core import trap_exit as trap_exit
from smarm._core import unlink as unlink
from smarm._core import unregister as unregister
from smarm._core import worker_index as worker_index
from smarm._core import writable as writable
from smarm._core import yield_now as yield_now
from smarm._errors import ActorExit as ActorExit
from smarm._errors import ActorFailed as ActorFailed
from smarm._errors import ActorKilled as ActorKilled
from smarm._errors import ActorLimit as ActorLimit
from smarm._errors import AlreadyRunning as AlreadyRunning
from smarm._errors import BufferLimit as BufferLimit
from smarm._errors import BufferMoved as BufferMoved
from smarm._errors import Cancelled as Cancelled
from smarm._errors import Closed as Closed
from smarm._errors import ConfigError as ConfigError
from smarm._errors import DecodeError as DecodeError
from smarm._errors import DescriptorClosed as DescriptorClosed
from smarm._errors import EndOfStream as EndOfStream
from smarm._errors import ExtensionCacheError as ExtensionCacheError
from smarm._errors import Full as Full
from smarm._errors import LockPoisoned as LockPoisoned
from smarm._errors import LockTimeout as LockTimeout
from smarm._errors import MailboxFull as MailboxFull
from smarm._errors import NoRuntime as NoRuntime
from smarm._errors import NotRegistered as NotRegistered
from smarm._errors import NotSendable as NotSendable
from smarm._errors import NotThere as NotThere
from smarm._errors import ProcessDown as ProcessDown
from smarm._errors import SmarmError as SmarmError
from smarm._errors import StartFailed as StartFailed
from smarm._errors import StartIgnored as StartIgnored
from smarm._errors import SupervisorError as SupervisorError
from smarm._errors import Timeout as Timeout
from smarm._errors import TooLong as TooLong
from smarm._names import whereis as whereis
from smarm._signals import Call as Call
from smarm._signals import Down as Down
from smarm._signals import Exit as Exit
from smarm._signals import Ref as Ref
from smarm._signals import Signal as Signal
from smarm._tasks import join_all as join_all

__all__ = [
    "ActorExit",
    "ActorFailed",
    "ActorKilled",
    "ActorLimit",
    "AlreadyRunning",
    "Barrier",
    "BlockingStatistics",
    "Buffer",
    "BufferLimit",
    "BufferMoved",
    "BufferStatistics",
    "Call",
    "Cancelled",
    "Child",
    "ChildCount",
    "ChildInfo",
    "Closed",
    "Condition",
    "ConfigError",
    "DecodeError",
    "DescriptorClosed",
    "Down",
    "DynamicSupervisor",
    "EndOfStream",
    "Event",
    "Executor",
    "Exit",
    "ExtensionCacheError",
    "Full",
    "JoinHandle",
    "LockPoisoned",
    "LockTimeout",
    "MailboxFull",
    "Mutex",
    "NoRuntime",
    "NotRegistered",
    "NotSendable",
    "NotThere",
    "Once",
    "Pid",
    "Portal",
    "PortalTask",
    "ProcessDown",
    "ProcessInfo",
    "Receiver",
    "Ref",
    "Runtime",
    "Semaphore",
    "Sender",
    "Server",
    "ServerRef",
    "Signal",
    "SmarmError",
    "Source",
    "StartFailed",
    "StartIgnored",
    "Statistics",
    "Supervisor",
    "SupervisorError",
    "SupervisorRef",
    "TaskGroup",
    "Timeout",
    "Timer",
    "TooLong",
    "WorkerStatistics",
    "__version__",
    "after",
    "aio",
    "block_on_io",
    "call",
    "channel",
    "check",
    "demonitor",
    "exit",
    "interval",
    "io",
    "join_all",
    "kill",
    "link",
    "mailbox",
    "map",
    "message_count",
    "monitor",
    "net",
    "no_preempt",
    "portal",
    "process_info",
    "processes",
    "readable",
    "receive",
    "register",
    "register_codec",
    "reply",
    "run",
    "select",
    "self",
    "send",
    "send_after",
    "shield",
    "sleep",
    "spawn",
    "spawn_pool",
    "started",
    "statistics",
    "testing",
    "timeout",
    "trap_exit",
    "unlink",
    "unregister",
    "whereis",
    "worker_count",
    "worker_index",
    "writable",
    "yield_now",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smarm import aio as aio
    from smarm import net as net
    from smarm import testing as testing
    from smarm._pool import spawn_pool as spawn_pool
    from smarm._pool import worker_count as worker_count
    from smarm._portal import Portal as Portal
    from smarm._portal import PortalTask as PortalTask
    from smarm._portal import portal as portal
    from smarm._server import Server as Server
    from smarm._server import ServerRef as ServerRef
    from smarm._statistics import BlockingStatistics as BlockingStatistics
    from smarm._statistics import BufferStatistics as BufferStatistics
    from smarm._statistics import ProcessInfo as ProcessInfo
    from smarm._statistics import Statistics as Statistics
    from smarm._statistics import WorkerStatistics as WorkerStatistics
    from smarm._statistics import process_info as process_info
    from smarm._statistics import statistics as statistics
    from smarm.supervision.dynamic import DynamicSupervisor as DynamicSupervisor
    from smarm.supervision.references import ChildCount as ChildCount
    from smarm.supervision.references import ChildInfo as ChildInfo
    from smarm.supervision.references import SupervisorRef as SupervisorRef
    from smarm.supervision.specs import Child as Child
    from smarm.supervision.starting import started as started
    from smarm.supervision.static import Supervisor as Supervisor
    from smarm.work.executor import Executor as Executor
    from smarm.work.mapping import map as map
else:
    # At first use: what these need (dataclasses, typing) takes longer to import than all the rest.
    _LATE_MODULES = ("aio", "net", "testing")
    _LATE = {
        "BlockingStatistics": "_statistics",
        "BufferStatistics": "_statistics",
        "Child": "supervision.specs",
        "ChildCount": "supervision.references",
        "ChildInfo": "supervision.references",
        "DynamicSupervisor": "supervision.dynamic",
        "Executor": "work.executor",
        "Portal": "_portal",
        "PortalTask": "_portal",
        "ProcessInfo": "_statistics",
        "Server": "_server",
        "ServerRef": "_server",
        "Statistics": "_statistics",
        "Supervisor": "supervision.static",
        "SupervisorRef": "supervision.references",
        "WorkerStatistics": "_statistics",
        "map": "work.mapping",
        "portal": "_portal",
        "spawn_pool": "_pool",
        "worker_count": "_pool",
        "process_info": "_statistics",
        "started": "supervision.starting",
        "statistics": "_statistics",
    }

    def __getattr__(name):
        if name in _LATE_MODULES or name in _LATE:
            from importlib import import_module

            module = import_module(f"smarm.{_LATE.get(name, name)}")
            return module if name in _LATE_MODULES else getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return __all__
