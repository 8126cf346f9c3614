// interrupt_timer.h: what brings an actor that computes to a safe point when the patience of a request has run out.
//
// What:    armed for an actor with a pending request that it may compute on through (Requests::due). A timer that is
//          due makes the monitor ask the running actor to come to a safe point, and there the request is delivered.
//          Where that is not legal, the timer is armed again, for as long as something is pending: at the monitor's
//          pace, not at each bytecode.
// Owner:   itself, while armed; one per actor at most. It knows its actor by the pid, and may outlive it.
// Simulation: there is none, every instruction of the program is a look.
// Without memory there is none: the request then waits for a point, or for a safe point at the end of a slice.
// Threads: the actor's worker. Blocks, throws: no.
#pragma once

#include "smarm/actor/pid.h"
#include "smarm/sched/timer_queue.h"

namespace smarm {

class Actor;
class Worker;

class InterruptTimer final : TimerNode {
public:
    // Sees to it that the actor, which is of this worker and has a pending request, is interrupted when that is due.
    static void watch(Worker& worker, Actor& actor) noexcept;

private:
    InterruptTimer(Worker& worker, Pid pid) noexcept : TimerNode(fire), worker_(worker), pid_(pid) {}
    static void fire(TimerNode& node);

    Worker& worker_;
    const Pid pid_;
};

}  // namespace smarm
