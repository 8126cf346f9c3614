// mailbox_limit.h: how many messages may wait for one actor.
//
// What:    counts what its mailbox has and what is under way to it from other workers together, so that the limit holds
//          however many send at once. Only what somebody sent is refused or dropped: Down, Exit and answers always come in.
// Full:    error: the sender is told, nothing is sent. drop_newest: the message is a dead letter.
// Owner:   the Actor, set before it has a pid. Threads: has_room: the actor's worker; reserve: any thread that has it pinned
//          in the ActorTable; arrived: the actor's worker.
#pragma once

#include <cstdint>

#include "smarm/base/sync.h"
#include "smarm/msg/mailbox.h"

namespace smarm {

inline constexpr std::uint32_t kMaxMailboxLimit = 1u << 30;

enum class OnMailboxFull : std::uint8_t { error, drop_newest };

class MailboxLimit {
public:
    // most must be from 1 to kMaxMailboxLimit.
    MailboxLimit(std::uint32_t most, OnMailboxFull on_full) noexcept : most_(most), on_full_(on_full) {}

    std::uint32_t most() const noexcept { return most_; }
    OnMailboxFull on_full() const noexcept { return on_full_; }

    bool has_room(const Mailbox& mailbox) const noexcept {
        return mailbox.size() + coming_.load(memory_order_relaxed) < most_;
    }
    // Counts a message that is about to be posted from another worker. False: there is no room for it.
    bool reserve(const Mailbox& mailbox) noexcept {
        // Acquire pairs with arrived(): who sees that a message is no longer coming sees it in the mailbox.
        if (coming_.fetch_add(1, memory_order_acquire) + mailbox.size() < most_) return true;
        coming_.fetch_sub(1, memory_order_relaxed);
        return false;
    }
    // Such a message is in the mailbox now.
    void arrived() noexcept { coming_.fetch_sub(1, memory_order_release); }

private:
    const std::uint32_t most_;
    const OnMailboxFull on_full_;
    atomic<std::uint32_t> coming_{0};
};

}  // namespace smarm
