#include "smarm/wait/event.h"

#include "smarm/actor/shield.h"

namespace smarm {

// ---- Event -----------------------------------------------------------------------------------------------------------

void Event::set() noexcept {
    gate_.lock();
    set_ = true;
    waiters_.wake_all();
    gate_.unlock();
}

void Event::clear() noexcept {
    gate_.lock();
    set_ = false;
    gate_.unlock();
}

bool Event::is_set() noexcept {
    gate_.lock();
    const bool set = set_;
    gate_.unlock();
    return set;
}

Status Event::wait_set(Instant deadline) noexcept {
    gate_.lock();
    Status status = Status::ok;
    if (!set_) {
        Waiter waiter(*this_actor());
        waiters_.push(waiter);
        status = wait(waiters_, waiter, WaitReason::event, deadline).status;
    }
    gate_.unlock();
    return status;
}

// ---- Barrier ---------------------------------------------------------------------------------------------------------

Status Barrier::wait_all(Instant deadline, bool* last) noexcept {
    gate_.lock();
    *last = waiters_.size() + 1 == parties_;
    Status status = Status::ok;
    if (*last) {
        waiters_.wake_all();
    } else {
        Waiter waiter(*this_actor());
        waiters_.push(waiter);
        status = wait(waiters_, waiter, WaitReason::barrier, deadline).status;
    }
    gate_.unlock();
    return status;
}

std::size_t Barrier::waiting() noexcept {
    gate_.lock();
    const std::size_t waiting = waiters_.size();
    gate_.unlock();
    return waiting;
}

// ---- Condition -------------------------------------------------------------------------------------------------------

Status Condition::wait_notified(Instant deadline) noexcept {
    Actor& self = *this_actor();
    Waiter waiter(self);
    gate_.lock();
    waiters_.push(waiter);
    gate_.unlock();
    mutex_->release();
    gate_.lock();
    const Waited waited = wait(waiters_, waiter, WaitReason::condition, deadline);
    if (waited.served && waited.status != Status::ok) waiters_.wake_one();
    gate_.unlock();
    Shield shield(self);
    const bool poisoned = mutex_->acquire(kNever) == Status::closed;
    return poisoned && waited.status != Status::exit_requested ? Status::closed : waited.status;
}

void Condition::notify(std::size_t count) noexcept {
    gate_.lock();
    for (; count && !waiters_.empty(); --count) waiters_.wake_one();
    gate_.unlock();
}

}  // namespace smarm
