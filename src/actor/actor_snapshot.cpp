#include "smarm/actor/actor_snapshot.h"

#include "smarm/base/safe_read.h"

namespace smarm {

ActorSnapshot look_at(const Actor& actor, int home) noexcept {
    ActorSnapshot seen;
    seen.pid = actor.pid;
    seen.parent = actor.parent;
    seen.home = home;
    seen.state = actor.state.load(memory_order_relaxed);
    seen.wait_reason = actor.wait_reason.load(memory_order_relaxed);
    seen.registered = actor.registered.load(memory_order_relaxed);
    seen.parked_since = actor.parked_since.load(memory_order_relaxed);
    seen.awaited = actor.awaited.load(memory_order_relaxed);
    seen.rider_state = actor.rider_state;
    seen.spawn_site = actor.spawn_site;
    seen.name = actor.name;
    seen.reductions = actor.reductions.load(memory_order_relaxed);
    seen.messages = actor.mailbox.size();
    if (const MailboxLimit* limit = actor.mailbox_limit.get()) {
        seen.mailbox_limit = limit->most();
        seen.mailbox_byte_limit = limit->most_bytes();
        seen.lacks_places = limit->lacks_places(actor.mailbox);
    }
    if (const BufferAccount* account = actor.buffers()) {
        seen.buffers = account->buffers.load(memory_order_relaxed);
        seen.buffer_bytes = account->bytes.load(memory_order_relaxed);
    }
    return seen;
}

Pid awaited_by(const ActorSnapshot& actor) noexcept {
    std::uint64_t bits = 0;
    const bool known =
        actor.awaited && actor.state == ActorState::parked && safe_read(actor.awaited, &bits, sizeof bits);
    return known ? Pid::from_bits(bits) : Pid{};
}

}  // namespace smarm
