// run_queue.h: the actors of one worker that can run, first in, first out.
//
// What:    an intrusive single list through Actor::next_ready; push and pop are a few instructions.
// Owner:   borrows the actors. Threads: the worker's own. Blocks, allocates, throws: no.
#pragma once

#include <cstddef>

#include "smarm/actor/actor.h"

namespace smarm {

class RunQueue {
public:
    bool empty() const noexcept { return first_ == nullptr; }
    std::size_t size() const noexcept { return size_.load(memory_order_relaxed); }
    Actor* front() const noexcept { return first_; }

    void push(Actor& actor) noexcept {
        actor.next_ready = nullptr;
        (first_ ? last_->next_ready : first_) = &actor;
        last_ = &actor;
        set_size(size() + 1);
    }
    void push_front(Actor& actor) noexcept {
        actor.next_ready = first_;
        if (!first_) last_ = &actor;
        first_ = &actor;
        set_size(size() + 1);
    }
    // Takes out the actor at `position`, which must be below size().
    Actor& take(std::size_t position) noexcept {
        if (position == 0) return pop();
        Actor* before = first_;
        while (--position) before = before->next_ready;
        Actor& actor = *before->next_ready;
        before->next_ready = actor.next_ready;
        if (last_ == &actor) last_ = before;
        set_size(size() - 1);
        return actor;
    }
    // Must not be empty.
    Actor& pop() noexcept {
        Actor& actor = *first_;
        first_ = actor.next_ready;
        set_size(size() - 1);
        return actor;
    }

private:
    void set_size(std::size_t size) noexcept { size_.store(size, memory_order_relaxed); }
    Actor* first_ = nullptr;
    Actor* last_ = nullptr;
    atomic<std::size_t> size_{0};  // relaxed: others read it for statistics
};

}  // namespace smarm
