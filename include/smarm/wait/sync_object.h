// sync_object.h: what Mutex, Semaphore, Event, Condition, Barrier and Once have in common.
//
// What:    a Gate, a FIFO of waiters, and one way to wait: whoever takes a waiter out of the queue has given it what it
//          waits for (hand-over), so nobody can overtake it and no wake-up can be lost. A waiter that was served
//          returns with what it got, whatever is requested of its actor meanwhile.
// Local:   as channels: local to one worker until share() is called there, before the first handle leaves it.
// Threads: see Gate (wait/wait_queue.h). Waiting: actors only.
#pragma once

#include "smarm/base/clock.h"
#include "smarm/base/shared.h"
#include "smarm/wait/wait_queue.h"

namespace smarm {

class SyncObject : public Shared {
public:
    // Lets other workers in. On the owning worker only.
    virtual void share() noexcept { gate_.share(); }
    bool shared() const noexcept { return gate_.shared(); }

protected:
    // Parks the running actor, whose waiter is in `queue`, until it is served (ok: somebody took it out) or gives up
    // (timed_out, exit_requested); it is then in no queue. The gate is held on entry and on return.
    Status wait(WaitQueue& queue, Waiter& waiter, WaitReason reason, Instant deadline) noexcept;

    Gate gate_;
};

}  // namespace smarm
