#include "smarm/msg/mailbox.h"

#include <cstdlib>
#include <new>

namespace smarm {
namespace {
constexpr std::uint32_t kFirstMessages = 4;
constexpr std::uint32_t kMaxCapacity = 1u << 31;
}  // namespace

bool Mailbox::grow() noexcept {
    if (capacity_ == kMaxCapacity) return false;
    const std::uint32_t capacity = ring_ == &first_ ? kFirstMessages : capacity_ * 2;
    auto* ring = static_cast<Message*>(std::malloc(capacity * sizeof(Message)));
    if (!ring) return false;
    const std::uint32_t size = size_.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < size; ++i) new (&ring[i]) Message(std::move(ring_[(head_ + i) & (capacity_ - 1)]));
    // SAFETY: the old words were moved from, which leaves them empty; an empty Message needs no destructor call.
    if (ring_ != &first_) std::free(ring_);
    ring_ = ring;
    capacity_ = capacity;
    head_ = 0;
    return true;
}

Message Mailbox::take(std::size_t position) noexcept {
    SMARM_ASSERT(position < size(), "there is no such message");
    Message taken(std::move(at(position)));
    const std::uint32_t size = size_.load(memory_order_relaxed);
    if (position < size / 2) {
        for (std::size_t i = position; i > 0; --i) at(i) = std::move(at(i - 1));
        head_ = (head_ + 1) & (capacity_ - 1);
    } else {
        for (std::size_t i = position; i + 1 < size; ++i) at(i) = std::move(at(i + 1));
    }
    size_.store(size - 1, memory_order_relaxed);
    if (position < mark_) --mark_;
    return taken;
}

std::size_t Mailbox::clear() noexcept {
    std::size_t dropped = 0;
    // One at a time: releasing a local object may run code that sends to this very mailbox.
    for (; !empty(); ++dropped) pop();
    if (ring_ != &first_) std::free(ring_);
    ring_ = &first_;
    capacity_ = 1;
    head_ = mark_ = 0;
    return dropped;
}

}  // namespace smarm
