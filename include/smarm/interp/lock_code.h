// lock_code.h: whether an actor may be cut short while it takes a lock.
//
// Not where its caller would then give away a lock that it does not have, or would not give back what others wait for:
// while an exit or the end of a scope unwinds the actor (see requested_exception.h), and in code of the standard
// library that does not wait, as threading.Semaphore.release and what takes a Condition's lock back.
// Threads: the actor's worker, attached.
#pragma once

#include <Python.h>

namespace smarm {

class Actor;

// For an actor of which something is requested.
bool may_cut_lock(const Actor& actor) noexcept;

}  // namespace smarm
