// simulated_reactor.h: the driver of a simulation: virtual time, and descriptors only as far as they are ready at once.
//
// What:    a Reactor whose clock is the Simulation's. When the worker has nothing to do, it looks once at the
//          descriptors that actors wait for; if none is ready, time jumps to the next timer. It never waits for the
//          world outside, so an actor that waits for a descriptor which nobody in this process will make ready sees its
//          timeout, or is part of a deadlock.
// Wake:    from other threads (signals): ends the next wait at once, without a jump.
// Threads, errors: as Reactor.
#pragma once

#include "smarm/sched/simulation.h"
#include "smarm/wait/reactor.h"

namespace smarm {

class SimulatedReactor final : public Reactor {
public:
    explicit SimulatedReactor(Simulation& simulation) : simulation_(simulation) {}

    Instant now() noexcept override { return simulation_.now(); }
    void wait(Instant until) noexcept override {
        // Acq_rel: pairs with wake(), so that what the other thread did before is seen.
        if (woken_.exchange(false, memory_order_acq_rel) || poll()) return;
        simulation_.wait_until(until);
    }
    void wake() noexcept override { woken_.store(true, memory_order_release); }

private:
    Simulation& simulation_;
    atomic<bool> woken_{false};
};

}  // namespace smarm
