// preempt.h: allocations as the measure of an actor's work, and the safe points of native actors.
//
// What:    every allocation of an actor counts down a budget of its thread (its reductions, in Erlang's words). When
//          the budget is used up, Worker::look_at_slice looks at the clock: an actor whose time slice is over while
//          others could run, or while a timer is due, is asked to come to a safe point. So an actor that allocates
//          gives way in time without the monitor, which is for loops that allocate nothing.
// Python:  cpython/allocation_hook.h counts the object allocator's calls; the safe point is between two bytecodes
//          (PyRider).
// Native:  check() (SMARM_CHECK()) is the safe point. A program that links operator_new.cpp has its `operator new`
//          counted, and inside an AllocationsPreempt an actor may be switched away in it.
// Threads: a thread that is no worker's counts, too, and nothing comes of it. Blocks: check() may switch. Throws: no.
// See:     tests/cpp/sched/preempt_test.cpp, docs/explanation/internals/preemption.md
#pragma once

#include <cstdint>

#include "smarm/sched/worker.h"

namespace smarm {

namespace detail {
// Counts an allocation of the calling thread. False: the clock is to be looked at.
inline bool budget_left() noexcept { return --allocation_budget > 0; }
// The budget of the calling thread is used up.
void budget_used_up() noexcept;
bool check_slice() noexcept;
}  // namespace detail

// An allocation. A few instructions.
inline void count_allocation() noexcept {
    if (!detail::budget_left()) [[unlikely]]
        detail::budget_used_up();
}

// A safe point of the running native actor, which counts as an allocation. True: something is requested of it, and it
// is to return.
inline bool check() noexcept {
    if (detail::budget_left()) [[likely]]
        return false;
    return detail::check_slice();
}

// For loops that do not allocate.
#define SMARM_CHECK() ::smarm::check()

// Inside it the running native actor's allocations are safe points. It must not call smarm there: it could be switched
// away in the middle of that. Exit requests wait for the end of it. Nests; must end on the actor that began it.
class AllocationsPreempt {
public:
    AllocationsPreempt() noexcept;
    ~AllocationsPreempt();
    AllocationsPreempt(const AllocationsPreempt&) = delete;
    AllocationsPreempt& operator=(const AllocationsPreempt&) = delete;

private:
    const bool before_;
};

}  // namespace smarm
