#include "smarm/wait/channel.h"

#include <utility>

namespace smarm {

// Parks the running actor in `queue`. The gate is held on entry and on return. ok: look at the condition again.
Status Channel::wait(WaitQueue& queue, WaitReason reason, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    Waiter waiter(*worker.current());
    queue.push(waiter);
    gate_.unlock();
    const Parked parked = worker.park(reason, deadline);
    gate_.lock();
    const bool was_woken = queue.leave(waiter);
    if (parked.woken()) return Status::ok;
    if (was_woken) queue.wake_one();  // somebody else must use the wake-up that we do not
    return parked.requested ? Status::exit_requested : Status::timed_out;
}

// ---- sending to a channel that has no room, or none at all ----------------------------------------------------------

Status Channel::send_slowly(Message& message, Instant deadline) noexcept {
    if (capacity_ == 0) return offer(message, deadline);
    while (!closed_ && messages_.size() >= capacity_) {
        if (on_full_ != OnFull::wait) return send_to_full(message);
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

// The gate is held.
Status Channel::send_to_full(Message& message) noexcept {
    if (on_full_ == OnFull::error) {
        gate_.unlock();
        return Status::full;
    }
    if (gate_.shared() && !message.is_parcel()) {
        gate_.unlock();
        return Status::must_convert;
    }
    dropped_.store(dropped() + 1, memory_order_relaxed);
    // Released by the return, with the gate open: releasing a local object may run code that uses this channel.
    Message dropped;
    if (on_full_ == OnFull::drop_oldest) {
        dropped = messages_.pop();
        return enqueue(message);
    }
    dropped = std::move(message);
    gate_.unlock();
    return Status::ok;
}

// A sender that waits for the receiver who takes its message: that one leaves the message empty.
struct Channel::Offer : Waiter {
    Offer(Actor& its_actor, Message& its_message) noexcept : Waiter(its_actor), message(its_message) {}
    Message& message;
};

// The gate is held.
Status Channel::offer(Message& message, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    Status status = Status::ok;
    while (message && status == Status::ok) {
        if (closed_) {
            status = Status::closed;
        } else if (gate_.shared() && !message.is_parcel()) {
            status = Status::must_convert;
        } else {
            Offer mine(*worker.current(), message);
            senders_.push(mine);
            receivers_.wake_one();
            Parked parked;
            while (mine.in_list() && parked.woken()) {
                gate_.unlock();
                parked = worker.park(WaitReason::channel_send, deadline);
                gate_.lock();
            }
            senders_.leave(mine);
            if (!message) break;  // a receiver has it, whatever else there is
            if (parked.requested) status = Status::exit_requested;
            else if (parked.timed_out) status = Status::timed_out;
        }
    }
    gate_.unlock();
    return status;
}

// ---- receiving ------------------------------------------------------------------------------------------------------

// There is a message, and the gate is held.
Status Channel::take(Message& message) noexcept {
    if (!messages_.empty()) return dequeue(message);
    auto& taken = *static_cast<Offer*>(senders_.pop());
    message = std::move(taken.message);
    unpark(taken.actor);
    gate_.unlock();
    return Status::ok;
}

Status Channel::receive_slowly(Message& message, Instant deadline) noexcept {
    while (!has_message()) {
        if (closed_) {
            gate_.unlock();
            return Status::closed;
        }
        const Status status = wait(receivers_, WaitReason::channel_receive, deadline);
        if (status == Status::ok) continue;
        if (status == Status::timed_out && has_message()) break;
        gate_.unlock();
        return status;
    }
    return take(message);
}

Status Channel::try_receive(Message& message) noexcept {
    gate_.lock();
    if (has_message()) return take(message);
    const Status status = closed_ ? Status::closed : Status::timed_out;
    gate_.unlock();
    return status;
}

bool Channel::watch(Waiter& waiter) noexcept {
    gate_.lock();
    const bool waits = !has_message() && !closed_;
    if (waits) receivers_.push(waiter);
    gate_.unlock();
    return waits;
}

void Channel::unwatch(Waiter& waiter) noexcept {
    gate_.lock();
    if (receivers_.leave(waiter) && has_message()) receivers_.wake_one();
    gate_.unlock();
}

// ---- closing --------------------------------------------------------------------------------------------------------

// The gate is held. A cause that comes too late stays with the caller: its destructor may close a channel.
void Channel::end(Ref<ExitReason>& cause) noexcept {
    if (!std::exchange(closed_, true)) cause_ = std::move(cause);
    receivers_.wake_all();
    senders_.wake_all();
}

void Channel::close(Ref<ExitReason> cause) noexcept {
    gate_.lock();
    end(cause);
    gate_.unlock();
}

void Channel::drop_receivers(Ref<ExitReason> cause) noexcept {
    gate_.lock();
    end(cause);
    // Taken out one by one: releasing a local object may run code that uses this channel.
    while (!messages_.empty()) {
        Message dropped = messages_.pop();
        gate_.unlock();
        dropped = Message();
        gate_.lock();
    }
    gate_.unlock();
}

bool Channel::closed() noexcept {
    gate_.lock();
    const bool closed = closed_;
    gate_.unlock();
    return closed;
}

Ref<ExitReason> Channel::cause() noexcept {
    gate_.lock();
    Ref<ExitReason> cause = cause_;
    gate_.unlock();
    return cause;
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
    // Those who wait with a local object in their hands convert it themselves.
    if (capacity_ == 0) senders_.wake_all();
    gate_.share();
    return true;
}

}  // namespace smarm
