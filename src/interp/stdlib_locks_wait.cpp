#include "interp/stdlib_locks_wait.h"

#include <algorithm>
#include <optional>

#include "smarm/actor/shield.h"
#include "smarm/interp/py_rider.h"

namespace smarm::stdlib_locks {
namespace {

// A killed actor must be unwound at every park. Once it knows, a lock that its finally blocks need is worth a short wait: a
// `with` block that lost its lock on the way out (Condition.wait takes it again) would release it under its new owner.
constexpr Duration kUnwindingPatience = std::chrono::seconds(1);

bool is_unwinding(const Actor& actor) noexcept {
    return actor.killed && !actor.exit_requested && actor.shield_depth == 0;
}

// Takes the waiter out without the lock. A wake-up that it has not used goes to the next one.
void give_up(LockTable& table, LockEntry& entry, LockWaiter& waiter) {
    entry.waiters.remove(waiter);
    if (waiter.woken) entry.wake_first();
    table.drop_if_unused(entry);
}

}  // namespace

Taken wait_for_lock(LockTable& table, LockEntry& entry, Actor& actor, const Patience& patience, LockKind& kind) {
    Worker& worker = *this_worker();
    Instant deadline = patience.forever ? kNever : deadline_after(worker.driver().now(), patience.timeout);
    PyObject* const lock = entry.lock;  // the caller's reference keeps it alive
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
    for (;;) {
        const Wake wake = worker.park(WaitReason::lock, deadline);
        if (waiter.has_lock) {  // the entry may be gone
            if (wake != Wake::exit_requested) return Taken::yes;
            kind.give_back(lock);
            return Taken::exit_requested;
        }
        if (wake == Wake::exit_requested) {
            give_up(table, entry, waiter);
            return Taken::exit_requested;
        }
        if (!waiter.woken && wake != Wake::timed_out) continue;
        const int taken = kind.try_take(entry, actor);
        if (taken > 0) {
            entry.waiters.remove(waiter);
            table.drop_if_unused(entry);
            return Taken::yes;
        }
        if (taken < 0 || wake == Wake::timed_out) {
            give_up(table, entry, waiter);
            if (taken < 0) return Taken::error;
            return exits_at_deadline ? Taken::exit_requested : Taken::timed_out;
        }
        waiter.woken = false;
        waiter.passed_over = true;
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
