// mailbox_limit.h: how many messages, and how many bytes of them, may wait for one actor.
//
// What:    counts what its mailbox has and what is under way to it from other workers together, so that the limit holds
//          however many send at once. Only what somebody sent is refused or dropped: Down, Exit and answers always come
//          in, and count.
// Bytes:   Message::bytes() when it comes; remembered for each message, since one that was looked at is another one
//          later.
// Full:    error: the sender is told, nothing is sent. drop_newest: the message is a dead letter.
// Owner:   the Actor, set before it has a pid. Threads: reserve, lacks_places: any thread that looks at it through the
//          ActorTable; all others: the actor's worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "smarm/base/sync.h"
#include "smarm/msg/mailbox.h"

namespace smarm {

inline constexpr std::uint32_t kMaxMailboxLimit = 1u << 30;
inline constexpr std::size_t kMaxMailboxByteLimit = std::size_t{1} << 62;

enum class OnMailboxFull : std::uint8_t { error, drop_newest };

class MailboxLimit {
public:
    // At most kMaxMailboxLimit messages and kMaxMailboxByteLimit bytes; 0: any number. May throw std::bad_alloc.
    MailboxLimit(std::uint32_t most, std::size_t most_bytes, OnMailboxFull on_full)
        : most_(most), most_bytes_(most_bytes), on_full_(on_full) {
        if (most_bytes) sizes_.emplace();
    }

    std::uint32_t most() const noexcept { return most_; }
    std::size_t most_bytes() const noexcept { return most_bytes_; }
    OnMailboxFull on_full() const noexcept { return on_full_; }

    bool has_room(const Mailbox& mailbox, const Message& message) const noexcept;
    // Counts a message that is about to be posted from another worker. False: there is no room for it.
    bool reserve(const Mailbox& mailbox, std::size_t bytes) noexcept;
    // Such a message is in the mailbox now, or lost.
    void arrived(std::size_t bytes) noexcept;
    // The message is about to be pushed into the mailbox. False: no memory.
    bool comes(const Message& message) noexcept;
    // The message at `position` of the mailbox is about to leave it.
    void leaves(std::size_t position) noexcept;
    // Whether it is the number of messages that refuses the next one, rather than its bytes.
    bool lacks_places(const Mailbox& mailbox) const noexcept {
        return !most_bytes_ || !allows(coming_.load(memory_order_relaxed), mailbox);
    }

private:
    bool allows(std::uint32_t coming, const Mailbox& mailbox) const noexcept {
        return !most_ || coming + mailbox.size() < most_;
    }
    bool allows_bytes(std::size_t waiting, std::size_t more) const noexcept {
        return waiting <= most_bytes_ && more <= most_bytes_ - waiting;
    }

    const std::uint32_t most_;
    const std::size_t most_bytes_;
    const OnMailboxFull on_full_;
    atomic<std::uint32_t> coming_{0};
    atomic<std::size_t> bytes_{0};                  // of what waits and of what is coming
    std::optional<std::deque<std::size_t>> sizes_;  // of what waits, in the mailbox's order; none: bytes do not count
};

}  // namespace smarm
