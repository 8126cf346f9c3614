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
// Left:    what stands in the way is watched (interp/code_watch.h), so that the exception is raised right behind it: a
//          request need not happen to be tried in the moment between two such calls.
// Bound:   who asks again and again ends that with `overdue`: then only the place in the code counts. No loop is
//          unkillable.
// Jumps:   where a loop's jump back lacks the handlers that its target has, the exception is raised at the target
//          instead, which is the next thing that happens (raise_at_jump_target). Without a tool number for that,
//          `overdue` decides.
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

// soon: not in the middle of this statement, ask at the next opportunity. later: in a millisecond or more, or
// after_return of a frame of that code, or when code_goes_on that was interrupted by a finaliser.
enum class MayRaise : std::uint8_t { here, at_jump_target, soon, after_return, code_goes_on, later };
struct SafePoint {
    MayRaise may_raise;
    PyCodeObject* code = nullptr;  // borrowed from a frame of the actor
};

// `state`: the running actor's thread state. Takes microseconds, and more on deep stacks: for when something is to be
// raised.
SafePoint look_for_safe_point(PyThreadState* state, const PyActor& actor, bool overdue) noexcept;

}  // namespace smarm
