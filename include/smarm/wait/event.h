// event.h: Event, Barrier and Condition: actors that wait for others to say so.
//
// Event:     unset <-> set. wait() returns at once while it is set; set() wakes everybody who waits.
// Barrier:   opens when `parties` actors wait at it, and closes behind them. One that gives up (timeout, exit) is not counted
//            any more; the others go on waiting: a barrier does not break.
// Condition: wait() gives the mutex away, waits for a notify and takes the mutex again, without a deadline and shielded
//            from exits, so that the caller holds it again whatever the outcome, unless it was poisoned meanwhile:
//            then `closed` (or exit_requested, without it). A notified actor that is asked to exit passes the notification on.
// Order:     first in, first out. Threads: wait, notify: actors; the rest: any holder of a reference. Allocates, throws: no.
// See:       tests/cpp/wait/event_test.cpp, docs/reference/sync.md
#pragma once

#include <cstddef>

#include "smarm/wait/mutex.h"

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
