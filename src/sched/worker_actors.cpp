// The life of an actor on its worker: taken over, begun, run for a turn, ended, freed.
#include <algorithm>
#include <utility>

#include "smarm/sched/scheduler.h"
#include "smarm/sched/signals.h"
#include "smarm/sched/simulation.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {
constexpr std::int32_t kSwitchBudget = 64;
constexpr std::size_t kLoadingBytes = 8 * 1024 * 1024;  // for what a program imports
}  // namespace

void Worker::adopt(Actor& actor) noexcept {
    actor.worker = this;
    // Ends it before its first turn.
    if (stop_requested_.load(memory_order_relaxed)) actor.requests.note_exit(nullptr, kNever);
    live_.store(live_count() + 1, memory_order_relaxed);
    if (actor.shared_start) taken_live_.store(taken_live() + 1, memory_order_relaxed);
    const bool is_crowd = order_.push_new(actor);
    const bool sliced = scheduler_.options().monitor.time_slice > Duration::zero();
    if (is_crowd && current() && sliced && !simulation_) request_preemption(turn());
}

void Worker::actor_entry(void* argument) {
    auto* actor = static_cast<Actor*>(argument);
    actor->body();
    Worker& worker = *actor->worker;
    worker.charge(*actor);
    actor->state.store(ActorState::dead, memory_order_relaxed);
    worker.finished_ = actor;
    worker.set_current(nullptr);
    if (worker.rider_) worker.rider_->switch_to(nullptr);
    leave_context(actor->context, worker.own_context_);
}

// The program is loaded on the stack of the first actor, or of one that waits beside it: its imports may be native
// code.
std::size_t Worker::stack_bytes_for(const Actor& actor) const noexcept {
    if (has_program_ || !rider_) return actor.stack_bytes;
    return std::max(kLoadingBytes, scheduler_.table().stack_bytes(actor));
}

bool Worker::start_actor(Actor& actor) noexcept {
    if (actor.requests.take_before_start()) {
        const Ref<ExitReason>& cause = actor.requests.cause();
        actor.exit_reason = cause ? cause : ExitReason::plain(ExitKind::killed);
        actor.cancelled(false);
        return false;
    }
    actor.stack = stacks_.take(stack_bytes_for(actor));
    if (!actor.stack || !actor.attach()) {
        actor.cancelled(true);
        return false;
    }
    prepare(actor.context, actor.stack, actor_entry, &actor);
    WorkerCounters::add(counters_.started);
    return true;
}

void Worker::run_actor(Actor& actor) noexcept {
    if (!actor.stack) {
        order_.note_first_turn();
        if (!start_actor(actor)) {
            actor.state.store(ActorState::dead, memory_order_relaxed);
            reap(actor);
            return;
        }
    }
    actor.state.store(ActorState::running, memory_order_relaxed);
    switch_budget_ = simulation_ ? 0 : kSwitchBudget;       // a simulation chooses at every switch
    detail::allocation_budget = detail::kAllocationBudget;  // what the worker itself allocated is nobody's
    set_current(&actor);
    WorkerCounters::add(counters_.switches);
    if (rider_) rider_->switch_to(actor.rider_state);
    switch_context(own_context_, actor.context);
    if (simulation_) simulation_->note_turn(actor);
    if (finished_) {
        Actor& ended = *std::exchange(finished_, nullptr);
        ended.detach();
        reap(ended);
    }
}

// What it was told about others is no letter.
void Worker::drop_unread(Actor& actor) noexcept {
    std::size_t letters = 0;
    for (std::size_t i = 0; i < actor.mailbox.size(); ++i) letters += !find_notice(actor.mailbox.at(i));
    actor.mailbox.clear();
    if (letters)
        scheduler_.count_dead_letters(actor.pid, actor.requests.cause() ? DeadLetter::discarded : DeadLetter::unread,
                                      letters);
}

void Worker::reap(Actor& actor) noexcept {
    if (actor.held) give_back_all(actor);
    if (actor.stack) stacks_.give(std::exchange(actor.stack, Stack()));
    if (!actor.mailbox.empty()) drop_unread(actor);
    scheduler_.table().release(actor);
    if (actor.registered.load(memory_order_acquire)) scheduler_.registry().drop_all(actor.pid);
    announce_end(actor);
    live_.store(live_count() - 1, memory_order_relaxed);
    if (actor.shared_start) taken_live_.store(taken_live() - 1, memory_order_relaxed);
    WorkerCounters::add(counters_.finished);
    // Acquire pairs with the exchange in wake_remote: a waker may have posted the actor a moment before it ended; then
    // the drain frees it.
    if (!actor.wake_posted.load(memory_order_acquire)) delete &actor;
}

}  // namespace smarm
