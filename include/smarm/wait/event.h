// event.h: a flag that actors wait for.
//
// States:  unset <-> set. wait_set returns at once while it is set; set() wakes everybody who waits.
// Threads: wait_set: actors; the rest: any holder of a reference. Allocates, throws: no.
// See:     wait/sync_object.h, tests/cpp/wait/event_test.cpp, docs/reference/sync.md
#pragma once

#include "smarm/wait/sync_object.h"

namespace smarm {

class Event final : public SyncObject {
public:
    void set() noexcept;
    void clear() noexcept;
    bool is_set() noexcept;
    // ok, timed_out or exit_requested.
    Status wait_set(Instant deadline) noexcept;

private:
    bool set_ = false;
    WaitQueue waiters_;
};

}  // namespace smarm
