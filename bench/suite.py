"""What is measured: every benchmark, and the programs that are its rows. The first row is ours; ratios refer to it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Program:
    """One row: a command that prints one JSON line. run.py fills in {smarm}, {peers}, {out} and {build}."""

    label: str
    peer: str  # what must be there: a name of peer_setup.PEERS
    command: tuple[str, ...]
    server: bool = False  # serves TCP until its stdin is closed; the load generator measures it


@dataclass(frozen=True)
class Benchmark:
    name: str
    title: str
    less_is_better: bool
    programs: tuple[Program, ...]
    columns: dict[str, str] = field(default_factory=dict)  # key of extra: heading, shown as medians
    timeout: int = 120
    aim: str = ""


def words(arguments):
    return tuple(arguments.split())


def ours(label, module, arguments=""):
    return Program(f"smarm {label}".strip(), "smarm", ("{smarm}", "-m", f"bench.smarm.{module}", *words(arguments)))


def python(peer, benchmark, arguments="", label="", module=""):
    command = ("{peers}", "-m", f"bench.peers.python.{module or peer}", benchmark, *words(arguments))
    return Program(label or peer, peer, command)


def uvloop(benchmark, arguments="", label="uvloop"):
    return python("uvloop", benchmark, f"loop=uvloop {arguments}", label, "asyncio")


def go(procs, benchmark, arguments="", label=""):
    command = ("env", f"GOMAXPROCS={procs}", "{out}/gobench", benchmark, *words(arguments))
    return Program(label or f"Go, {procs} P", "go", command)


def erlang(schedulers, benchmark, arguments="", label=""):
    flags = f"-noshell +S {schedulers}:{schedulers} +P 4000000 +sbt u -pa {{out}}"
    command = words(f"erl {flags} -run bench main {benchmark} {arguments}")
    return Program(label or f"Erlang, {schedulers} scheduler{'s' * (schedulers > 1)}", "erlang", command)


def tokio(workers, benchmark, arguments="", label=""):
    command = ("{out}/tokio/release/tokio-bench", benchmark, *words(arguments), f"workers={workers}")
    return Program(
        label or ("tokio, current thread" if workers == 0 else f"tokio, {workers} workers"), "tokio", command
    )


def loops(benchmark, arguments=""):
    return (
        python("asyncio", benchmark, arguments),
        uvloop(benchmark, arguments),
        python("gevent", benchmark, arguments),
        python("trio", benchmark, arguments),
    )


def one_core(benchmark, arguments=""):
    return go(1, benchmark, arguments), erlang(1, benchmark, arguments), tokio(0, benchmark, arguments)


def two_cores(benchmark, arguments=""):
    return go(2, benchmark, arguments), erlang(2, benchmark, arguments), tokio(2, benchmark, arguments)


def native(label, program, arguments="", peer="native"):
    return Program(label, peer, ("{build}/bench/" + program, *words(arguments)))


def pure_python(name):
    programs = (
        ours("alone in an actor", "pure_python", f"benchmark={name}"),
        ours("beside a ticking actor", "pure_python", f"benchmark={name} tickers=1"),
        Program("python", "smarm", ("{smarm}", "-m", "bench.pure_python", name)),
    )
    return Benchmark(
        f"pure_{name}",
        f"Pure Python ({name}) inside an actor, seconds",
        True,
        programs,
        {"preemptions": "preemptions"},
        aim="within 3 % of plain python",
    )


def server(program):
    """An echo server of one scheduler: it gets CPU 0 for itself, the load generator has CPU 1."""
    return Program(program.label, program.peer, ("taskset", "-c", "0", *program.command), server=True)


def started(label, command):
    return Program(label, "smarm", ("{smarm}", "-m", "bench.start_up", *command))


POOLS = (
    ("threads", "threads", "ThreadPoolExecutor(2)"),
    ("multiprocessing", "processes", "ProcessPoolExecutor(2)"),
    ("interpreter pool", "interpreters", "InterpreterPoolExecutor(2)"),
    ("multiprocessing", "pool", "multiprocessing.Pool(2)"),
    ("joblib", "joblib", "joblib, loky, 2 jobs: calls put together"),
    ("ray", "ray", "Ray, 2 CPUs"),
)


def pools(arguments, fewer=(), without=()):
    """A row for each pool of the peers; ``fewer`` says with which arguments the slow ones of them make do."""
    fewer = dict(fewer)
    return tuple(
        python(peer, pool, fewer.get(pool, arguments), label, "work")
        for peer, pool, label in POOLS
        if pool not in without
    )


MEMORY = {
    "resident_bytes": "RSS, bytes",
    "page_table_bytes": "page tables, bytes",
    "create_s": "create s",
    "wake_all_s": "wake all s",
}
LATENESS = {"late_p50_ms": "late p50 ms", "late_p99_ms": "late p99 ms", "late_max_ms": "late max ms"}

BENCHMARKS = (
    Benchmark(
        "primes",
        "Primes below 2,000,000 over 64 actors, seconds",
        True,
        (
            ours("2 workers", "primes", "workers=2"),
            ours("1 worker", "primes", "workers=1"),
            python("multiprocessing", "primes", label="multiprocessing.Pool(2)"),
            python("interpreters", "primes", label="2 subinterpreters by hand"),
            python("threads", "primes", label="ThreadPoolExecutor(2)"),
            python("asyncio", "primes"),
            *two_cores("primes"),
            *one_core("primes"),
        ),
        aim="two workers take half the time of one, and no longer than multiprocessing.Pool(2)",
    ),
    Benchmark(
        "pingpong",
        "Ping-pong on one worker, round trips/s",
        False,
        (
            ours("channels", "pingpong"),
            ours("mailboxes", "pingpong", "via=mailbox"),
            *loops("pingpong"),
            python("greenlet", "pingpong", label="bare greenlet"),
            python("runloom", "pingpong"),
            python("threads", "pingpong"),
            python("pykka", "pingpong"),
            *one_core("pingpong"),
        ),
        aim="ahead of Go and tokio, 1.5 x runloom",
    ),
    Benchmark(
        "pingpong_cross",
        "Ping-pong between two cores, round trips/s",
        False,
        (
            ours("channels", "pingpong_cross"),
            ours("mailboxes", "pingpong_cross", "via=mailbox"),
            python("multiprocessing", "pingpong", label="multiprocessing.Pipe"),
            python("interpreters", "pingpong", label="subinterpreters, pipes"),
            go(2, "pingpong", "osthreads=1 n=200000", "Go, 2 OS threads"),
            erlang(2, "pingpong", "bind=1 n=200000", "Erlang, bound to 2 schedulers"),
            tokio(0, "pingpong", "cross=1 n=100000", "tokio, 2 runtimes"),
        ),
        {"us_each_way": "us one way"},
        aim=">= 0.4 M round trips/s",
    ),
    Benchmark(
        "ring",
        "A token round 1,000 actors, hops/s",
        False,
        (
            ours("channels", "ring"),
            ours("mailboxes", "ring", "via=mailbox"),
            *loops("ring", "laps=200"),
            python("greenlet", "ring", label="bare greenlet"),
            python("runloom", "ring", "laps=200"),
            python("threads", "ring", "laps=20"),
            python("pykka", "ring", "laps=20"),
            *one_core("ring"),
        ),
        aim="ahead of Go and tokio",
    ),
    Benchmark(
        "spawn",
        "Spawn and join, spawns/s",
        False,
        (
            ours("", "spawn"),
            *loops("spawn"),
            python("greenlet", "spawn", label="bare greenlet"),
            python("runloom", "spawn", "n=20000"),
            python("threads", "spawn", "n=20000 wave=100"),
            python("pykka", "spawn", "n=5000"),
            python("multiprocessing", "spawn", label="multiprocessing fork"),
            *one_core("spawn"),
        ),
        aim=">= Erlang on one scheduler, 5 x asyncio, 10 x runloom and gevent",
    ),
    Benchmark(
        "churn",
        "1,000,000 actors one after the other, spawns/s",
        False,
        (ours("", "churn"),),
        {
            "rss_bytes_grown": "RSS grown, bytes",
            "fds_grown": "descriptors grown",
            "threads_grown": "threads grown",
            "actors_grown": "thread states grown",
        },
        aim="nothing grows",
    ),
    Benchmark(
        "work_tiny",
        "100,000 calls that do nothing, on 2 workers, calls/s",
        False,
        (
            ours("Executor", "work", "kind=tiny n=100000"),
            ours("Executor outside of a runtime", "work", "kind=tiny n=100000 outside=1"),
            *pools(
                "kind=tiny n=100000",
                dict.fromkeys(("processes", "pool", "interpreters", "ray"), "kind=tiny n=20000"),
            ),
        ),
        {"us_per_task": "us per call"},
        300,
        aim=">= 10 x ProcessPoolExecutor, >= 3 x InterpreterPoolExecutor",
    ),
    Benchmark(
        "work_spin",
        "1,000 calls that compute for about 10 ms, on 2 workers, calls/s",
        False,
        (
            ours("Executor", "work", "kind=spin n=1000"),
            ours("Executor outside of a runtime", "work", "kind=spin n=1000 outside=1"),
            *pools("kind=spin n=1000"),
        ),
        {"us_per_task": "us per call"},
        300,
        aim="level with processes",
    ),
    Benchmark(
        "work_arrays",
        "200 calls with an array of 1 MiB in and out, on 2 workers, calls/s",
        False,
        (
            ours("Executor, bytearray", "work", "kind=arrays n=200"),
            ours("Executor, Buffer", "work", "kind=arrays n=200 arrays=buffer"),
            *pools("kind=arrays n=200", without=("threads",)),
        ),
        {"us_per_task": "us per call"},
        aim=">= 5 x processes where arrays move",
    ),
    Benchmark(
        "work_map",
        "1,000,000 items through map, on 2 workers, items/s",
        False,
        (
            ours("map", "work", "kind=map n=1000000"),
            ours("map outside of a runtime", "work", "kind=map n=1000000 outside=1"),
            *pools("kind=map n=1000000", dict.fromkeys(("threads", "interpreters", "joblib"), "kind=map n=100000")),
        ),
        {"us_per_task": "us per item"},
        300,
    ),
    Benchmark(
        "work_first",
        "From the start of a process to its first result from a worker, ms",
        True,
        (ours("map", "work", "kind=first"), *pools("kind=first", without=("threads", "ray"))),
        {"least_ms": "least ms"},
        aim="<= 40 ms",
    ),
    Benchmark(
        "memory",
        "A parked actor with its mailbox, 100,000 of them, bytes of RSS and page tables",
        True,
        (
            ours("mailbox", "memory"),
            ours("mailbox, stack_size=256 KiB", "memory", "stack=262144"),
            ours("channel", "memory", "via=channel"),
            *loops("idle"),
            python("greenlet", "idle", label="bare greenlet"),
            python("runloom", "idle", "n=30000", "runloom, 30,000"),
            python("threads", "idle", label="threads, 10,000"),
            python("pykka", "idle", "n=3000", "pykka, 3,000"),
            python("multiprocessing", "idle", label="multiprocessing fork, 200"),
            python("interpreters", "idle", label="subinterpreters, 100"),
            *one_core("idle"),
        ),
        MEMORY,
        aim="<= 9.2 KB on 3.13, 10 KB on 3.15; with stack_size=256 KiB 5.5 and 6.3 KB",
    ),
    Benchmark(
        "memory_1m",
        "A parked actor with its mailbox, 1,000,000 of them, bytes of RSS and page tables",
        True,
        (
            ours("mailbox, stack_size=256 KiB", "memory", "n=1000000 stack=262144"),
            python("asyncio", "idle", "n=1000000"),
            go(1, "idle", "n=1000000"),
            erlang(1, "idle", "n=1000000"),
            tokio(0, "idle", "n=1000000"),
        ),
        MEMORY,
        300,
        aim="created in <= 10 s",
    ),
    Benchmark(
        "visit",
        "Waking one of many parked actors, in random order, us per visit",
        True,
        (
            *(ours(f"{n:,} actors", "visit", f"n={n}") for n in (100_000, 10, 100, 1000, 10_000, 1_000_000)),
            native("no actors: a word of each of 100,000 stacks, in C++", "stack_visit"),
        ),
        {"p50_us": "p50 us", "p99_us": "p99 us", "loop_us": "with the loop around it, us"},
        300,
        aim="<= 1.5 us at 100,000; p99 flat",
    ),
    Benchmark(
        "fan_in",
        "Eight producers to one consumer, messages/s",
        False,
        (
            ours("channel of 1,024", "fan_in"),
            ours("unbounded channel", "fan_in", "capacity=0"),
            ours("mailbox", "fan_in", "via=mailbox"),
            *loops("fan_in", "n=200000"),
            python("threads", "fan_in", "n=400000"),
            python("multiprocessing", "fan_in", "n=100000"),
            python("pykka", "fan_in", "n=100000"),
            *one_core("fan_in"),
        ),
        aim=">= Erlang on one scheduler",
    ),
    Benchmark(
        "fan_in_cross",
        "Eight producers on one core to one consumer on another, messages/s",
        False,
        (
            ours("channel of 1,024", "fan_in", "cross=1"),
            ours("unbounded channel", "fan_in", "cross=1 capacity=0"),
            ours("mailbox", "fan_in", "cross=1 via=mailbox"),
            python("multiprocessing", "fan_in", "n=100000"),
            *two_cores("fan_in"),
        ),
        aim=">= 3 M",
    ),
    Benchmark(
        "fairness",
        "100 actors that tick every 10 ms beside one that never stops, one worker, p99 lateness in ms",
        True,
        (
            ours("", "fairness"),
            ours("beside 100,000 parked actors", "fairness", "parked=100000"),
            *loops("fairness"),
            python("threads", "fairness"),
            *one_core("fairness"),
        ),
        {
            "late_p50_ms": "p50",
            "late_p99_ms": "p99",
            "late_max_ms": "max",
            "busy_late_p99_ms": "p99 beside while True",
            "hog_share_percent": "hog's speed, % of alone",
        },
    ),
    Benchmark(
        "hogs",
        "Six actors that only compute, one worker: least share / largest, %",
        False,
        (ours("", "hogs"),),
        {"least_share_percent": "least share %", "largest_share_percent": "largest share %"},
    ),
    Benchmark(
        "timers",
        "100,000 sleepers of 0 to 1 s, wall seconds",
        True,
        (ours("", "timers"), *loops("timers"), *one_core("timers")),
        LATENESS,
        aim="wall <= Erlang's, max lateness <= 25 ms",
    ),
    Benchmark(
        "timers_armed",
        "1,000,000 armed timers, ns to arm one more",
        True,
        (ours("", "timers_armed"),),
        {"cancel_ns": "ns to cancel", "bytes_each": "bytes each"},
    ),
    Benchmark(
        "idle_cpu",
        "10,000 parked actors on two workers, CPU used, %",
        True,
        (ours("", "idle_cpu"),),
        aim="0",
    ),
    *(pure_python(name) for name in ("calls", "floats", "containers", "strings", "objects", "library")),
    Benchmark(
        "echo",
        "TCP echo, 100 connections, 64 bytes, closed loop, requests/s",
        False,
        (
            server(ours("net", "echo")),
            server(ours("plain sockets", "echo", "api=socket")),
            server(python("asyncio", "echo", label="asyncio streams")),
            server(python("asyncio", "echo", "api=protocol", "asyncio Protocol")),
            server(uvloop("echo", label="uvloop streams")),
            server(uvloop("echo", "api=protocol", "uvloop Protocol")),
            server(python("gevent", "echo")),
            server(python("trio", "echo")),
            server(python("threads", "echo")),
            *(server(program) for program in one_core("echo")),
            server(erlang(1, "echo", "mode=active", "Erlang, 1 scheduler, active")),
        ),
        {"p50_us": "p50 us", "p99_us": "p99 us", "server_us_per_request": "server CPU us/request", "errors": "errors"},
        aim=">= uvloop Protocol and Go, p99 no worse",
    ),
    Benchmark(
        "start_up",
        "Hello world, milliseconds from start to exit",
        True,
        (
            started("smarm-host hello.py", ("{bin}/smarm-host", "bench/smarm/hello.py")),
            started("python hello.py with smarm.run", ("{smarm}", "bench/smarm/hello.py")),
            started("python -c 'import smarm'", ("{smarm}", "-c", "import smarm")),
            started("python -c 'print()'", ("{smarm}", "-c", "print()")),
        ),
        aim="smarm-host within 15 ms of python",
    ),
    Benchmark(
        "first_spawn",
        "First spawn to another core, ms",
        True,
        (ours("", "first_spawn"),),
        {"second_ms": "second spawn, ms"},
        aim="<= 30 ms",
    ),
    Benchmark(
        "message_size",
        "A message to another core and back, by size, round trips/s",
        False,
        tuple(
            ours(f"{size:,} bytes", "pingpong_cross", f"size={size} n={n}")
            for size, n in ((8, 100_000), (1024, 100_000), (65536, 20_000), (1 << 20, 1000), (64 << 20, 20))
        ),
        {"us_each_way": "us one way"},
    ),
    Benchmark(
        "buffer",
        "64 MiB from core to core, GB/s",
        False,
        (
            ours("Buffer", "buffer", "passes=20000"),
            ours("frozen Buffer", "buffer", "passes=20000 via=frozen"),
            ours("Buffer of 64 KiB", "buffer", "passes=20000 size=65536"),
            ours("bytes (copied)", "buffer", "via=bytes"),
            python("multiprocessing", "buffer", "passes=40", "multiprocessing.Pipe"),
            python("multiprocessing", "buffer", "via=shm passes=10000", "multiprocessing shared_memory, by name"),
            python("interpreters", "buffer", label="subinterpreters, shared mapping"),
            go(2, "buffer", "passes=20000", "Go, 2 OS threads"),
            erlang(2, "buffer", "passes=20000", "Erlang, bound to 2 schedulers"),
            tokio(0, "buffer", "cross=1 passes=20000", "tokio, 2 runtimes"),
        ),
        {"per_pass_us": "us/pass", "copies": "copies/pass"},
        aim="<= 5 us/pass, no copy",
    ),
    Benchmark(
        "dict_cross",
        "A dict of 1 KB to another core and back, round trips/s",
        False,
        (
            ours("channels", "pingpong_cross", "keys=40 n=20000"),
            ours("mailboxes", "pingpong_cross", "keys=40 n=20000 via=mailbox"),
            python("multiprocessing", "pingpong", "keys=40 n=20000", "multiprocessing.Pipe"),
        ),
        {"us_each_way": "us one way"},
        aim=">= 5 x a pipe",
    ),
    Benchmark(
        "native_switch",
        "C++: switch there and back between two flows, from one place, three calls deep, ns",
        True,
        (native("smarm", "fiber_switch", "deep=1"), native("boost.context", "boost_switch", "deep=1", peer="boost")),
        aim="<= 1.3 x boost.context",
    ),
    Benchmark(
        "native_switch_flat",
        "C++: the same from two places, in the loop itself, ns",
        True,
        (native("smarm", "fiber_switch"), native("boost.context", "boost_switch", peer="boost")),
        aim="<= 1.3 x boost.context",
    ),
    Benchmark(
        "native_spawn",
        "C++: spawn and join, spawns/s",
        False,
        (
            native("smarm", "native", "spawn"),
            native("boost.fiber", "boost_fiber", "spawn", peer="boost"),
            *one_core("spawn"),
        ),
    ),
    Benchmark(
        "native_channel",
        "C++: ping-pong over channels on one worker, round trips/s",
        False,
        (
            native("smarm", "native", "pingpong"),
            native("boost.fiber", "boost_fiber", "pingpong", peer="boost"),
            *one_core("pingpong"),
        ),
        aim=">= tokio's current_thread",
    ),
)

BY_NAME = {benchmark.name: benchmark for benchmark in BENCHMARKS}
