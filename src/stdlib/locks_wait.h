// stdlib/locks_wait.h: who calls, and how an actor waits for a lock.
//
// What:    calling_actor says whether an actor makes this call; wait_for_lock parks it in the lock's entry until it has
//          the lock, runs out of time or is asked to exit.
// Threads: the actor's worker, attached.
#pragma once

#include <Python.h>

#include "smarm/interp/calling_actor.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/point.h"
#include "smarm/sched/worker.h"
#include "stdlib/locks_methods.h"
#include "stdlib/locks_table.h"

namespace smarm::stdlib_locks {

// The attached interpreter's table, or nullptr when it has none.
inline LockTable* lock_table() noexcept {
    InterpreterState* state = interpreter_state();
    return state ? &state->locks->impl().table : nullptr;
}

// The lock's entry in the attached interpreter, or nullptr.
inline LockEntry* find_entry(PyObject* lock) noexcept {
    LockTable* table = lock_table();
    return table ? table->find(lock) : nullptr;
}

enum class Taken { yes, timed_out, exit_requested, error };

// Tries to take the lock for the calling actor. Returns 1, 0, or -1 with a Python exception set. Must not end the
// entry.
using TryTake = int (*)(LockEntry& entry, Actor& actor);

// Parks until the calling actor has the lock. Ends the entry if nothing is left in it. `patience.waits` must be set.
Taken wait_for_lock(LockTable& table, LockEntry& entry, Actor& actor, const Patience& patience, TryTake try_take);

// The result of an actor's acquire: True, False, or nullptr with an exception set (ActorExit when asked to exit).
PyObject* as_result(Taken taken);

}  // namespace smarm::stdlib_locks
