// calling_actor.h: whether an actor makes this call, and which thread it is to the standard library.
//
// Threads: any, attached.
#pragma once

#include <Python.h>

#include "smarm/sched/worker.h"

namespace smarm {

// The actor that makes this call and may park in it, or nullptr: a thread of its own, a worker outside of actors, or an
// actor that runs code of another interpreter or under another thread state.
inline Actor* calling_actor() noexcept {
    Actor* actor = this_actor();
    return actor && actor->rider_state == PyThreadState_GetUnchecked() ? actor : nullptr;
}

// What the standard library takes for the actor's thread identifier: its pid with the lowest bit set. Never 0, never
// that of a thread (pthread_self() is an aligned address), and not used again before 2^31 more actors have had the same
// table slot.
inline std::uint64_t thread_ident(Pid pid) noexcept { return pid.bits() << 1 | 1; }

}  // namespace smarm
