// Installing, identity, and what each interpreter keeps. How locks work: stdlib_locks_{plain,recursive}.cpp.
#include "smarm/stdlib/locks.h"

#include "stdlib/locks_methods.h"
#include "stdlib/locks_table.h"
#include "stdlib/locks_wait.h"

namespace smarm {

bool install_stdlib_locks() {
    static bool installed = false;  // guarded by the main interpreter's GIL
    if (!installed) installed = stdlib_locks::replace_methods();
    return installed;
}

StdlibLocks::StdlibLocks() : impl_(std::make_unique<Impl>()) {}

StdlibLocks::~StdlibLocks() = default;

namespace stdlib_locks {

PyObject* get_ident(const Call& call) {
    Actor* actor = calling_actor();
    if (!actor || actor->keeps_thread_ident) return call.original();
    return PyLong_FromUnsignedLongLong(thread_ident(actor->pid));
}

}  // namespace stdlib_locks
}  // namespace smarm
