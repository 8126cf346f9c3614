#include "smarm/wait/condition.h"

#include "smarm/actor/shield.h"

namespace smarm {

Status Condition::wait_notified(Instant deadline) noexcept {
    Actor& self = *this_actor();
    Waiter waiter(self);
    gate_.lock();
    waiters_.push(waiter);
    gate_.unlock();
    mutex_->release();
    gate_.lock();
    const Status status = wait(waiters_, waiter, WaitReason::condition, deadline);
    gate_.unlock();
    Shield shield(self);
    const bool poisoned = mutex_->acquire(kNever) == Status::closed;
    return poisoned && status != Status::exit_requested ? Status::closed : status;
}

void Condition::notify(std::size_t count) noexcept {
    gate_.lock();
    for (; count && !waiters_.empty(); --count) waiters_.wake_one();
    gate_.unlock();
}

}  // namespace smarm
