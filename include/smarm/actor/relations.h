// relations.h: whom an actor is linked to, whom it monitors, who monitors it.
//
// What:    made at an actor's first link or monitor, so that others cost one pointer. Links are kept on both sides; a
//          monitor is kept by the watcher (ref -> target) and by the target (ref -> watcher).
// Threads: the actor's own worker. Throws: bad_alloc when adding; the caller turns it into an error.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "smarm/actor/pid.h"

namespace smarm {

struct PidHash {
    std::size_t operator()(Pid pid) const noexcept { return pid.bits() * 0x9E3779B97F4A7C15u; }
};

// Names one monitor; unique in the process. 0: none.
using MonitorRef = std::uint64_t;

// The time limit of a child, disarmed when it dies.
class ChildLimit {
public:
    virtual ~ChildLimit() = default;
};

struct Relations {
    // Each partner, with the number of the unlink that it has not acknowledged yet, or 0: linked. See sched/signals.h.
    std::unordered_map<Pid, std::uint64_t, PidHash> links;
    std::uint64_t last_unlink = 0;
    std::unordered_map<MonitorRef, Pid> watching;
    std::unordered_map<MonitorRef, Pid> watchers;
    // Which of `watching` are children whose end is told as Signal.Exit or Signal.Panic, with their time limit or
    // nullptr.
    std::unordered_map<MonitorRef, std::unique_ptr<ChildLimit>> children;
    bool trap_exit = false;  // exit signals become messages
};

}  // namespace smarm
