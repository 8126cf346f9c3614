// blocking_pool.h: OS threads that run blocking calls for the actors of one interpreter.
//
// What:    call() runs a Python callable on a pool thread, which has a thread state of its own in the same interpreter,
//          and parks the calling actor until it has returned: objects go across as they are, exceptions too. Meant for
//          calls that block with the GIL released; a pool thread that computes slows the worker's actors down (DESIGN,
//          Trap 10).
// Bounds:  at most kMostThreads threads, made when a call finds none free, ended after kIdleSeconds without work or by
//          stop(). Calls beyond that wait in a queue, first in, first out.
// Given up: when the actor's deadline passes or it is asked to exit, a queued call is dropped, and a running one goes
//           on without anybody to take its result.
// Stop:    stop() refuses new calls, wakes the idle threads and waits for the busy ones; what is still in its call at
//          the deadline is left behind, as a daemon thread is, and then its interpreter must not be ended.
// Owner:   the InterpreterState. Threads: call from actors, stop from the interpreter's own thread, both attached; the
//          GIL guards everything but the counters.
// Errors:  a Python exception: what the callable raised, Timeout, ActorExit, RuntimeError (no thread, stopped),
//          MemoryError.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "smarm/base/clock.h"
#include "smarm/base/sync.h"

namespace smarm {

// One worker's, readable from any thread; relaxed.
struct BlockingCounters {
    atomic<std::uint32_t> threads{0};
    atomic<std::uint32_t> running{0};
    atomic<std::uint32_t> queued{0};
    atomic<std::uint64_t> calls{0};
    atomic<std::uint64_t> given_up{0};
};

// The counters of the worker with that index: they stay for the life of the process, and count on from run to run.
BlockingCounters& blocking_counters(unsigned worker) noexcept;

class BlockingPool {
public:
    static constexpr unsigned kMostThreads = 32;
    static constexpr int kIdleSeconds = 10;

    BlockingPool();
    ~BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;

    // Returns the call's result, a new reference, or nullptr with an exception set. `arguments` is a tuple.
    PyObject* call(PyObject* callable, PyObject* arguments, Instant deadline);
    // Ends the threads, waiting for them until `deadline` with the interpreter released. Returns how many are still in
    // a call. The pool takes calls again afterwards: the main interpreter may run a second runtime.
    std::size_t stop(Instant deadline);

private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // shared with the threads
};

}  // namespace smarm
