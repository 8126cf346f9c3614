// lock_code.h: where an exception from outside would leave a lock, a count or a notification behind.
//
// Threads: any, attached.
#pragma once

#include <Python.h>

namespace smarm {

class Actor;

// Finds the standard library; the main interpreter must be attached, before any actor runs. False with an exception set.
bool find_library();

// Remembers that the running instruction of the calling actor took a lock: see is_in_lock_code().
void note_acquired() noexcept;

// Whether an exception raised from outside at this point would leave a lock, a count or a notification behind: right after
// the instruction that took a lock or that enters a `with` block, or in code of the standard library that keeps them by hand
// (threading, queue, importlib and the like). Safe points must not raise here but come back; they may switch. `state` must be attached.
bool is_in_lock_code(PyThreadState* state) noexcept;

// Whether the actor, of which something is requested, may be cut short while it takes a lock. Not where its caller would then
// give away a lock that it does not have, or would not give back what others wait for: a killed actor that unwinds, and code of
// the standard library that does not wait, as threading.Semaphore.release and what takes a Condition's lock back.
bool may_cut_lock(const Actor& actor) noexcept;

}  // namespace smarm
