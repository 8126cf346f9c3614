// delivery.h: how a message gets into a mailbox, and what its limit says to that.
//
// Threads: the actor's worker. Blocks, throws: no. Allocates: the mailbox, which says no_memory.
#pragma once

#include "smarm/actor/actor.h"
#include "smarm/sched/worker.h"

namespace smarm {

// What became of a message that somebody sent.
enum class Delivery : std::uint8_t { done, full, no_memory };

namespace detail {
// Without a look at the limit.
inline bool push_message(Worker& worker, Actor& actor, Message&& message) noexcept {
    if (!actor.mailbox.push(std::move(message))) return false;
    if (waits_for_message(actor.wait_reason.load(memory_order_relaxed))) worker.wake(actor);
    return true;
}
// Both for actors with a limit.
bool deliver_counted(Worker& worker, Actor& actor, Message&& message) noexcept;
Delivery deliver_limited(Worker& worker, Actor& actor, Message&& message) noexcept;
}  // namespace detail

// Gives the actor the message, whatever its mailbox's limit is; wakes it if it waits for one. False: no memory, the
// message stays with the caller.
inline bool deliver(Worker& worker, Actor& actor, Message&& message) noexcept {
    if (__builtin_expect(actor.mailbox_limit != nullptr, 0))
        return detail::deliver_counted(worker, actor, std::move(message));
    return detail::push_message(worker, actor, std::move(message));
}

// As deliver, for what an actor of this worker has sent: the mailbox's limit holds. full: the message stays with the
// caller. done: it may also have been dropped, and counted, as the limit says.
inline Delivery deliver_sent(Worker& worker, Actor& actor, Message&& message) noexcept {
    if (__builtin_expect(actor.mailbox_limit != nullptr, 0))
        return detail::deliver_limited(worker, actor, std::move(message));
    return detail::push_message(worker, actor, std::move(message)) ? Delivery::done : Delivery::no_memory;
}

// What a parcel with a target is as a post: a message from another worker, whose place was reserved where the limit
// refuses.
extern const Post::Kind kLetter;

}  // namespace smarm
