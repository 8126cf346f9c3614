// timer.h: a message that is sent later, once or again and again.
//
// States:  armed -fired, cancelled, target gone (interval), worker ends-> over. Never armed again.
// Once:    the message goes to the target, or is a dead letter when that has ended.
// Interval: the n-th tick is due at start + n * period: lateness never adds up. Ticks that the worker was too busy to
//           send in time are sent as one, the next at its own time (tokio's MissedTickBehavior::Skip). Ends with its
//           target.
// Cancel:  from any worker. When it returns a time, no message is sent any more.
// Cost:    one allocation; arming and cancelling are O(1) in the worker's TimerQueue.
// Owner:   the reference count; while armed the timer holds one of its own. The message is released on the home worker.
// Threads: arm: the home worker, once. cancel: any worker's actors. Throws: no. Blocks: no.
// See:     tests/cpp/wait/timer_test.cpp, docs/reference/timers.md, docs/explanation/internals/timer-wheel.md
#pragma once

#include <optional>

#include "smarm/actor/pid.h"
#include "smarm/base/shared.h"
#include "smarm/base/sync.h"
#include "smarm/msg/message.h"
#include "smarm/msg/post.h"
#include "smarm/sched/timer_queue.h"
#include "smarm/sched/worker.h"

namespace smarm {

class MessageTimer final : public Shared {
public:
    // Once: `message` may be a local object if the target lives on the worker that arms the timer.
    MessageTimer(Pid target, Message&& message) noexcept : MessageTimer(target, std::move(message), Duration::zero()) {}
    // Again and again, period above zero: `message` must be a parcel without attachments; each tick sends a copy.
    MessageTimer(Pid target, OwnedParcel message, Duration period) noexcept
        : MessageTimer(target, Message(std::move(message)), period) {}

    // Starts it, on the running actor's worker.
    void arm(Instant first) noexcept;
    // Ends it and returns the time that was left (not below zero) until the next message; nothing when it was over.
    std::optional<Duration> cancel() noexcept;
    bool armed() const noexcept { return armed_.load(memory_order_acquire); }
    Duration period() const noexcept { return period_; }
    // For objects that are sent to other workers: a timer needs no preparation.
    void share() noexcept {}

private:
    MessageTimer(Pid target, Message&& message, Duration period) noexcept
        : target_(target), message_(std::move(message)), period_(period), node_(*this), cancel_post_(*this) {}

    struct Node final : TimerNode {
        explicit Node(MessageTimer& its_timer) noexcept
            : TimerNode([](TimerNode& node) { static_cast<Node&>(node).timer.fire(); }), timer(its_timer) {}
        MessageTimer& timer;
    };
    struct CancelPost final : PostOf<CancelPost> {
        explicit CancelPost(MessageTimer& its_timer) noexcept : timer(its_timer) {}
        void arrived(Worker& worker) noexcept;
        void lost(Scheduler& scheduler) noexcept;
        MessageTimer& timer;
    };
    void fire() noexcept;
    void tick() noexcept;
    void end() noexcept;
    bool send(Message&& message) noexcept;

    const Pid target_;
    Message message_;
    const Duration period_;  // zero: once
    Worker* home_ = nullptr;
    Node node_;
    CancelPost cancel_post_;
    SpinLock lock_;  // cancel() against the sending of a message
    atomic<bool> armed_{false};
    Instant next_{};  // guarded by lock_
};

}  // namespace smarm
