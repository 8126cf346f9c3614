#include "smarm/wait/barrier.h"

namespace smarm {

Status Barrier::wait_all(Instant deadline, bool* last) noexcept {
    gate_.lock();
    *last = waiters_.size() + 1 == parties_;
    Status status = Status::ok;
    if (*last) {
        waiters_.wake_all();
    } else {
        Waiter waiter(*this_actor());
        waiters_.push(waiter);
        status = wait(waiters_, waiter, WaitReason::barrier, deadline);
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

}  // namespace smarm
