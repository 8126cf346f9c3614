// stdlib/locks.h: _thread's locks and thread identity, made aware of actors.
//
// What:    replaces the C functions in the method tables of _thread.lock, _thread.RLock and _thread.get_ident
//          (PyMethodDef .ml_meth), once per process: objects and names that exist already follow, in every interpreter.
//          Called from an actor, acquire parks the actor instead of blocking its worker, an RLock belongs to the actor
//          that took it, get_ident is the actor's. Called from any other thread the original decides, and what it
//          releases wakes a parked actor.
// Main:    the main actor is its OS thread to Python: same ident (threading.main_thread() is what it says), and the
//          RLocks that the thread took before run() are its own, as those that it still holds afterwards are the
//          thread's.
// Fair:    a released lock goes to whoever asks first, and the longest waiting actor is woken; woken in vain, it gets
//          the lock handed over at the next release. Threads have their chance at every release that is no hand-over.
// Owner:   StdlibLocks holds a strong reference to each lock that has waiters or an actor as owner. A lock whose owner
//          has ended stays locked, as with threads.
// Threads: the interpreter's GIL guards its StdlibLocks. Errors: install() false with a Python exception when this
//          CPython's tables are not what we know. A lock with a timeout honours it; an actor asked to exit while it
//          waits gets ActorExit, except in RLock._acquire_restore, which must return with the lock, and unless it got
//          the lock at the same moment; a killed one that knows waits up to a second for what its finally blocks need.
// Not:     other blocking calls of C modules: see the other stdlib_*.h. Python code that runs on a worker outside
//          of actors (signal handlers) must not wait for a lock that an actor holds: RLock says so with RuntimeError.
#pragma once

#include <Python.h>

#include <memory>

namespace smarm {

// Patches the process's method tables; later calls do nothing. The main interpreter must be attached.
bool install_stdlib_locks();

class StdlibLocks {
public:
    StdlibLocks();
    ~StdlibLocks();
    StdlibLocks(const StdlibLocks&) = delete;
    StdlibLocks& operator=(const StdlibLocks&) = delete;

    struct Impl;
    Impl& impl() noexcept { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace smarm
