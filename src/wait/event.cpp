#include "smarm/wait/event.h"

namespace smarm {

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
        status = wait(waiters_, waiter, WaitReason::event, deadline);
    }
    gate_.unlock();
    return status;
}

}  // namespace smarm
