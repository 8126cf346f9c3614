"""Why a test ends otherwise inside an actor: one row for each kind of difference."""

import fnmatch

IDENTITY = (
    "An actor is a thread of its own to Python: `get_ident()` is the actor's, `current_thread()` is not the main thread (only the main "
    "actor is that), and C code that asks the operating system for the thread gets the worker's."
)
ASYNC_EXCEPTION = (
    "`PyThreadState_SetAsyncExc` finds thread states by the operating system's thread, which all actors of a worker share: it cannot name "
    "an actor. Use `smarm.exit(pid, reason)`."
)
INTERRUPT = (
    "`_thread.interrupt_main()`, like a signal, reaches the *main actor*, and there the next safe point, not the very next "
    "instruction: a test that waits for it elsewhere, or for no longer than one bytecode, does not see it."
)
LOCK_REPR = (
    "`repr()` of an `RLock` shows its native state: while an actor has it, the worker's thread has it, once; how often the actor has it is "
    "counted beside that."
)
NESTED = (
    "A subinterpreter that is made on another thread than the process's main one does not wait for its threads at its end; CPython 3.14 and "
    "3.15 do that under plain python, too. A worker is such a thread."
)

# (module pattern, test pattern, explanation)
EXPLANATIONS = (
    ("test_threading", "ExceptHookTests.test_excepthook_thread_None", IDENTITY),
    ("test_threading", "*ExceptHookTests*.test_excepthook_thread_None", IDENTITY),
    ("test_threading", "ThreadTests.test_main_thread", IDENTITY),
    ("test_threading", "ThreadTests.test_PyThreadState_SetAsyncExc", ASYNC_EXCEPTION),
    ("test_threading", "*.test_repr_count", LOCK_REPR),
    ("test_threading", "SubinterpThreadingTests.test_threads_join*", NESTED),
    ("test_threading", "InterruptMainTests.*", INTERRUPT),
    ("test_generators", "SignalAndYieldFromTest.*", INTERRUPT),
)

# (beginning of the exception or of the reason for skipping, explanation): what a bare subinterpreter does, too.
OF_SUBINTERPRETERS = (
    (
        "ValueError: signal only works in main thread",
        'signal handlers can be set in the main interpreter only: do it with `on="main"`',
    ),
    ("RuntimeError: daemon threads are disabled", "no daemon threads in subinterpreters"),
    ("RuntimeError: fork not supported", "no `os.fork` in subinterpreters; `subprocess` works"),
    ("RuntimeError: exec not supported", "no `os.exec*` in subinterpreters; `subprocess` works"),
    ("requires", "the test needs an extension module for tests that refuses subinterpreters"),
    ("needs", "the test needs an extension module for tests that refuses subinterpreters"),
    ("module _test", "the test needs an extension module for tests that refuses subinterpreters"),
    ("Test needs Numpy", 'numpy refuses subinterpreters: use it with `on="main"`'),
    ("AttributeError: '_contextvars.Token'", "`contextvars.Token.MISSING` is set in the main interpreter only (3.13)"),
    ("module readline", "the test needs an extension module that refuses subinterpreters"),
    ("exit code -6", "CPython itself aborts there in a subinterpreter (3.15)"),
    ("ImportError: module", "the test needs an extension module that refuses subinterpreters"),
)


def find(module, difference):
    """Return the explanation of this difference, or None."""
    for in_module, of_test, why in EXPLANATIONS:
        if fnmatch.fnmatchcase(module, in_module) and fnmatch.fnmatchcase(difference["test"], of_test):
            return why
    return None


def find_for_bare(difference):
    """Return why a bare subinterpreter does so, too, as far as it is known."""
    if difference["actor"] == "not run":
        return "the test's class was skipped as a whole, for one of these reasons"
    for beginning, why in OF_SUBINTERPRETERS:
        if difference["why"].startswith(beginning):
            return why
    return "CPython's own difference in subinterpreters"
