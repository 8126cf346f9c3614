#include "stdlib/locks_wait.h"
#include "smarm/stdlib/locks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "smarm/actor/shield.h"
#include "smarm/interp/lock_code.h"
#include "smarm/interp/py_rider.h"

namespace smarm::stdlib_locks {
namespace {

// A killed actor must be unwound at every park. Once it knows, a lock that its finally blocks need is worth a short wait: a
// `with` block that lost its lock on the way out (Condition.wait takes it again) would release it under its new owner.
constexpr Duration kUnwindingPatience = std::chrono::seconds(1);

bool is_unwinding(const Actor& actor) noexcept {
    return actor.killed && !actor.exit_requested && actor.shield_depth == 0;
}

// The actor got its lock at the moment at which it was asked to exit. It keeps it, or a Condition's notification that came
// this way would be lost; the exit takes effect at its next park or safe point.
void put_off_exit(Worker& worker, Actor& actor) {
    if (!std::exchange(actor.scope_unwinds, false)) actor.exit_requested = true;
    worker.request_attention();
}

}  // namespace

Taken wait_for_lock(LockTable& table, LockEntry& entry, Actor& actor, const Patience& patience, TryTake try_take) {
    Worker& worker = *this_worker();
    Instant deadline = patience.forever ? kNever : deadline_after(worker.driver().now(), patience.timeout);
    std::optional<Shield> shield;
    bool exits_at_deadline = false;
    if (patience.ignores_exit) {
        shield.emplace(actor);
    } else if (is_unwinding(actor)) {
        shield.emplace(actor);
        const Instant last = deadline_after(worker.driver().now(), kUnwindingPatience);
        exits_at_deadline = last < deadline;
        deadline = std::min(deadline, last);
    }
    LockWaiter waiter(actor);
    entry.waiters.push_back(waiter);
    Awaits awaits(actor, entry.owner);
    for (;;) {
        const Wake wake = worker.park(WaitReason::lock, deadline);
        int taken = waiter.has_lock;  // then the entry may be gone
        if (!taken && (waiter.woken || wake == Wake::timed_out)) {
            taken = try_take(entry, actor);
            waiter.passed_over = waiter.woken;
            waiter.woken = false;
        }
        if (taken > 0 && wake == Wake::exit_requested) put_off_exit(worker, actor);
        else if (shield && actor.exit_requested) worker.request_attention();  // once the shield is gone
        if (taken == 0 && wake == Wake::woken) continue;
        if (waiter.in_list()) {
            entry.waiters.remove(waiter);
            if (taken < 0) entry.wake_first();  // what kept this actor from taking it need not keep the next
            table.drop_if_unused(entry);
        }
        if (taken != 0) return taken > 0 ? Taken::yes : Taken::error;
        return wake == Wake::exit_requested || exits_at_deadline ? Taken::exit_requested : Taken::timed_out;
    }
}

PyObject* as_result(Taken taken) {
    switch (taken) {
        case Taken::yes: note_acquired(); Py_RETURN_TRUE;
        case Taken::timed_out: Py_RETURN_FALSE;
        case Taken::exit_requested: return raise_exit();
        case Taken::error: return nullptr;
    }
    Py_UNREACHABLE();
}

}  // namespace smarm::stdlib_locks
