// point.h: cancellation points of Python code: where what is requested of an actor becomes an exception.
//
// What:    every call that may wait begins with one, before anything is taken or given, also when it need not wait; and
//          it raises what is requested while it waits, as long as nothing was taken or given (Parked::requested). See
//          the table in docs/explanation/signals.md. No points: calls that cannot wait, tries, and what gives something
//          back.
// Locks:   a call that takes a lock is none where its caller would then give away a lock that it does not have:
//          may_cut_lock().
// Cost:    one branch when nothing is requested.
// Threads: the actor's worker, attached.
#pragma once

#include "smarm/interp/lock_code.h"
#include "smarm/interp/py_rider.h"
#include "smarm/sched/cancel_scope.h"

namespace smarm {

// False: an exception is set, and the call returns.
inline bool pass_point(const Actor& actor) {
    if (__builtin_expect(!actor.requests.any(), 1) || !is_deliverable(actor)) return true;
    raise_exit();
    return false;
}

// The same for a call that takes a lock.
inline bool pass_lock_point(const Actor& actor) {
    return __builtin_expect(!actor.requests.any(), 1) || !is_deliverable(actor) || !may_cut_lock(actor) ||
           pass_point(actor);
}

// The same for a call that only tries to take a lock: mostly none.
inline bool pass_try_point(const Actor& actor) {
    return __builtin_expect(!actor.requests.any(), 1) || !is_deliverable(actor) || !waits_by_trying() ||
           pass_point(actor);
}

}  // namespace smarm
