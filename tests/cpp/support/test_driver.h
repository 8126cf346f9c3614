// test_driver.h: drivers that need no kernel objects, for scheduler tests.
//
// What:    VirtualDriver: time stands still while actors run and jumps to the deadline when the worker would sleep, so
//          that a test with a single worker is deterministic and never waits. ThreadDriver: real time and a condition
//          variable. Both count what the worker asks of them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "smarm/base/sync.h"
#include "smarm/sched/driver.h"

namespace smarm::testing {

class ThreadDriver : public Driver {
public:
    Instant now() noexcept override { return monotonic_now(); }
    bool poll() noexcept override {
        polls.fetch_add(1, memory_order_relaxed);
        return false;
    }
    void wait(Instant until) noexcept override {
        waits.fetch_add(1, memory_order_relaxed);
        std::unique_lock guard(mutex_);
        const auto woken = [this] { return woken_; };
        if (until == kNever) condition_.wait(guard, woken);
        else condition_.wait_until(guard, until, woken);
        woken_ = false;
    }
    void wake() noexcept override {
        wakes.fetch_add(1, memory_order_relaxed);
        std::lock_guard guard(mutex_);
        woken_ = true;
        condition_.notify_one();
    }
    bool is_watching() const noexcept override { return false; }

    atomic<unsigned> polls{0};
    atomic<unsigned> waits{0};
    atomic<unsigned> wakes{0};

protected:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool woken_ = false;
};

class VirtualDriver final : public ThreadDriver {
public:
    Instant now() noexcept override {
        now_ += tick;
        return now_;
    }
    // Nothing but a wake() can come before `until`: go there. Without a deadline only a wake() ends the wait.
    void wait(Instant until) noexcept override {
        if (until == kNever) {
            ThreadDriver::wait(until);
            return;
        }
        waits.fetch_add(1, memory_order_relaxed);
        std::lock_guard guard(mutex_);
        if (!woken_ && until > now_) now_ = until;
        woken_ = false;
    }

    Duration tick = std::chrono::microseconds(1);  // by how much each look at the clock moves it, so that waiting by
                                                   // yielding ends, too

private:
    Instant now_{std::chrono::hours(1)};
};

}  // namespace smarm::testing
