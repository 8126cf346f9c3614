// safe_point.h: whether an exception from outside may be raised HERE, in an actor that computes.
//
// What:    the one answer to that question. Not in code that would be left half done without anybody's fault:
//            - anywhere but at the start of a function or the end of a loop's round (cpython/code_position.h)
//            - in a finaliser or a weakref callback, where CPython swallows it (cpython/finaliser_stack.h)
//            - in an __exit__, __aexit__ or __del__, and what these call
//            - in an import, or a worker's load of the script
//            - in code of the standard library that keeps locks and books (asyncio, selectors, threading, queue,
//              concurrent.futures, contextlib, logging, weakref), or of smarm itself, unless it has called the
//              program's code
// Bound:   who asks again and again ends that with `overdue`: then only the place in the code counts. No loop is
//          unkillable.
// Jumps:   where a loop's jump back lacks the handlers that its target has, the exception is raised at the target
//          instead, by an instruction event of sys.monitoring, which is the next thing that happens
//          (raise_at_jump_target). Without a tool number for that, `overdue` decides.
// Threads: the actor's worker, attached. Not: collections and pending calls, see PyRider; waits, which are points by
//          themselves.
// See:     docs/explanation/internals/preemption.md, tests/python/test_safe_point.py
#pragma once

#include <Python.h>

#include <cstdint>

#include "smarm/interp/py_actor.h"

namespace smarm {

// Finds the standard library, and what cpython/finaliser_stack.h needs; the main interpreter must be attached, before
// any actor runs. False with an exception set.
bool prepare_safe_points();

// soon: not in the middle of this statement, ask at the next opportunity. later: in a millisecond or more.
enum class MayRaise : std::uint8_t { here, at_jump_target, soon, later };

// `state`: the running actor's thread state. Takes microseconds, and more on deep stacks: for when something is to be
// raised.
MayRaise may_raise_here(PyThreadState* state, const PyActor& actor, bool overdue) noexcept;

// After may_raise_here() said at_jump_target: calls `raise` when the running frame gets there, if the same actor is
// still the one that runs; it returns false with an exception set, or true. False: every tool number is taken.
bool raise_at_jump_target(PyThreadState* state, bool (*raise)());

}  // namespace smarm
