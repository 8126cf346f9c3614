// Installing, identity, and what each interpreter keeps. How locks work: stdlib_locks_{plain,recursive}.cpp.
#include "smarm/stdlib/locks.h"

#include "smarm/interp/lock_code.h"
#include "stdlib/locks_methods.h"
#include "stdlib/locks_table.h"
#include "stdlib/locks_wait.h"

namespace smarm {

bool install_stdlib_locks() {
    static bool installed = false;  // guarded by the main interpreter's GIL
    if (!installed) installed = find_library() && stdlib_locks::replace_methods();
    return installed;
}

StdlibLocks::StdlibLocks() : impl_(std::make_unique<Impl>()) {}

StdlibLocks::~StdlibLocks() = default;

namespace stdlib_locks {

// An actor's ident is its pid with the lowest bit set: never 0, never that of a thread (pthread_self() is an aligned address),
// and not used again before 2^31 more actors have had the same table slot.
PyObject* get_ident(const Call& call) {
    Actor* actor = calling_actor();
    if (!actor || actor->keeps_thread_ident) return call.original();
    return PyLong_FromUnsignedLongLong(actor->pid.bits() << 1 | 1);
}

}  // namespace stdlib_locks
}  // namespace smarm
