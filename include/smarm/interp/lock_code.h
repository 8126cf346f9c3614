// lock_code.h: whether an actor may be cut short while it takes a lock.
//
// Not where its caller would then give away a lock that it does not have, or would not give back what others wait for:
// while an exit or the end of a scope unwinds the actor (see requested_exception.h), and in code of the standard
// library that does not wait, as threading.Semaphore.release and what takes a Condition's lock back.
// Bound: kill_patience. What is urgent (requests.h: a brutal kill after an exit, the end of the run) cuts what a
//        program takes while it is unwound at once, and what the standard library takes back after interrupt_after.
// Threads: the actor's worker, attached.
#pragma once

#include <Python.h>

#include "smarm/base/clock.h"

namespace smarm {

class Actor;

// Whether who tries to take a lock now does so to wait: Popen.wait(timeout) before 3.15, in turn with short sleeps.
bool waits_by_trying() noexcept;

// For an actor of which something is requested.
bool may_cut_lock(const Actor& actor) noexcept;
// Where it may not: until when.
Instant lock_is_held_out_until(const Actor& actor) noexcept;

}  // namespace smarm
