// Finding and replacing the C functions of _thread's locks, all or none.
#include "stdlib/locks_methods.h"

#include "smarm/interp/imports.h"

namespace smarm::stdlib_locks {
namespace {

using stdlib::Original;
using stdlib::Patch;

template <PyObject* (*handler)(const Call& call)>
PyObject* handle(const Original& before, PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) {
    return handler({before, self, values, count, names});
}

template <PyObject* (*handler)(const Call& call), int which = 0>
stdlib::Replacement replacement(const char* type, const char* name) {
    return Patch<handle<handler>, which>::replacement(type, name);
}

bool find_originals(PyObject* module) {
    return find(module, "lock", "acquire", originals.lock_acquire) &&
           find(module, "lock", "release", originals.lock_release) &&
           find(module, "lock", "locked", originals.lock_locked) &&
           find(module, "RLock", "acquire", originals.rlock_acquire) &&
           find(module, "RLock", "release", originals.rlock_release) &&
           find(module, "RLock", "_is_owned", originals.rlock_is_owned) &&
           find(module, "RLock", "_recursion_count", originals.rlock_recursion_count) &&
           find(module, "RLock", "_acquire_restore", originals.rlock_acquire_restore);
}

}  // namespace

Originals originals;

int ask_original(const Original& predicate, PyObject* self) {
    PyObject* answer = predicate.call(self, nullptr, 0);  // True and False are immortal
    return answer ? answer == Py_True : -1;
}

int try_original(const Original& acquire, PyObject* self) {
    PyObject* const no[] = {Py_False};
    PyObject* taken = acquire.call(self, no, 1);
    return taken ? taken == Py_True : -1;
}

bool replace_methods() {
    const stdlib::Replacement replacements[] = {
        replacement<lock_acquire, 0>("lock", "acquire"),
        replacement<lock_acquire, 1>("lock", "acquire_lock"),
        replacement<lock_acquire, 2>("lock", "__enter__"),
        replacement<lock_release, 0>("lock", "release"),
        replacement<lock_release, 1>("lock", "release_lock"),
        replacement<lock_release, 2>("lock", "__exit__"),
        replacement<lock_at_fork_reinit>("lock", "_at_fork_reinit"),
        replacement<rlock_acquire, 0>("RLock", "acquire"),
        replacement<rlock_acquire, 1>("RLock", "__enter__"),
        replacement<rlock_release, 0>("RLock", "release"),
        replacement<rlock_release, 1>("RLock", "__exit__"),
        replacement<rlock_is_owned>("RLock", "_is_owned"),
        replacement<rlock_recursion_count>("RLock", "_recursion_count"),
        replacement<rlock_acquire_restore>("RLock", "_acquire_restore"),
        replacement<rlock_release_save>("RLock", "_release_save"),
        replacement<rlock_at_fork_reinit>("RLock", "_at_fork_reinit"),
        replacement<get_ident>(nullptr, "get_ident"),
    };
    PyObject* module = import_module("_thread");
    const bool replaced = module && find_originals(module) && stdlib::replace_all(module, replacements);
    Py_XDECREF(module);
    return replaced;
}

}  // namespace smarm::stdlib_locks
