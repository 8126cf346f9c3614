// _thread.RLock. Natively it belongs to an OS thread, which is the same for all actors of a worker: the entry says
// which actor has it. While an actor has it, the worker's thread has it natively, once, so that other threads stay out.
#include "smarm/interp/requested_exception.h"
#include "stdlib/locks_wait.h"

namespace smarm::stdlib_locks {
namespace {

PyObject* raise_not_owner() {
    PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
    return nullptr;
}

OwnerId caller_id() noexcept {
    Actor* actor = calling_actor();
    return actor ? owner_id(*actor) : 0;
}

// How often the calling OS thread has the lock natively; -1 with an exception set.
long native_count(PyObject* lock) {
    PyObject* count = originals.rlock_recursion_count.call(lock, nullptr, 0);
    if (!count) return -1;
    const long value = PyLong_AsLong(count);
    Py_DECREF(count);
    return value;
}

// Takes a lock that the calling thread has just released natively for an actor of another thread: that thread becomes
// the native owner. Nobody else may be waiting natively, so that this does not block.
bool lock_for(const LockWaiter& heir, PyObject* lock) {
    PyObject* state = Py_BuildValue("(kk)", 1ul, heir.thread_ident);
    PyObject* done = state ? originals.rlock_acquire_restore.call(lock, &state, 1) : nullptr;
    Py_XDECREF(state);
    Py_XDECREF(done);
    if (!done) drop_exception();
    return done != nullptr;
}

// Ends the caller's ownership of a lock that its OS thread has natively once: hands it over, or frees it with
// release_natively() -> PyObject* and wakes an actor. Returns what release() returns.
template <class ReleaseNatively>
PyObject* pass_on(LockEntry& entry, ReleaseNatively release_natively) {
    LockTable& table = *lock_table();
    LockWaiter* heir = entry.choose_heir();
    const bool same_thread = heir && heir->actor.worker == this_worker();
    PyObject* result = same_thread ? Py_NewRef(Py_None) : release_natively();
    if (!result) return nullptr;
    if (heir && !same_thread && (entry.native_waiters > 0 || !lock_for(*heir, entry.lock))) heir = nullptr;
    entry.owner = heir ? heir->id : 0;
    entry.count = entry.owner ? 1 : 0;
    if (heir) entry.hand_over(*heir);
    else entry.wake_first();
    table.drop_if_unused(entry);
    return result;
}

int try_recursive(LockEntry& entry, Actor& actor) {
    if (entry.owner != 0) return 0;
    const OwnerId id = owner_id(actor);
    if (id != 0) {
        // This OS thread may have it itself: the main actor, or code that ran before the actors.
        const int owned = ask_original(originals.rlock_is_owned, entry.lock);
        if (owned != 0) return owned < 0 ? -1 : 0;
    }
    const int taken = try_original(originals.rlock_acquire, entry.lock);
    if (taken > 0 && id != 0) {
        entry.owner = id;
        entry.count = 1;
    }
    return taken;
}

// Takes the lock for the actor, once more if it has it.
Taken take_recursive(PyObject* lock, Actor& actor, const Patience& patience) {
    LockTable* table = lock_table();
    const OwnerId id = owner_id(actor);
    // The main actor needs an entry only to wait: its ownership is the thread's.
    LockEntry* entry = !table ? nullptr : id ? table->get(lock) : table->find(lock);
    if (id != 0) {
        if (!entry) {
            PyErr_NoMemory();
            return Taken::error;
        }
        if (entry->owner == id) {
            ++entry->count;
            return Taken::yes;
        }
    }
    const int taken = entry ? try_recursive(*entry, actor) : try_original(originals.rlock_acquire, lock);
    if (taken > 0) return Taken::yes;
    if (taken == 0 && patience.waits) {
        if (!entry && table) entry = table->get(lock);
        if (entry) return wait_for_lock(*table, *entry, actor, patience, try_recursive);
        PyErr_NoMemory();
        return Taken::error;
    }
    if (entry) table->drop_if_unused(*entry);
    return taken < 0 ? Taken::error : Taken::timed_out;
}

// Whether a thread that is no actor asks for a lock that an actor on this very thread has: natively it would get it,
// and if it waited the actor could never run.
bool is_held_below(PyObject* lock) {
    LockEntry* entry = find_entry(lock);
    return entry && entry->owner != 0 && ask_original(originals.rlock_is_owned, lock) == 1;
}

PyObject* refuse_to_wait() {
    PyErr_SetString(PyExc_RuntimeError,
                    "code that runs outside of actors cannot wait for a lock that an actor of its thread holds");
    return nullptr;
}

// Calls the original acquire on behalf of a thread that is no actor. A wait is counted, so that lock_for cannot collide
// with it. Not noexcept: CPython 3.13 ends threads that wait for a GIL at shutdown with pthread_exit, which unwinds
// through here.
PyObject* acquire_natively(const Call& call) {
    LockTable* table = lock_table();
    if (!table || is_plain_try(call)) return call.original();
    if (call.bare()) {
        const int taken = try_original(originals.rlock_acquire, call.self);
        if (taken != 0) return taken < 0 ? nullptr : Py_NewRef(Py_True);
    }
    LockEntry* entry = table->get(call.self);
    if (!entry) return PyErr_NoMemory();
    ++entry->native_waiters;
    PyObject* result = call.original();
    // The GIL was free meanwhile: at shutdown the table may have gone, after a fork the count.
    table = lock_table();
    entry = table ? table->find(call.self) : nullptr;
    if (!entry || entry->native_waiters == 0) return result;
    --entry->native_waiters;
    table->drop_if_unused(*entry);
    return result;
}

// Reads (count, owner), made by _release_save. False: it is none, no exception is set.
bool read_saved(PyObject* state, unsigned long& count) {
    PyObject* pair = PySequence_Tuple(state);
    const bool good = pair && PyTuple_GET_SIZE(pair) == 2 && PyLong_Check(PyTuple_GET_ITEM(pair, 0)) &&
                      PyLong_Check(PyTuple_GET_ITEM(pair, 1));
    count = good ? PyLong_AsUnsignedLong(PyTuple_GET_ITEM(pair, 0)) : 0;
    Py_XDECREF(pair);
    const bool read = good && !PyErr_Occurred() && count > 0;
    drop_exception();
    return read;
}

}  // namespace

PyObject* rlock_acquire(const Call& call) {
    Actor* actor = calling_actor();
    if (!actor && !is_held_below(call.self)) return acquire_natively(call);
    Patience patience;
    if (!call.bare() && !read_patience(call, originals.rlock_release, patience)) return nullptr;
    if (actor && patience.is_point && !pass_lock_point(*actor)) return nullptr;
    if (actor) return as_result(take_recursive(call.self, *actor, patience));
    if (patience.waits) return refuse_to_wait();
    Py_RETURN_FALSE;
}

PyObject* rlock_release(const Call& call) {
    const OwnerId id = caller_id();
    LockEntry* entry = find_entry(call.self);
    if (id != 0) {
        if (!entry || entry->owner != id) return raise_not_owner();
        if (entry->count > 1) {
            --entry->count;
            Py_RETURN_NONE;
        }
    } else {
        if (!entry) return call.original();
        if (entry->owner != 0) return raise_not_owner();
        if (native_count(call.self) != 1) return call.original();
    }
    return pass_on(*entry, [&call] { return call.original(); });
}

PyObject* rlock_is_owned(const Call& call) {
    const OwnerId id = caller_id();
    LockEntry* entry = find_entry(call.self);
    if (id == 0 && !(entry && entry->owner)) return call.original();
    return PyBool_FromLong(entry && entry->owner == id);
}

PyObject* rlock_recursion_count(const Call& call) {
    const OwnerId id = caller_id();
    LockEntry* entry = find_entry(call.self);
    if (id == 0 && !(entry && entry->owner)) return call.original();
    return PyLong_FromUnsignedLong(entry && entry->owner == id ? entry->count : 0);
}

PyObject* rlock_release_save(const Call& call) {
    const OwnerId id = caller_id();
    LockEntry* entry = find_entry(call.self);
    if (id == 0) {
        if (entry && entry->owner != 0) return raise_not_owner();
        PyObject* state = call.original();
        if (state && entry) entry->wake_first();
        return state;
    }
    if (!entry || entry->owner != id) return raise_not_owner();
    PyObject* state = Py_BuildValue("(kk)", entry->count, PyThread_get_thread_ident());
    PyObject* done =
        state ? pass_on(*entry, [&call] { return originals.rlock_release.call(call.self, nullptr, 0); }) : nullptr;
    if (!done) Py_CLEAR(state);
    Py_XDECREF(done);
    return state;
}

PyObject* rlock_acquire_restore(const Call& call) {
    Actor* actor = calling_actor();
    if (!actor) return is_held_below(call.self) ? refuse_to_wait() : acquire_natively(call);
    unsigned long count = 0;
    if (call.count != 1 || !read_saved(call.values[0], count)) return call.original();  // which says what is wrong
    // As in CPython this is not interrupted: Condition.wait() must return with the lock whatever happened.
    const Taken taken = take_recursive(call.self, *actor, {.takes_back = true});
    if (taken != Taken::yes) return as_result(taken);
    LockEntry* entry = owner_id(*actor) ? find_entry(call.self) : nullptr;
    if (entry) entry->count += count - 1;
    for (; !entry && count > 1; --count) Py_XDECREF(originals.rlock_acquire.call(call.self, nullptr, 0));
    Py_RETURN_NONE;
}

PyObject* rlock_at_fork_reinit(const Call& call) {
    PyObject* result = call.original();
    LockEntry* entry = result ? find_entry(call.self) : nullptr;
    if (!entry) return result;
    entry->owner = 0;
    entry->count = 0;
    entry->native_waiters = 0;  // threads do not survive a fork
    entry->wake_first();
    lock_table()->drop_if_unused(*entry);
    return result;
}

}  // namespace smarm::stdlib_locks
