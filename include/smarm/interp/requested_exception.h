// requested_exception.h: the exceptions that requests become, on their way through the program: ActorExit and
// Cancelled.
//
// Lost:    an exception that ends where nobody can catch it is armed again, silently, and raised at the actor's next
//          point: in sys.unraisablehook (a finaliser, a weakref callback), in a Handle, Task or Future of asyncio that
//          nobody awaits, in a concurrent.futures work item, in threading.excepthook, or is dropped by C code of ours
//          (drop_exception). Python's places are watched from the first raise in an interpreter on
//          (watch_lost_exceptions, pylib/smarm/_lost.py); what a program raises itself is not armed again.
// Unwinds: while such an exception is handled, taking a lock is not cut short again, or `finally` and `with` blocks
//          would release locks that they have not got; for kill_patience at most, counted from the raise.
// Threads: the actor's worker, attached.
#pragma once

#include <Python.h>

#include <cstdint>
#include <functional>

#include "smarm/base/clock.h"

namespace smarm {

class Actor;
class PyActor;

// Before the first exception is raised, and again before each: programs replace hooks. Sets no exception.
void watch_lost_exceptions() noexcept;

// Marks what is about to be raised in the actor, as what arm_again() may arm.
void mark_requested(PyActor& actor, PyObject* exception) noexcept;

bool is_actor_exit(PyObject* exception) noexcept;

// The id of the CancelScope that a Cancelled was raised for; 0: it names none.
std::uint64_t cancelled_scope(PyObject* cancelled) noexcept;

// Requests once more what `exception` was raised for, of the actor that it was raised in, which may not be the running
// one (a collection found the exception) and may have ended: then nothing is left to do. So it is, too, when the block
// of its scope has ended. False: it was not raised for a request.
bool arm_again(PyObject* exception) noexcept;
// The same for what a Cancelled came in place of, when it ends with its block: another request was being cleaned up
// after there. Not what was handled already when the block began (handled_exception() then): that is not left by it.
void arm_overtaken(PyObject* cancelled, const void* handled) noexcept;
// What is handled now, to be compared only; null: nothing is.
const void* handled_exception() noexcept;

// Clears the exception that is set, if one is, and arms it again if it was raised for a request: for what C code tries,
// whose failure is not the program's. Wherever Python code can have run it stands in for PyErr_Clear().
void drop_exception() noexcept;

// The exception itself, unless it is an exception group: then one of its leaves, if `wanted` holds for each.
// asyncio.TaskGroup and trio's nurseries put what leaves their tasks into groups. Borrowed; nullptr without an
// exception set: it is not wanted.
PyObject* find_in_groups(PyObject* exception, const std::function<bool(PyObject* leaf)>& wanted) noexcept;

// Whether the running actor is being unwound by such an exception, which was raised less than kill_patience ago.
bool is_unwinding(const Actor& actor) noexcept;
// Until when that lasts, if nothing else ends it.
Instant unwinds_until(const Actor& actor) noexcept;

}  // namespace smarm
