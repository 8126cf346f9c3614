// locks_methods.h: the methods of _thread that smarm replaces: how they are called, and what was there before.
#pragma once

#include <Python.h>

#include "cpython/method_patch.h"
#include "smarm/base/clock.h"

namespace smarm::stdlib_locks {

// One call of a replaced method. Borrows everything.
struct Call {
    const stdlib::Original& before;
    PyObject* self;
    PyObject* const* values;  // positional arguments, then those of `names`
    Py_ssize_t count;         // positional ones
    PyObject* names;          // of keyword arguments, or nullptr

    bool bare() const noexcept { return count == 0 && !names; }
    // Makes the same call on the function that was there before.
    PyObject* original() const { return before.call(self, values, count, names); }
};

// What was there before. Written by replace_methods.
struct Originals {
    stdlib::Original lock_acquire;
    stdlib::Original lock_release;
    stdlib::Original lock_locked;
    stdlib::Original rlock_acquire;
    stdlib::Original rlock_release;
    stdlib::Original rlock_is_owned;
    stdlib::Original rlock_recursion_count;
    stdlib::Original rlock_acquire_restore;
};
extern Originals originals;

// Calls a predicate without arguments that was there before. Returns 1, 0, or -1 with an exception set.
int ask_original(const stdlib::Original& predicate, PyObject* self);

// Tries to take the lock natively without waiting. Returns 1, 0, or -1 with an exception set.
int try_original(const stdlib::Original& acquire, PyObject* self);

// How long an acquire() is to wait.
struct Patience {
    bool waits = true;
    bool forever = true;
    Duration timeout{};       // when waits and not forever
    bool takes_back = false;  // what is requested is put off until the lock is there, see may_cut_lock()
    bool is_point = true;     // not a plain try: the call begins with a cancellation point, even if it cannot wait
};

// Reads the arguments of acquire(blocking=True, timeout=-1); what is wrong with them is for the original to say.
// Returns false with its exception set. `release` undoes the original. May run Python code.
bool read_patience(const Call& call, const stdlib::Original& release, Patience& patience);

// Whether the call is acquire(False), the one that is common and cannot wait.
inline bool is_plain_try(const Call& call) noexcept {
    return call.count == 1 && !call.names && call.values[0] == Py_False;
}

// Finds all methods and replaces their functions. False with a Python exception set, and nothing replaced.
bool replace_methods();

// The replacements, by file.
PyObject* lock_acquire(const Call& call);
PyObject* lock_release(const Call& call);
PyObject* lock_at_fork_reinit(const Call& call);
PyObject* rlock_acquire(const Call& call);
PyObject* rlock_release(const Call& call);
PyObject* rlock_is_owned(const Call& call);
PyObject* rlock_recursion_count(const Call& call);
PyObject* rlock_acquire_restore(const Call& call);
PyObject* rlock_release_save(const Call& call);
PyObject* rlock_at_fork_reinit(const Call& call);
PyObject* get_ident(const Call& call);

}  // namespace smarm::stdlib_locks
