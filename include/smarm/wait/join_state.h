// join_state.h: how an actor ended, kept for whoever joins it.
//
// What:    finish() is called once, by the ending actor's worker; join() parks until then. The outcome stays: joining
//          again gives the same answer.
// Kinds:   returned (value: the result), failed and killed (reason: why).
// Local:   like a channel: local to one worker, with local objects, unless made shared. Decided when it is made.
// Threads: see Gate. finish: the actor's worker, once. join: actors. outcome(): after join gave ok, any holder.
#pragma once

#include "smarm/actor/exit_reason.h"
#include "smarm/actor/pid.h"
#include "smarm/base/clock.h"
#include "smarm/base/shared.h"
#include "smarm/msg/message.h"
#include "smarm/wait/channel.h"
#include "smarm/wait/wait_queue.h"

namespace smarm {

enum class OutcomeKind : std::uint8_t { running, returned, failed, killed };

// Told once how an actor ended, on that actor's worker.
class JoinObserver : public Shared {
public:
    virtual void actor_ended(OutcomeKind kind, Pid pid) noexcept = 0;
};

class JoinState final : public Shared {
public:
    explicit JoinState(bool shared) noexcept {
        if (shared) gate_.share();
    }

    bool shared() const noexcept { return gate_.shared(); }
    // Whether the value must be a parcel: somebody on another worker may take it.
    void finish(OutcomeKind kind, Message&& value, Ref<ExitReason> reason = nullptr) noexcept;
    // Waits until the actor has ended. ok, timed_out or exit_requested.
    Status join(Instant deadline) noexcept;

    // Tells `observer` when the actor `pid` ends, or now when it has ended. At most one observer.
    void observe(Ref<JoinObserver> observer, Pid pid) noexcept;

    OutcomeKind kind() noexcept;
    const Message& value() const noexcept { return value_; }
    const Ref<ExitReason>& reason() const noexcept { return reason_; }

    // Somebody has seen how it ended: nobody need be told. True, once: its failure has been reported.
    bool mark_observed() noexcept {
        return (flags_.fetch_or(kObserved, memory_order_acq_rel) & (kObserved | kReported)) == kReported;
    }
    // The handle is gone. True: the actor failed unobserved, and the caller must report it.
    bool drop_handle() noexcept {
        return (flags_.fetch_or(kNoHandle, memory_order_acq_rel) & kFailed) != 0 && take_report();
    }
    // The actor failed (after finish). True: the handle is gone, and the caller must report it.
    bool mark_failed() noexcept {
        return (flags_.fetch_or(kFailed, memory_order_acq_rel) & kNoHandle) != 0 && take_report();
    }
    // Whoever is to report a failure asks. True, once: nobody has seen or reported it.
    bool take_report() noexcept {
        return (flags_.fetch_or(kReported, memory_order_acq_rel) & (kObserved | kReported)) == 0;
    }
    bool settled() const noexcept { return (flags_.load(memory_order_acquire) & (kObserved | kReported)) != 0; }
    // Somebody is going to look at its end, and may be late. Each expect() may be followed by an expect_no_more().
    void expect() noexcept { expected_.fetch_add(1, memory_order_relaxed); }
    void expect_no_more() noexcept { expected_.fetch_sub(1, memory_order_relaxed); }
    bool is_expected() const noexcept { return expected_.load(memory_order_relaxed) != 0; }

private:
    Gate gate_;
    OutcomeKind kind_ = OutcomeKind::running;
    // Whoever of handle and actor comes second sees both bits and reports; acq_rel makes the value visible to it.
    enum : std::uint8_t { kObserved = 1, kNoHandle = 2, kFailed = 4, kReported = 8 };
    atomic<std::uint8_t> flags_{0};
    atomic<std::uint32_t> expected_{0};  // relaxed: a report too early or late by a moment does no harm
    Message value_;
    Ref<ExitReason> reason_;
    WaitQueue joiners_;
    Ref<JoinObserver> observer_;
    Pid observed_;
};

}  // namespace smarm
