// stdlib/locks_methods.h: the methods of _thread that smarm replaces: how they are called, and what was there before.
//
// What:    CPython gives each method one of six C calling conventions (ml_flags), and changes its mind between versions. A
//          Call is one call with the convention taken out; original() repeats it unchanged on the function that was there
//          before, call_original() makes a call of our own.
// Threads: the tables are static data of libpython, shared by all interpreters and threads. Originals are written before
//          the first pointer is replaced, and never again.
#pragma once

#include <Python.h>

#include <cstddef>

#include "smarm/base/clock.h"

namespace smarm::stdlib_locks {

enum class Method : unsigned {
    lock_acquire,
    lock_acquire_lock,
    lock_enter,
    lock_release,
    lock_release_lock,
    lock_exit,
    lock_locked,  // looked up, not replaced: the native answer is right
    lock_at_fork_reinit,
    rlock_acquire,
    rlock_enter,
    rlock_release,
    rlock_exit,
    rlock_is_owned,
    rlock_recursion_count,
    rlock_acquire_restore,
    rlock_release_save,
    rlock_at_fork_reinit,
    get_ident,
};
inline constexpr std::size_t kMethodCount = static_cast<std::size_t>(Method::get_ident) + 1;

// One call of a replaced method. Borrows everything.
struct Call {
    Method method;
    PyObject* self;
    PyObject* const* values = nullptr;  // positional arguments
    Py_ssize_t count = 0;
    PyObject* tuple = nullptr;          // the positional arguments, where the convention has a tuple
    PyObject* keyword_dict = nullptr;   // keyword arguments: a dict or nullptr ...
    PyObject* keyword_names = nullptr;  // ... or the names of those that follow in values, or nullptr

    bool bare() const noexcept { return count == 0 && !keyword_dict && !keyword_names; }
    // Makes the same call on the function that was there before.
    PyObject* original() const;
};

using Handler = PyObject* (*)(const Call& call);

// Calls what was there before, with one positional argument, or none.
PyObject* call_original(Method method, PyObject* self, PyObject* argument = nullptr);

// Calls a predicate without arguments that was there before. Returns 1, 0, or -1 with an exception set.
int ask_original(Method method, PyObject* self);

// Tries to take the lock natively without waiting. Returns 1, 0, or -1 with an exception set.
int try_original(Method acquire, PyObject* self);

// How long an acquire() is to wait.
struct Patience {
    bool waits = true;
    bool forever = true;
    Duration timeout{};         // when waits and not forever
    bool ignores_exit = false;  // an exit request is put off until the lock is there
};

// Reads the arguments of acquire(blocking=True, timeout=-1); what is wrong with them is for the original to say. Returns
// false with its exception set. May run Python code.
bool read_patience(const Call& call, Patience& patience);

// Whether the call is acquire(False), the one that is common and cannot wait.
inline bool is_plain_try(const Call& call) noexcept {
    return call.count == 1 && !call.keyword_dict && !call.keyword_names && call.values[0] == Py_False;
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
