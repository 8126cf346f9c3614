// sync.h: the atomics and locks of the core, by one name.
//
// What:    atomic<T>, fence(), SpinLock, mutex, condition_variable and thread. Everything below interp uses these names
//          and never those of std directly: tests/sim builds the core with its own, where threads are fibers of one OS
//          thread and every access is a point at which another one may run.
// SpinLock: for sections of a few instructions that cannot park, allocate or call out. Not recursive, not fair.
#pragma once

#include <atomic>

#ifdef SMARM_SIMULATED_THREADS
#include <sim/sync.h>  // tests/sim
#else
#include <condition_variable>
#include <mutex>
#include <thread>

#include <sched.h>

namespace smarm {

template <class T>
using atomic = std::atomic<T>;
using std::condition_variable;
using std::mutex;
using std::thread;

inline void fence(std::memory_order order) noexcept { std::atomic_thread_fence(order); }
// Tells the CPU that this is a spin loop.
inline void cpu_relax() noexcept { __builtin_ia32_pause(); }
// Gives the core to another thread.
inline void yield_thread() noexcept { sched_yield(); }

}  // namespace smarm
#endif

namespace smarm {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

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
                else yield_thread();
            }
        }
    }
    bool try_lock() noexcept { return !taken_.exchange(true, memory_order_acquire); }
    void unlock() noexcept { taken_.store(false, memory_order_release); }

private:
    atomic<bool> taken_{false};
};

}  // namespace smarm
