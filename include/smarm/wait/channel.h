// channel.h: a queue of messages between actors, with ends that can be counted and closed.
//
// What:    Channel is the queue; SenderEnd and ReceiverEnd are its shared handles. When the last SenderEnd is gone or
//          close() was called, receivers take what is left and then get `closed`; when the last ReceiverEnd is gone,
//          senders get `closed` and what was queued is dropped.
// States:  open -> closed (no more sends; receives until empty). Never opened again. The first close() may give a
//          cause.
// Capacity: messages that may wait. kUnbounded: send never parks. A full channel does what its OnFull says.
// Rendezvous: capacity 0. A sender parks until a receiver has taken its message straight from it; nothing ever waits.
// Local:   a channel starts local to the worker that made it: no atomics, and messages may be local objects. Before the
//          first end leaves that worker, share() is called there; from then on every message must be a parcel.
// Order:   first in, first out; of two parked receivers the one that came first is woken first.
// Threads: see Gate (wait/wait_queue.h). send and receive park: actors only. close, size: any holder.
// Errors:  in the Status. Every one but `ok` leaves the message with the caller. must_convert: the channel is shared,
//          or became so while the sender waited, and the local object has to become a parcel first.
// See:     tests/cpp/wait/channel_test.cpp, rendezvous_test.cpp, docs/explanation/internals/channel.md
#pragma once

#include <cstddef>
#include <functional>

#include "smarm/actor/exit_reason.h"
#include "smarm/base/clock.h"
#include "smarm/base/shared.h"
#include "smarm/msg/mailbox.h"
#include "smarm/wait/wait_queue.h"

namespace smarm {

// What a full channel does with one more message.
enum class OnFull : std::uint8_t {
    wait,         // its sender parks
    drop_oldest,  // the oldest that waits is dropped, and counted
    drop_newest,  // it is dropped itself, and counted; send gives `ok`
    error,        // send gives `full`
};

class Channel final : public Shared {
public:
    static constexpr std::size_t kUnbounded = SIZE_MAX;

    // Another on_full than `wait` needs a capacity of at least 1.
    explicit Channel(std::size_t capacity = kUnbounded, OnFull on_full = OnFull::wait) noexcept
        : capacity_(capacity), on_full_(on_full) {
        SMARM_ASSERT(capacity > 0 || on_full == OnFull::wait, "a rendezvous has nothing to drop");
    }
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
    // Takes the oldest message if there is one. timed_out: there is none now. Does not park.
    Status try_receive(Message& message) noexcept;
    // Ends sending. The cause, if any, is what this and every later holder of an end can learn; only the first close
    // counts.
    void close(Ref<ExitReason> cause = nullptr) noexcept;

    // For who waits for several things at once (wait/select.h). watch: queues the waiter as a receiver; false, and not
    // queued, when try_receive would not give timed_out. unwatch: takes it out; a wake-up that it got goes to the next
    // receiver if there is still something to take.
    bool watch(Waiter& waiter) noexcept;
    void unwatch(Waiter& waiter) noexcept;

    bool shared() const noexcept { return gate_.shared(); }
    // Lets other workers in. On the owning worker only. `convert` turns each queued local object into a parcel; when it
    // returns false (it has set an error) the channel stays local.
    bool share(const std::function<bool(Message&)>& convert);
    std::size_t size() const noexcept { return messages_.size(); }
    std::size_t capacity() const noexcept { return capacity_; }
    // Whether send() can park.
    bool may_wait() const noexcept { return capacity_ != kUnbounded && on_full_ == OnFull::wait; }
    OnFull on_full() const noexcept { return on_full_; }
    bool closed() noexcept;
    // What close() was given; null while open, and when it was given nothing.
    Ref<ExitReason> cause() noexcept;
    // How many messages on_full has dropped.
    std::uint64_t dropped() const noexcept { return dropped_.load(memory_order_relaxed); }

private:
    friend class ReceiverEnd;
    Status enqueue(Message& message) noexcept {
        if (__builtin_expect(gate_.shared() && !message.is_parcel(), 0)) {
            gate_.unlock();
            return Status::must_convert;
        }
        const bool pushed = messages_.push(std::move(message));
        unlock_and_wake(receivers_);
        return pushed ? Status::ok : Status::no_memory;
    }
    Status dequeue(Message& message) noexcept {
        message = messages_.pop();
        unlock_and_wake(senders_);
        return Status::ok;
    }
    struct Offer;
    bool has_message() const noexcept { return !messages_.empty() || (capacity_ == 0 && !senders_.empty()); }
    void unlock_and_wake(WaitQueue& queue) noexcept {
        Worker* woken = queue.empty() ? nullptr : queue.wake_one_silently();
        gate_.unlock();
        if (__builtin_expect(woken != nullptr, 0)) woken->nudge();
    }
    Status send_slowly(Message& message, Instant deadline) noexcept;
    Status send_to_full(Message& message) noexcept;
    Status offer(Message& message, Instant deadline) noexcept;
    Status take(Message& message) noexcept;
    Status receive_slowly(Message& message, Instant deadline) noexcept;
    Status wait(WaitQueue& queue, WaitReason reason, Instant deadline) noexcept;
    void drop_receivers(Ref<ExitReason> cause = nullptr) noexcept;
    void end(Ref<ExitReason>& cause) noexcept;

    Gate gate_;
    bool closed_ = false;
    const std::size_t capacity_;
    Mailbox messages_;
    WaitQueue receivers_;
    WaitQueue senders_;  // of a rendezvous: Offers
    const OnFull on_full_;
    Ref<ExitReason> cause_;
    // Relaxed: written under the gate, read for statistics.
    atomic<std::uint64_t> dropped_{0};
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
    void close(Ref<ExitReason> cause = nullptr) noexcept { channel_->drop_receivers(std::move(cause)); }

private:
    Ref<Channel> channel_;
};

}  // namespace smarm
