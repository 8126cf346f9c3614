// calling_actor.h: whether an actor makes this call.
//
// Threads: any, attached.
#pragma once

#include <Python.h>

#include "smarm/sched/worker.h"

namespace smarm {

// The actor that makes this call and may park in it, or nullptr: a thread of its own, a worker outside of actors, or an actor
// that runs code of another interpreter or under another thread state.
inline Actor* calling_actor() noexcept {
    Actor* actor = this_actor();
    return actor && actor->rider_state == PyThreadState_GetUnchecked() ? actor : nullptr;
}

}  // namespace smarm
