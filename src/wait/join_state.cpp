#include "smarm/wait/join_state.h"

namespace smarm {

void JoinState::finish(OutcomeKind kind, Message&& value, Ref<ExitReason> reason) noexcept {
    gate_.lock();
    SMARM_ASSERT(kind_ == OutcomeKind::running, "an actor ended twice");
    kind_ = kind;
    value_ = std::move(value);
    reason_ = std::move(reason);
    joiners_.wake_all();
    const Ref<JoinObserver> observer = std::move(observer_);
    gate_.unlock();
    if (observer) observer->actor_ended(kind, observed_);
}

void JoinState::observe(Ref<JoinObserver> observer, Pid pid) noexcept {
    gate_.lock();
    SMARM_ASSERT(!observer_, "an actor's end has one observer");
    const OutcomeKind kind = kind_;
    if (kind == OutcomeKind::running) {
        observer_ = std::move(observer);
        observed_ = pid;
    }
    gate_.unlock();
    if (kind != OutcomeKind::running) observer->actor_ended(kind, pid);
}

Status JoinState::join(Instant deadline) noexcept {
    gate_.lock();
    while (kind_ == OutcomeKind::running) {
        Worker& worker = *this_worker();
        Waiter waiter(*worker.current());
        joiners_.push(waiter);
        gate_.unlock();
        const Parked parked = worker.park(WaitReason::join, deadline);
        gate_.lock();
        joiners_.leave(waiter);
        // A join takes nothing: how the actor ended is there for the next one.
        if (!parked.requested && (!parked.timed_out || kind_ != OutcomeKind::running)) continue;
        gate_.unlock();
        return parked.requested ? Status::exit_requested : Status::timed_out;
    }
    gate_.unlock();
    return Status::ok;
}

OutcomeKind JoinState::kind() noexcept {
    gate_.lock();
    const OutcomeKind kind = kind_;
    gate_.unlock();
    return kind;
}

}  // namespace smarm
