// condition.h: actors that hold a Mutex wait for another to say that something under it has changed.
//
// What:    wait_notified gives the mutex away, waits for a notify and takes the mutex again, without a deadline and
//          shielded from exits, so that the caller holds it again whatever the outcome; unless it was poisoned
//          meanwhile: then `closed` (or exit_requested), without it. A notified actor returns ok, whatever else there
//          is.
// Order:   first in, first out.
// Threads: wait_notified, notify: actors, which should hold the mutex; share: see SyncObject. Allocates, throws: no.
// See:     wait/mutex.h, tests/cpp/wait/condition_test.cpp, docs/reference/sync.md
#pragma once

#include <cstddef>

#include "smarm/wait/mutex.h"

namespace smarm {

class Condition final : public SyncObject {
public:
    explicit Condition(Ref<Mutex> mutex) noexcept : mutex_(std::move(mutex)) {}
    Mutex& mutex() const noexcept { return *mutex_; }
    void share() noexcept override {
        SyncObject::share();
        mutex_->share();
    }
    // The running actor must hold the mutex. ok, timed_out, exit_requested, or closed (then without the mutex).
    Status wait_notified(Instant deadline) noexcept;
    // Wakes the `count` oldest waiters.
    void notify(std::size_t count) noexcept;

private:
    const Ref<Mutex> mutex_;
    WaitQueue waiters_;
};

}  // namespace smarm
