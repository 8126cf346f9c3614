// semaphore.h: at most n actors at a time, of any workers.
//
// What:    permits belong to the actor that acquired them: only it can release them, and its end gives them back.
// Order:   first in, first out. Not: a counter for signalling (see Event, Channel).
// Threads: acquire and release: actors. Allocates: one small record for an actor's first permit.
// Errors:  acquire: ok, timed_out, exit_requested or no_memory.
// See:     tests/cpp/wait/semaphore_test.cpp, docs/reference/sync.md
#pragma once

#include <cstddef>

#include "smarm/actor/held_resource.h"
#include "smarm/wait/sync_object.h"

namespace smarm {

class Semaphore final : public SyncObject {
public:
    // permits must be at least 1.
    explicit Semaphore(std::size_t permits) noexcept : available_(permits) {}

    Status acquire(Instant deadline) noexcept;
    // Returns false when the running actor has no permit of this semaphore.
    bool release() noexcept;
    // Permits that nobody has.
    std::size_t available() noexcept;

private:
    struct Permits;
    Status take(Actor& self, Instant deadline) noexcept;
    void put_back() noexcept;

    std::size_t available_;  // not 0 only while nobody waits
    WaitQueue waiters_;
};

}  // namespace smarm
