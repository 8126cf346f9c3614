// shield.h: a section of native code that must be finished although an exit is requested of its actor.
//
// What:    while a Shield lives no park of the actor ends with Wake::exit_requested; what was requested takes effect at the
//          next park or safe point after it. Nests, also with smarm.shield().
// Threads: the actor's worker. Throws: no.
#pragma once

#include "smarm/actor/actor.h"

namespace smarm {

class Shield {
public:
    explicit Shield(Actor& actor) noexcept : actor_(actor), deepened_(actor.shield_depth != UINT8_MAX) {
        actor_.shield_depth = static_cast<std::uint8_t>(actor_.shield_depth + deepened_);
    }
    ~Shield() { actor_.shield_depth = static_cast<std::uint8_t>(actor_.shield_depth - deepened_); }
    Shield(const Shield&) = delete;
    Shield& operator=(const Shield&) = delete;

private:
    Actor& actor_;
    const bool deepened_;
};

}  // namespace smarm
