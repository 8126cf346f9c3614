#include "smarm/wait/sync_object.h"

namespace smarm {

SyncObject::Waited SyncObject::wait(WaitQueue& queue, Waiter& waiter, WaitReason reason, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    while (waiter.in_list()) {
        gate_.unlock();
        const Wake wake = worker.park(reason, deadline);
        gate_.lock();
        if (wake == Wake::woken) continue;
        const bool served = queue.leave(waiter);
        if (wake == Wake::exit_requested) return {served, Status::exit_requested};
        if (!served) return {false, Status::timed_out};
    }
    return {true, Status::ok};
}

}  // namespace smarm
