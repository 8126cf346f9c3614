#include "smarm/wait/exclusive.h"

namespace smarm {

Status Exclusive::acquire(Instant deadline, bool through_seal) noexcept {
    Status status;
    do status = acquire_once(deadline, through_seal);
    while (status == Status::closed && through_seal);  // it was sealed while this actor waited
    if (status != Status::ok) return status;
    add_reference();
    enter(this_actor()->held);
    return Status::ok;
}

Status Exclusive::acquire_once(Instant deadline, bool through_seal) noexcept {
    Actor& self = *this_actor();
    gate_.lock();
    SMARM_ASSERT(holder_ != self.pid, "an actor acquires a lock that it holds");
    Status status = Status::ok;
    if (sealed_by_ && !through_seal) {
        status = Status::closed;
    } else if (!holder_) {
        holder_ = self.pid;
    } else {
        Waiter waiter(self);
        waiters_.push(waiter);
        Awaits awaits(self, holder_);
        status = wait(waiters_, waiter, WaitReason::lock, deadline);
        if (status == Status::ok && holder_ != self.pid) status = Status::closed;
    }
    gate_.unlock();
    return status;
}

bool Exclusive::release(Seal seal) noexcept {
    const Pid self = this_actor()->pid;
    if (holder() != self) return false;
    leave();
    give_away(self, seal);
    return true;
}

void Exclusive::owner_ended(Actor& owner) noexcept { give_away(owner.pid, seal_at_death()); }

// The lock is in no list any more. May end this object's life.
void Exclusive::give_away(Pid from, Seal seal) noexcept {
    gate_.lock();
    if (seal == Seal::remove) sealed_by_ = Pid{};
    if (seal == Seal::put) {
        sealed_by_ = from;
        holder_ = Pid{};
        waiters_.wake_all();
    } else {
        hand_over();
    }
    gate_.unlock();
    drop_reference();
}

void Exclusive::hand_over() noexcept {
    const Waiter* next = waiters_.front();
    holder_ = next ? next->actor.pid : Pid{};
    waiters_.wake_one();
}

Pid Exclusive::read(const Pid& pid) noexcept {
    gate_.lock();
    const Pid value = pid;
    gate_.unlock();
    return value;
}

}  // namespace smarm
