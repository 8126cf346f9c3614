// mailbox.h: the queue of one receiver, a ring that grows.
//
// What:    push at the back, pop at the front, O(1) amortised. The first message lies in the mailbox itself: one that
//          never holds two at a time owns no other memory, and costs no other cache line. Used by actors and by
//          channels.
// Owner:   of its messages. Threads: none of its own: an actor's mailbox is its worker's, a channel's is guarded by the
//          channel; size() may be read by others (relaxed).
// Errors:  push returns false, leaving the message with the caller, when there is no memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "smarm/base/sync.h"
#include "smarm/msg/message.h"

namespace smarm {

class Mailbox {
public:
    Mailbox() = default;
    ~Mailbox() { clear(); }
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    bool empty() const noexcept { return size() == 0; }
    std::size_t size() const noexcept { return size_.load(memory_order_relaxed); }

    bool push(Message&& message) noexcept {
        const std::uint32_t size = size_.load(memory_order_relaxed);
        if (size == capacity_ && !grow()) return false;
        new (&ring_[(head_ + size) & (capacity_ - 1)]) Message(std::move(message));
        size_.store(size + 1, memory_order_relaxed);
        return true;
    }
    // Must not be empty.
    Message pop() noexcept {
        const std::uint32_t size = size_.load(memory_order_relaxed);
        SMARM_ASSERT(size > 0, "pop from an empty mailbox");
        Message message(std::move(ring_[head_]));
        head_ = (head_ + 1) & (capacity_ - 1);
        size_.store(size - 1, memory_order_relaxed);
        if (mark_) --mark_;
        return message;
    }
    // Remembers the present end: what carries something made after this call can only come behind it. One mark at a
    // time; it moves with the messages in front of it.
    void set_mark() noexcept { mark_ = size_.load(memory_order_relaxed); }
    // The position from which a search for what set_mark() was called for may start.
    std::size_t mark() const noexcept { return mark_; }
    // The message at `position`, 0 being the oldest; must exist.
    Message& at(std::size_t position) noexcept {
        return ring_[(head_ + static_cast<std::uint32_t>(position)) & (capacity_ - 1)];
    }
    // Takes the message at `position` out, the others keep their order; must exist. Costs the smaller side's length.
    Message take(std::size_t position) noexcept;
    // Drops every message and the memory. Returns how many there were.
    std::size_t clear() noexcept;

private:
    bool grow() noexcept;
    Message first_;
    Message* ring_ = &first_;     // capacity_ words, of which size_ from head_ on hold messages
    std::uint32_t capacity_ = 1;  // a power of two
    std::uint32_t head_ = 0;
    std::uint32_t mark_ = 0;  // at most size_
    // Relaxed: written by the owner only, read by others for statistics.
    atomic<std::uint32_t> size_{0};
};

}  // namespace smarm
