// timer_queue.h: deadlines of one worker, in a hierarchical timing wheel.
//
// What:    arm() puts a TimerNode at a deadline, cancel() takes it out, expire(now) calls fire on each node that is
//          due, next_deadline() says until when the worker may sleep. arm and cancel are O(1) and never allocate
//          (the node is the caller's); one million armed nodes cost nothing but their own memory.
// Ticks:   2^16 ns (65.5 us). A node never fires early; it fires at most one tick late plus the caller's own delay
//          in calling expire(). A deadline that has passed already counts as the tick of the latest expire().
// Order:   nodes of different ticks fire in tick order; of one tick in the order in which they were armed.
// Owner:   the queue borrows armed nodes; a node must be cancelled before it dies (asserted), and all before the queue
//          dies (asserted).
// Threads: one queue per worker, used by that worker only. Blocks, allocates, throws: no. fire may arm and cancel
//          any node, its own too, and may end its own node's life; it must not call expire() (asserted).
// Cost:    a node moves down at most 7 levels in its life, inside the expire() calls it is armed for: the calls that
//          enter a coarse slot take time in proportion to the nodes in it.
// Source:  G. Varghese and A. Lauck, "Hashed and hierarchical timing wheels", 1987 (scheme 6/7).
// See:     tests/cpp/sched/timer_queue_test.cpp
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "smarm/base/clock.h"

namespace smarm {

class TimerNode {
public:
    using Fire = void (*)(TimerNode& node);
    TimerNode() = default;
    explicit TimerNode(Fire fire) noexcept : fire_(fire) {}
    TimerNode(const TimerNode&) = delete;
    TimerNode& operator=(const TimerNode&) = delete;
    ~TimerNode();

    bool armed() const noexcept { return armed_; }
    Instant deadline() const noexcept { return deadline_; }

private:
    friend class TimerQueue;
    TimerNode* previous_ = nullptr;
    TimerNode* next_ = nullptr;
    Instant deadline_{};
    Fire fire_ = nullptr;
    std::uint16_t place_ = 0;  // wheel level and slot, so that cancel is O(1)
    bool armed_ = false;
};

class TimerQueue {
public:
    // `now` is the wheel's origin: no deadline before it is ever armed for longer than a tick.
    explicit TimerQueue(Instant now);
    ~TimerQueue();
    TimerQueue(const TimerQueue&) = delete;
    TimerQueue& operator=(const TimerQueue&) = delete;

    // Arms the node. Must not be armed. A deadline in the past fires at the next expire().
    void arm(TimerNode& node, Instant deadline) noexcept;
    // Disarms the node; does nothing when it is not armed.
    void cancel(TimerNode& node) noexcept;
    // Fires all that is due at `now` and returns how many. `now` must not go back. What is armed meanwhile, for `now`
    // or earlier, is left to the next expire().
    std::size_t expire(Instant now) noexcept;
    // Returns a time at or before the earliest deadline's tick (never later than needed to fire in time), or kNever.
    Instant next_deadline() const noexcept;
    std::size_t size() const noexcept { return size_; }

private:
    struct Wheel;

    std::size_t fire_place(std::uint16_t place) noexcept;

    std::unique_ptr<Wheel> wheel_;
    std::size_t size_ = 0;
};

}  // namespace smarm
