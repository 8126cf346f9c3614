#include "stdlib/locks_wait.h"
#include "smarm/stdlib/locks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "smarm/actor/shield.h"
#include "smarm/interp/lock_code.h"
#include "smarm/interp/py_rider.h"
#include "smarm/sched/cancel_scope.h"
#include "smarm/sched/scheduler.h"

namespace smarm::stdlib_locks {
Taken wait_for_lock(LockTable& table, LockEntry& entry, Actor& actor, const Patience& patience, TryTake try_take) {
    Worker& worker = *this_worker();
    Instant deadline = patience.forever ? kNever : deadline_after(worker.driver().now(), patience.timeout);
    std::optional<Shield> shield;
    std::optional<PatientShield> patient_shield;
    bool exits_at_deadline = false;
    const auto may_cut = [&] { return !patience.takes_back && may_cut_lock(actor); };
    // What cannot be cut here waits on, but not for ever.
    const auto hold_out = [&] {
        if (actor.requests.urgent()) shield.emplace(actor);
        else patient_shield.emplace(actor);
        const Instant last = lock_is_held_out_until(actor);
        exits_at_deadline = exits_at_deadline || last < deadline;
        deadline = std::min(deadline, last);
    };
    if (is_deliverable(actor) && !may_cut()) hold_out();
    LockWaiter waiter(actor);
    entry.waiters.push_back(waiter);
    Awaits awaits(actor, entry.owner);
    for (;;) {
        const Parked parked = worker.park(WaitReason::lock, deadline);
        int taken = waiter.has_lock;  // then the entry may be gone
        if (!taken && (waiter.woken || parked.timed_out)) {
            taken = try_take(entry, actor);
            waiter.passed_over = waiter.woken;
            waiter.woken = false;
        }
        if (taken == 0 && parked.woken()) continue;
        if (taken == 0 && parked.requested && !may_cut()) {
            hold_out();
            continue;
        }
        if (waiter.in_list()) {
            entry.waiters.remove(waiter);
            if (taken < 0) entry.wake_first();  // what kept this actor from taking it need not keep the next
            table.drop_if_unused(entry);
        }
        // A lock that was got is kept, whatever is requested: a Condition's notification may have come this way.
        if (taken != 0) return taken > 0 ? Taken::yes : Taken::error;
        return parked.requested || exits_at_deadline ? Taken::exit_requested : Taken::timed_out;
    }
}

PyObject* as_result(Taken taken) {
    switch (taken) {
        case Taken::yes: Py_RETURN_TRUE;
        case Taken::timed_out: Py_RETURN_FALSE;
        case Taken::exit_requested: return raise_exit();
        case Taken::error: return nullptr;
    }
    Py_UNREACHABLE();
}

}  // namespace smarm::stdlib_locks
