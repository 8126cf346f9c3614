// sync.h: the atomics and locks of the core, by one name.
//
// What:    atomic<T>, fence() and SpinLock. Everything below interp uses these names and never std::atomic
//          directly, so that a simulation build can make each access a switch point.
// SpinLock: for sections of a few instructions that cannot park, allocate or call out. Not recursive, not fair.
#pragma once

#include <atomic>

#include <sched.h>

namespace smarm {

template <class T>
using atomic = std::atomic<T>;

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

inline void fence(std::memory_order order) noexcept { std::atomic_thread_fence(order); }

// Tells the CPU that this is a spin loop.
inline void cpu_relax() noexcept { __builtin_ia32_pause(); }

class SpinLock {
public:
    SpinLock() = default;
    SpinLock(const SpinLock&) = delete;
    SpinLock& operator=(const SpinLock&) = delete;

    void lock() noexcept {
        // Acquire pairs with the release in unlock(): what the last holder wrote is visible.
        while (taken_.exchange(true, memory_order_acquire)) {
            // The holder may have been descheduled by the kernel: give the core away after a short spin.
            for (int spins = 0; taken_.load(memory_order_relaxed); ++spins) {
                if (spins < 100) cpu_relax();
                else sched_yield();
            }
        }
    }
    void unlock() noexcept { taken_.store(false, memory_order_release); }

private:
    atomic<bool> taken_{false};
};

}  // namespace smarm
