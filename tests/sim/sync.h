// sync.h: the names of smarm/base/sync.h for a core whose threads are fibers: every access is a point where another may
// run.
//
// What:    what the core calls atomic, mutex, condition_variable and thread, on top of sim/threads.h. Accesses happen
//          one after another (sequential consistency): a wrong order of operations shows, a memory order that is too
//          weak does not.
// Threads: one OS thread. Throws: no.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>

#include "sim/threads.h"

namespace smarm {

template <class T>
class atomic {
public:
    constexpr atomic() noexcept : value_{} {}
    constexpr atomic(T value) noexcept : value_(value) {}
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

    T load(std::memory_order = std::memory_order_seq_cst) const noexcept {
        sim::point();
        return value_;
    }
    void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
        sim::point();
        value_ = value;
    }
    T exchange(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
        sim::point();
        return std::exchange(value_, value);
    }
    T fetch_add(auto more, std::memory_order = std::memory_order_seq_cst) noexcept {
        sim::point();
        return std::exchange(value_, static_cast<T>(value_ + more));
    }
    T fetch_sub(auto less, std::memory_order = std::memory_order_seq_cst) noexcept {
        sim::point();
        return std::exchange(value_, static_cast<T>(value_ - less));
    }
    T fetch_or(T bits, std::memory_order = std::memory_order_seq_cst) noexcept {
        sim::point();
        return std::exchange(value_, static_cast<T>(value_ | bits));
    }
    bool compare_exchange_strong(T& expected, T wanted, std::memory_order = std::memory_order_seq_cst,
                                 std::memory_order = std::memory_order_seq_cst) noexcept {
        sim::point();
        if (value_ != expected) {
            expected = value_;
            return false;
        }
        value_ = wanted;
        return true;
    }
    bool compare_exchange_weak(T& expected, T wanted, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) noexcept {
        return !sim::chance(8) && compare_exchange_strong(expected, wanted);
    }

private:
    T value_;
};

inline void fence(std::memory_order) noexcept { sim::point(); }
inline void cpu_relax() noexcept { sim::point(); }
inline void yield_thread() noexcept { sim::point(); }

class mutex {
public:
    void lock() noexcept {
        sim::point();
        sim::wait_for([this] { return !taken_; });
        taken_ = true;
    }
    void unlock() noexcept {
        taken_ = false;
        sim::point();
    }

private:
    bool taken_ = false;
};

class condition_variable {
public:
    template <class Condition>
    void wait(std::unique_lock<mutex>& guard, Condition condition) noexcept {
        while (!condition()) {
            guard.unlock();
            sim::wait_for(condition);
            guard.lock();
        }
    }
    // A simulated run has no deadline of its own: what does not come is a deadlock.
    template <class Deadline, class Condition>
    bool wait_until(std::unique_lock<mutex>& guard, Deadline, Condition condition) noexcept {
        wait(guard, condition);
        return true;
    }
    template <class Length, class Condition>
    bool wait_for(std::unique_lock<mutex>& guard, Length, Condition condition) noexcept {
        return wait_until(guard, 0, condition);
    }
    void notify_one() noexcept {}  // conditions are looked at again whenever somebody else may run
    void notify_all() noexcept {}
};

using thread = sim::Thread;

}  // namespace smarm
