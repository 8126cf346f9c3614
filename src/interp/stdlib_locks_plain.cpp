// _thread.lock. Its native state is the whole truth; the entry holds only those who wait.
#include "interp/stdlib_locks_wait.h"

namespace smarm::stdlib_locks {
namespace {

// Releases the lock: to the actor that must get it, or by release_natively() -> PyObject*, which also judges a release of a
// lock that is not locked. Returns what release() returns.
template <class ReleaseNatively>
PyObject* release(PyObject* lock, ReleaseNatively release_natively) {
    LockEntry* entry = find_entry(lock);
    if (!entry) return release_natively();
    const int locked = ask_original(Method::lock_locked, lock);
    if (locked < 0) return nullptr;
    if (LockWaiter* heir = locked ? entry->choose_heir() : nullptr) {
        entry->hand_over(*heir);
        lock_table()->drop_if_unused(*entry);
        Py_RETURN_NONE;
    }
    PyObject* result = release_natively();
    if (result) entry->wake_first();
    return result;
}

class PlainLock final : public LockKind {
public:
    int try_take(LockEntry& entry, Actor&) override { return try_original(Method::lock_acquire, entry.lock); }
    void give_back(PyObject* lock) override {
        Py_XDECREF(release(lock, [lock] { return call_original(Method::lock_release, lock); }));
    }
};

}  // namespace

PyObject* lock_acquire(const Call& call) {
    Actor* actor = calling_actor();
    if (!actor) return call.original();
    Patience patience;
    if (!call.bare() && !read_patience(call, patience)) return nullptr;
    const int taken = try_original(Method::lock_acquire, call.self);
    if (taken < 0) return nullptr;
    if (taken > 0) Py_RETURN_TRUE;
    if (!patience.waits) Py_RETURN_FALSE;
    LockTable* table = lock_table();
    LockEntry* entry = table ? table->get(call.self) : nullptr;
    if (!entry) return PyErr_NoMemory();
    PlainLock kind;
    return as_result(wait_for_lock(*table, *entry, *actor, patience, kind));
}

PyObject* lock_release(const Call& call) {
    return release(call.self, [&call] { return call.original(); });
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
