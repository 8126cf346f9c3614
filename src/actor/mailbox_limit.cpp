// Out of line, so that a mailbox without a limit costs a look at a pointer and no more.
#include "smarm/actor/mailbox_limit.h"

#include <new>

namespace smarm {

bool MailboxLimit::has_room(const Mailbox& mailbox, const Message& message) const noexcept {
    return allows(coming_.load(memory_order_relaxed), mailbox) &&
           (!most_bytes_ || allows_bytes(bytes_.load(memory_order_relaxed), message.bytes()));
}

bool MailboxLimit::reserve(const Mailbox& mailbox, std::size_t bytes) noexcept {
    // Acquire pairs with arrived(): who sees that a message is no longer coming sees it in the mailbox.
    const std::uint32_t coming = coming_.fetch_add(1, memory_order_acquire);
    if (allows(coming, mailbox)) {
        if (!most_bytes_ || allows_bytes(bytes_.fetch_add(bytes, memory_order_relaxed), bytes)) return true;
        bytes_.fetch_sub(bytes, memory_order_relaxed);
    }
    coming_.fetch_sub(1, memory_order_relaxed);
    return false;
}

void MailboxLimit::arrived(std::size_t bytes) noexcept {
    if (most_bytes_) bytes_.fetch_sub(bytes, memory_order_relaxed);
    coming_.fetch_sub(1, memory_order_release);
}

bool MailboxLimit::comes(const Message& message) noexcept {
    if (!sizes_) return true;
    const std::size_t bytes = message.bytes();
    try {
        sizes_->push_back(bytes);
    } catch (const std::bad_alloc&) {
        return false;
    }
    bytes_.fetch_add(bytes, memory_order_relaxed);
    return true;
}

void MailboxLimit::leaves(std::size_t position) noexcept {
    if (!sizes_) return;
    const auto it = sizes_->begin() + static_cast<std::ptrdiff_t>(position);
    bytes_.fetch_sub(*it, memory_order_relaxed);
    sizes_->erase(it);
}

}  // namespace smarm
