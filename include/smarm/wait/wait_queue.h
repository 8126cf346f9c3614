// wait_queue.h: the actors parked on one object, and the gate that guards it.
//
// What:    Gate is the object's lock: nothing while only one worker can reach the object, a SpinLock once share() was
//          called. WaitQueue is a FIFO of parked actors; wake_one and wake_all make them ready on their own workers.
// Share:   the one worker that owns a local object calls share() before the first handle leaves for another worker; the
//          hand-over of that handle orders it before every other worker's first access. It is never undone.
// Use:     lock the gate; while the condition is false: Waiter waiter(...), unlock, park, lock, waiter.leave(). A
//          waiter that was woken but gives up (timeout, exit) must pass the wake-up on with wake_one.
// Owner:   borrows waiters, which live on their parked actor's stack.
// Threads: the gate's. Blocks: the SpinLock only. Allocates, throws: no.
#pragma once

#include "smarm/base/intrusive_list.h"
#include "smarm/base/sync.h"
#include "smarm/sched/worker.h"

namespace smarm {

// How an operation on an object that can be waited for ended.
enum class Status : std::uint8_t { ok, closed, full, timed_out, exit_requested, no_memory, must_convert };

class Gate {
public:
    void lock() noexcept {
        if (shared_) lock_.lock();
    }
    void unlock() noexcept {
        if (shared_) lock_.unlock();
    }
    void share() noexcept { shared_ = true; }
    bool shared() const noexcept { return shared_; }

private:
    bool shared_ = false;
    SpinLock lock_;
};

// Makes a parked actor of any worker ready. The caller must hold it: see Worker::wake_remote.
inline void unpark(Actor& actor) noexcept {
    Worker& worker = *actor.worker;
    if (&worker == this_worker()) worker.wake(actor);
    else worker.wake_remote(actor);
}

struct Waiter : ListNode<Waiter> {
    explicit Waiter(Actor& its_actor) noexcept : actor(its_actor) {}
    Actor& actor;
};

class WaitQueue {
public:
    bool empty() const noexcept { return waiters_.empty(); }
    std::size_t size() const noexcept { return waiters_.size(); }
    // The oldest waiter, or nullptr.
    const Waiter* front() const noexcept { return waiters_.front(); }
    void push(Waiter& waiter) noexcept { waiters_.push_back(waiter); }
    // Takes the waiter out if it is still in. Returns whether it had been woken by wake_one or wake_all.
    bool leave(Waiter& waiter) noexcept {
        if (!waiter.in_list()) return true;
        waiters_.remove(waiter);
        return false;
    }
    // Takes the oldest waiter out; nullptr when there is none. The caller must unpark its actor.
    Waiter* pop() noexcept { return waiters_.pop_front(); }
    void wake_one() noexcept {
        if (Waiter* waiter = waiters_.pop_front()) unpark(waiter->actor);
    }
    // As wake_one, but another worker is not woken yet: the caller nudges the one that is returned, if any, when the
    // gate is unlocked. The woken actor wants the gate next, and whoever holds it would be in a system call.
    [[nodiscard]] Worker* wake_one_silently() noexcept {
        Waiter* waiter = waiters_.pop_front();
        if (!waiter) return nullptr;
        Actor& actor = waiter->actor;
        Worker& worker = *actor.worker;
        if (&worker != this_worker()) return worker.wake_silently(actor) ? &worker : nullptr;
        worker.wake(actor);
        return nullptr;
    }
    void wake_all() noexcept {
        while (!waiters_.empty()) wake_one();
    }

private:
    List<Waiter> waiters_;
};

}  // namespace smarm
