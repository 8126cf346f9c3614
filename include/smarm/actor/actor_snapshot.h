// actor_snapshot.h: what others see of an actor: a copy.
//
// What:    ActorTable fills it while the actor cannot be freed; whoever reads it holds no lock, and may allocate, write
//          and wait. The parts are right each by itself: the actor goes on meanwhile.
// Owner:   the copy; `name` is shared with the actor and never changes, `spawn_site` is immortal. `awaited` and
//          `rider_state` are places that may be gone by now: read them with safe_read only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "smarm/actor/actor.h"

namespace smarm {

struct ActorSnapshot {
    Pid pid;
    Pid parent;
    int home = 0;  // as ActorTable::find_home
    ActorState state{};
    WaitReason wait_reason{};
    bool registered = false;
    bool lacks_places = false;      // its mailbox_limit is what refuses the next message, not its mailbox_byte_limit
    std::int64_t parked_since = 0;  // a count of Instant
    const void* awaited = nullptr;  // where the Pid of whom it waits for is, see Actor::awaited
    const void* rider_state = nullptr;
    const SpawnSite* spawn_site = nullptr;
    std::shared_ptr<const std::string> name;  // nullptr: none
    std::uint64_t reductions = 0;
    std::size_t messages = 0;
    std::uint32_t mailbox_limit = 0;
    std::size_t mailbox_byte_limit = 0;
    std::uint64_t buffers = 0;
    std::uint64_t buffer_bytes = 0;
};

// Copies. The actor must not be freed meanwhile.
ActorSnapshot look_at(const Actor& actor, int home) noexcept;

// The actor whose end or release a parked one waits for, or the null Pid: nobody in particular.
Pid awaited_by(const ActorSnapshot& actor) noexcept;

}  // namespace smarm
