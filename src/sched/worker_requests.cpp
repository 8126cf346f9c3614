// What is asked of an actor of this worker, and when it is delivered: see Requests in actor/requests.h.
#include <utility>

#include "smarm/sched/cancel_scope.h"
#include "smarm/sched/interrupt_timer.h"
#include "smarm/sched/scheduler.h"
#include "smarm/sched/simulation.h"
#include "smarm/sched/worker.h"

namespace smarm {

bool Worker::has_request(Deliver deliver) noexcept {
    const Actor& actor = *current();
    if (__builtin_expect(!actor.requests.any(), 1) || deliver == Deliver::nothing || !is_deliverable(actor))
        return false;
    return deliver == Deliver::everything || actor.requests.is_due(driver_->now());
}

Request Worker::take_request() noexcept {
    Actor& actor = *current();
    const Request request = actor.requests.take(due_after(scheduler_.options().kill_patience));
    if (request == Request::kill) InterruptTimer::watch(*this, actor);
    return request;
}

Instant Worker::due_after(Duration patience) noexcept {
    if (patience == Duration::max()) return kNever;
    if (simulation_ && patience != Duration::zero()) return simulation_->interrupt_at();
    return deadline_after(driver_->now(), patience);
}

void Worker::request_exit(Actor& actor, Ref<ExitReason> cause, Duration patience) noexcept {
    actor.requests.note_exit(std::move(cause), due_after(patience));
    if (patience == Duration::zero()) actor.requests.hurry();
    bring_to_point(actor);
}

void Worker::arm_exit_again(Actor& actor) noexcept {
    actor.requests.note_exit(nullptr, due_after(Duration::zero()));
    bring_to_point(actor);
}

void Worker::request_kill(Actor& actor, Ref<ExitReason> cause, Duration patience) noexcept {
    actor.requests.note_kill(std::move(cause), due_after(patience));
    if (patience == Duration::zero()) actor.requests.hurry();
    bring_to_point(actor);
}

void Worker::request_signal(Actor& actor, Duration patience) noexcept {
    actor.requests.note_signal(due_after(patience));
    if (patience == Duration::zero()) actor.requests.hurry();
    bring_to_point(actor);
}

void Worker::request_scope_end(Actor& actor, Duration patience) noexcept {
    actor.requests.note_scope(due_after(patience));
    bring_to_point(actor);
}

// A parked actor is at a point, unless it is shielded; another will be interrupted when the request is due. A block
// that is off the stack is nothing to wake it for.
void Worker::bring_to_point(Actor& actor) noexcept {
    const bool at_point = actor.state.load(memory_order_relaxed) == ActorState::parked && is_deliverable(actor);
    if (is_asked(actor)) wake(actor);
    if (!at_point) InterruptTimer::watch(*this, actor);
    if (&actor == current() && rider_ && actor.requests.is_due(driver_->now())) rider_->request_attention();
}

}  // namespace smarm
