#include "smarm/wait/sync_object.h"

namespace smarm {

Status SyncObject::wait(WaitQueue& queue, Waiter& waiter, WaitReason reason, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    while (waiter.in_list()) {
        gate_.unlock();
        const Parked parked = worker.park(reason, deadline);
        gate_.lock();
        if (parked.woken() || queue.leave(waiter)) continue;
        return parked.requested ? Status::exit_requested : Status::timed_out;
    }
    return Status::ok;
}

}  // namespace smarm
