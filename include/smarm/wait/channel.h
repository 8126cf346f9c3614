// channel.h: a queue of messages between actors, with ends that can be counted and closed.
//
// What:    Channel is the queue; SenderEnd and ReceiverEnd are its shared handles. When the last SenderEnd is gone or
//          close() was called, receivers take what is left and then get `closed`; when the last ReceiverEnd is gone,
//          senders get `closed` and what was queued is dropped.
// States:  open -> closed (no more sends; receives until empty). Never opened again.
// Capacity: messages that may wait; send parks while it is full. kUnbounded: send never parks.
// Local:   a channel starts local to the worker that made it: no atomics, and messages may be local objects. Before the
//          first end leaves that worker, share() is called there; from then on every message must be a parcel.
// Order:   first in, first out; of two parked receivers the one that came first is woken first.
// Threads: see Gate (wait/wait_queue.h). send and receive park: actors only. close, size: any holder.
// Errors:  in the Status. Every one but `ok` leaves the message with the caller. must_convert: the channel is shared, or became
//          so while the sender waited, and the local object has to become a parcel first.
#pragma once

#include <cstddef>
#include <functional>

#include "smarm/base/clock.h"
#include "smarm/base/shared.h"
#include "smarm/msg/mailbox.h"
#include "smarm/wait/wait_queue.h"

namespace smarm {

class Channel final : public Shared {
public:
    static constexpr std::size_t kUnbounded = SIZE_MAX;

    // capacity must be at least 1.
    explicit Channel(std::size_t capacity = kUnbounded) noexcept : capacity_(capacity) {}
    ~Channel() override = default;

    Status send(Message& message, Instant deadline = kNever) noexcept {
        gate_.lock();
        if (__builtin_expect(closed_ || messages_.size() >= capacity_, 0)) return send_slowly(message, deadline);
        return enqueue(message);
    }
    // Moves the oldest message into `message`.
    Status receive(Message& message, Instant deadline = kNever) noexcept {
        gate_.lock();
        if (__builtin_expect(messages_.empty(), 0)) return receive_slowly(message, deadline);
        return dequeue(message);
    }
    void close() noexcept;

    bool shared() const noexcept { return gate_.shared(); }
    // Lets other workers in. On the owning worker only. `convert` turns each queued local object into a parcel; when it
    // returns false (it has set an error) the channel stays local.
    bool share(const std::function<bool(Message&)>& convert);
    std::size_t size() const noexcept { return messages_.size(); }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    friend class ReceiverEnd;
    Status enqueue(Message& message) noexcept {
        if (__builtin_expect(gate_.shared() && !message.is_parcel(), 0)) {
            gate_.unlock();
            return Status::must_convert;
        }
        const bool pushed = messages_.push(std::move(message));
        if (!receivers_.empty()) receivers_.wake_one();
        gate_.unlock();
        return pushed ? Status::ok : Status::no_memory;
    }
    Status dequeue(Message& message) noexcept {
        message = messages_.pop();
        if (!senders_.empty()) senders_.wake_one();
        gate_.unlock();
        return Status::ok;
    }
    Status send_slowly(Message& message, Instant deadline) noexcept;
    Status receive_slowly(Message& message, Instant deadline) noexcept;
    Status wait(WaitQueue& queue, WaitReason reason, Instant deadline) noexcept;
    void drop_receivers() noexcept;

    Gate gate_;
    bool closed_ = false;
    const std::size_t capacity_;
    Mailbox messages_;
    WaitQueue receivers_;
    WaitQueue senders_;
};

class SenderEnd final : public Shared {
public:
    explicit SenderEnd(Ref<Channel> channel) noexcept : channel_(std::move(channel)) {}
    ~SenderEnd() override { channel_->close(); }
    Channel& channel() const noexcept { return *channel_; }

private:
    Ref<Channel> channel_;
};

class ReceiverEnd final : public Shared {
public:
    explicit ReceiverEnd(Ref<Channel> channel) noexcept : channel_(std::move(channel)) {}
    ~ReceiverEnd() override { channel_->drop_receivers(); }
    Channel& channel() const noexcept { return *channel_; }
    // Closes from the receiving side: what is queued is dropped.
    void close() noexcept { channel_->drop_receivers(); }

private:
    Ref<Channel> channel_;
};

}  // namespace smarm
