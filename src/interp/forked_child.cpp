#include "smarm/interp/forked_child.h"

#include <pthread.h>
#include <unistd.h>

#include "smarm/base/sync.h"
#include "smarm/interp/imports.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {

// Relaxed: written in a process that has one thread.
atomic<unsigned> forks{0};
bool (*forget)() = nullptr;

void in_child() {
    if (!forget()) return;
    forks.store(forks.load(memory_order_relaxed) + 1, memory_order_relaxed);
    detail::this_worker = nullptr;
}

}  // namespace

void watch_forks(bool (*forget_runtime)()) {
    forget = forget_runtime;
    // It cannot be taken back, nor fail but for memory: then a child crashes when its actor parks.
    static const int registered = pthread_atfork(nullptr, nullptr, in_child);
    static_cast<void>(registered);
}

unsigned fork_count() noexcept { return forks.load(memory_order_relaxed); }

void end_forked_child(PyObject* exception) {
    PyObject* done =
        call_imported("smarm._failure", "end_child", Py_BuildValue("(O)", exception ? exception : Py_None));
    if (!done) PyErr_Print();
    _exit(1);
}

}  // namespace smarm
