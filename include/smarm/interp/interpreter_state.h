// interpreter_state.h: what smarm keeps for each interpreter that has imported it.
//
// What:    the heap types of the module in this interpreter, the codec that knows them, the waiters on stdlib locks.
//          Made when smarm._core is imported into the interpreter, found by interpreter_state() from any thread that is
//          attached to it, freed with the module.
// Owner:   the module object. Threads: guarded by the interpreter's GIL.
#pragma once

#include <Python.h>

#include <memory>

#include "smarm/actor/pid.h"
#include "smarm/base/sync.h"
#include "smarm/interp/value_codec.h"

namespace smarm {

class BlockingPool;
class StdlibLocks;

// The heap types that are found by number: see bind/native_object.h.
enum class NativeTypeIndex : std::uint8_t {
    mutex,
    semaphore,
    event,
    condition,
    barrier,
    once,
    hold,
    timer,
    timeout,
    task_group,
    buffer,
    count
};

struct InterpreterState {
    explicit InterpreterState(std::unique_ptr<ValueCodec> its_codec);
    ~InterpreterState();

    std::unique_ptr<ValueCodec> codec;       // see codec/codec.h
    std::shared_ptr<StdlibLocks> locks;      // shared_ptr: destroys what is known above only, see stdlib/locks.h
    std::unique_ptr<BlockingPool> blocking;  // see interp/blocking_pool.h
    bool outlasts_run = false;               // it has loaded private copies: see runtime/interpreter_pool.h
    bool of_worker = false;                  // not of the main interpreter, nor of one that the program has made
    // Of the main interpreter, in a run: modules of which is known that workers can load them: see bind/spawn.cpp.
    PyObject* loadable_modules = nullptr;
    PyObject* names = nullptr;  // the module's dict, which owns this (borrowed)
    // Strong references.
    PyTypeObject* pid_type = nullptr;
    PyTypeObject* join_handle_type = nullptr;
    PyTypeObject* outside_handle_type = nullptr;  // of what a portal spawned
    PyTypeObject* sender_type = nullptr;
    PyTypeObject* receiver_type = nullptr;
    PyTypeObject* source_type = nullptr;  // of what select() waits for
    PyTypeObject* connection_type = nullptr;
    PyTypeObject* listener_type = nullptr;
    PyTypeObject* native_types[static_cast<std::size_t>(NativeTypeIndex::count)] = {};
    PyObject* actor_exit = nullptr;       // the exception class
    PyObject* running_threads = nullptr;  // set of their handles: see interp/stdlib_threads.h
    PyObject* threading_name = nullptr;   // interned: "threading" and two names in it, see interp/py_actor.cpp
    PyObject* trace_hook_name = nullptr;
    PyObject* profile_hook_name = nullptr;
};

namespace detail {
// What this thread found last. The epoch makes it stale when any state is forgotten: the address of an ended
// interpreter can become another's.
struct InterpreterCache {
    const PyInterpreterState* interpreter = nullptr;
    InterpreterState* state = nullptr;
    std::uint64_t epoch = 0;
    // CPython's variable of this thread, once it is a worker's: see smarm/cpython/py_swap.h.
    PyThreadState** attached = nullptr;
};
extern constinit thread_local InterpreterCache interpreter_cache __attribute__((tls_model("initial-exec")));
// Relaxed: a thread that is attached to the interpreter whose state was forgotten did it itself, or got the GIL after
//          that.
extern atomic<std::uint64_t> interpreter_epoch;
InterpreterState* find_interpreter_state() noexcept;
}  // namespace detail

// The attached interpreter's state, or nullptr when smarm._core has not been imported into it.
[[gnu::always_inline]] inline InterpreterState* interpreter_state() noexcept {
    const detail::InterpreterCache& cache = detail::interpreter_cache;
    if (__builtin_expect(cache.attached && (*cache.attached)->interp == cache.interpreter &&
                             cache.epoch == detail::interpreter_epoch.load(memory_order_relaxed),
                         1))
        return cache.state;
    return detail::find_interpreter_state();
}

// Makes `state` the attached interpreter's; throws bad_alloc. nullptr: forgets it, and does not throw.
void set_interpreter_state(InterpreterState* state);

}  // namespace smarm
