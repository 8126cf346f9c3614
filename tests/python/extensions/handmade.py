"""What the modules of tests/extensions are asked to do: each function imports one and returns plain data, the same each time.

A worker with private copies answers what the main interpreter answers.  Nothing here depends on how often it is called.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable


def use_cython() -> object:
    import smarm_test_cython as module

    numbers = [(7 * i) % 23 for i in range(23)]
    total = module.Vector(1, 2) + module.Vector(3, 4)
    for key in range(100):
        module.keep(key, str(key))
    return (
        module.sort(numbers, lambda left, right: right - left),
        repr(total),
        repr(pickle.loads(pickle.dumps(total))),
        sum(module.doubled(range(50))),
        module.keep(0, "again"),
        type(total).__module__,
    )


def use_account(module) -> object:
    account = module.Account("ada", 100)
    account.withdraw(30)
    try:
        account.withdraw(1000)
    except module.Refused as error:
        refusal = type(error).__module__, str(error)
    else:
        refusal = None
    return account.balance, refusal


def use_pybind11() -> object:
    import smarm_test_pybind as module

    return (
        use_account(module),
        module.call_with(["a", "bc"] * 20, len),
        module.call_in_thread(lambda number: 2 * number, 50),
    )


def use_nanobind() -> object:
    import smarm_test_nanobind as module

    return use_account(module), module.map(list(range(200)), lambda number: number * number)


def use_single(module) -> object:
    things = [module.Thing(number) for number in range(50)]
    for thing in things:
        module.keep(repr(thing), [thing])
    try:
        module.fail()
    except module.Error as error:
        failure = type(error).__qualname__, type(error).__module__, str(error)
    else:
        failure = None
    return (
        module.keep("last", 1.5),
        failure,
        repr(pickle.loads(pickle.dumps(things))),
        module.Thing.__module__,
        module.times_initialised(),
        module.is_at_home(),
        module.is_found(),
        module.__name__,
    )


def use_single_zero() -> object:
    import smarm_test_single_zero

    return use_single(smarm_test_single_zero)


def use_single_global() -> object:
    import smarm_test_single_global

    return use_single(smarm_test_single_global)


def use_threads() -> object:
    import smarm_test_threads as module

    try:
        module.call_in_thread(lambda: 1 // 0)
    except ZeroDivisionError as error:
        failure = str(error)
    else:
        failure = None
    return [module.call_in_thread(lambda number=number: [number]) for number in range(20)], failure


def interpreters_of_threads() -> bool:
    """Return whether the module's own threads, and what it takes for the main interpreter, are those of the importer."""
    import smarm_test_threads as module

    own = module.own_interpreter()
    return module.interpreter_in_thread() == own == module.main_interpreter()


def use_bundled() -> object:
    import smarm_test_bundled as module

    first = module.next()
    second = module.next()
    given = ["kept"]
    module.exchange(given)
    return second - first, module.exchange(None) is given


def bundled_count() -> int:
    """Return what the bundled libraries have counted so far; 1001 where nobody else counts with them."""
    import smarm_test_bundled as module

    return module.next()


def ring_count() -> int:
    """Return what two libraries that need each other have counted so far; 1001 where nobody else counts with them."""
    import smarm_test_ring as module

    return module.next()


def use_ring() -> object:
    return ring_count() - ring_count()


def unique_count() -> int:
    """Return what the STB_GNU_UNIQUE variables have counted so far; 1001 where nobody else counts with them."""
    import smarm_test_unique as module

    return module.next()


def use_unique() -> object:
    return unique_count() - unique_count()


def use_abi3() -> object:
    import smarm_test_abi3 as module

    return module.doubled("ab"), module.Pair([1, 2]), module.Pair.__module__, ".abi3" in module.__file__


def use_export() -> object:
    import smarm_test_export as module

    return module.answer, module.times_executed()


HANDMADE: dict[str, Callable[[], object]] = {
    "smarm_test_cython": use_cython,
    "smarm_test_pybind": use_pybind11,
    "smarm_test_nanobind": use_nanobind,
    "smarm_test_single_zero": use_single_zero,
    "smarm_test_single_global": use_single_global,
    "smarm_test_threads": use_threads,
    "smarm_test_bundled": use_bundled,
    "smarm_test_ring": use_ring,
    "smarm_test_unique": use_unique,
    "smarm_test_abi3": use_abi3,
    **({"smarm_test_export": use_export} if sys.version_info >= (3, 15) else {}),
}

FAULTS = ("init silent", "init raises", "init both", "exec silent", "exec raises", "exec both")
"""Values of the variable SMARM_TEST_FAULT, at which the import of smarm_test_faulty fails; a PyInit that raises is smarm_test_refuses, too."""
