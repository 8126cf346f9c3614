// barrier.h: where a number of actors wait for each other, round after round.
//
// What:    opens when `parties` actors wait at it, and closes behind them. One that gives up (timeout, exit) is not
//          counted any more; the others go on waiting: a barrier does not break.
// Threads: wait_all: actors; the rest: any holder of a reference. Allocates, throws: no.
// See:     wait/sync_object.h, tests/cpp/wait/barrier_test.cpp, docs/reference/sync.md
#pragma once

#include <cstddef>

#include "smarm/wait/sync_object.h"

namespace smarm {

class Barrier final : public SyncObject {
public:
    // parties must be at least 1.
    explicit Barrier(std::size_t parties) noexcept : parties_(parties) {}
    // ok, timed_out or exit_requested. *last: the running actor is the one that opened the barrier.
    Status wait_all(Instant deadline, bool* last) noexcept;
    std::size_t parties() const noexcept { return parties_; }
    std::size_t waiting() noexcept;

private:
    const std::size_t parties_;
    WaitQueue waiters_;
};

}  // namespace smarm
