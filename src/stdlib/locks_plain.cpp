// _thread.lock. Its native state is the whole truth; the entry holds only those who wait.
#include "stdlib/locks_wait.h"

namespace smarm::stdlib_locks {
namespace {

int try_plain(LockEntry& entry, Actor&) { return try_original(originals.lock_acquire, entry.lock); }

Taken take_plain(PyObject* lock, Actor& actor, const Patience& patience) {
    const int taken = try_original(originals.lock_acquire, lock);
    if (taken != 0) return taken > 0 ? Taken::yes : Taken::error;
    if (!patience.waits) return Taken::timed_out;
    LockTable* table = lock_table();
    LockEntry* entry = table ? table->get(lock) : nullptr;
    if (entry) return wait_for_lock(*table, *entry, actor, patience, try_plain);
    PyErr_NoMemory();
    return Taken::error;
}

}  // namespace

PyObject* lock_acquire(const Call& call) {
    Actor* actor = calling_actor();
    if (!actor) return call.original();
    Patience patience;
    if (!call.bare() && !read_patience(call, originals.lock_release, patience)) return nullptr;
    if (!(patience.is_point ? pass_lock_point(*actor) : pass_try_point(*actor))) return nullptr;
    return as_result(take_plain(call.self, *actor, patience));
}

PyObject* lock_release(const Call& call) {
    LockEntry* entry = find_entry(call.self);
    if (!entry) return call.original();
    const int locked = ask_original(originals.lock_locked, call.self);
    if (locked < 0) return nullptr;
    if (LockWaiter* heir = locked ? entry->choose_heir() : nullptr) {
        entry->hand_over(*heir);
        lock_table()->drop_if_unused(*entry);
        Py_RETURN_NONE;
    }
    PyObject* result = call.original();
    if (result) entry->wake_first();
    return result;
}

PyObject* lock_at_fork_reinit(const Call& call) {
    PyObject* result = call.original();
    LockEntry* entry = result ? find_entry(call.self) : nullptr;
    if (!entry) return result;
    entry->wake_first();
    lock_table()->drop_if_unused(*entry);
    return result;
}

}  // namespace smarm::stdlib_locks
