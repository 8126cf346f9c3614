#include "smarm/wait/channel.h"

namespace smarm {

// Parks the running actor in `queue`. The gate is held on entry and on return. ok: look at the condition again.
Status Channel::wait(WaitQueue& queue, WaitReason reason, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    Waiter waiter(*worker.current());
    queue.push(waiter);
    gate_.unlock();
    const Wake wake = worker.park(reason, deadline);
    gate_.lock();
    const bool was_woken = queue.leave(waiter);
    if (wake == Wake::woken) return Status::ok;
    if (was_woken) queue.wake_one();  // somebody else must use the wake-up that we do not
    return wake == Wake::timed_out ? Status::timed_out : Status::exit_requested;
}

Status Channel::send_slowly(Message& message, Instant deadline) noexcept {
    while (!closed_ && messages_.size() >= capacity_) {
        const Status status = wait(senders_, WaitReason::channel_send, deadline);
        if (status == Status::ok) continue;
        if (status == Status::timed_out && !closed_ && messages_.size() < capacity_) break;
        gate_.unlock();
        return status;
    }
    if (closed_) {
        gate_.unlock();
        return Status::closed;
    }
    return enqueue(message);
}

Status Channel::receive_slowly(Message& message, Instant deadline) noexcept {
    while (messages_.empty()) {
        if (closed_) {
            gate_.unlock();
            return Status::closed;
        }
        const Status status = wait(receivers_, WaitReason::channel_receive, deadline);
        if (status == Status::ok) continue;
        if (status == Status::timed_out && !messages_.empty()) break;
        gate_.unlock();
        return status;
    }
    return dequeue(message);
}

void Channel::close() noexcept {
    gate_.lock();
    closed_ = true;
    receivers_.wake_all();
    senders_.wake_all();
    gate_.unlock();
}

void Channel::drop_receivers() noexcept {
    gate_.lock();
    closed_ = true;
    senders_.wake_all();
    receivers_.wake_all();
    // Taken out one by one: releasing a local object may run code that uses this channel.
    while (!messages_.empty()) {
        Message dropped = messages_.pop();
        gate_.unlock();
        dropped = Message();
        gate_.lock();
    }
    gate_.unlock();
}

bool Channel::share(const std::function<bool(Message&)>& convert) {
    if (gate_.shared()) return true;
    // By index: converting may run code that sends to this channel, which appends.
    for (std::size_t i = 0; i < messages_.size(); ++i) {
        if (messages_.at(i).is_parcel()) continue;
        Message taken = std::move(messages_.at(i));
        const bool converted = convert(taken);
        messages_.at(i) = std::move(taken);
        if (!converted) return false;
    }
    gate_.share();
    return true;
}

}  // namespace smarm
