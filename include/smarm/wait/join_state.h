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

    // Somebody has seen how it ended: nobody need be told.
    void mark_observed() noexcept { flags_.fetch_or(kObserved, memory_order_acq_rel); }
    // The handle is gone. True: the actor failed unobserved, and the caller must report it.
    bool drop_handle() noexcept { return must_report(flags_.fetch_or(kNoHandle, memory_order_acq_rel), kNoHandle); }
    // The actor failed (after finish). True: the handle is gone, and the caller must report it.
    bool mark_failed() noexcept { return must_report(flags_.fetch_or(kFailed, memory_order_acq_rel), kFailed); }

private:
    Gate gate_;
    OutcomeKind kind_ = OutcomeKind::running;
    // Whoever of handle and actor comes second sees both bits and reports; acq_rel makes the value visible to it.
    enum : std::uint8_t { kObserved = 1, kNoHandle = 2, kFailed = 4 };
    static bool must_report(unsigned before, unsigned added) noexcept {
        return (before & added) == 0 && (before | added) == (kNoHandle | kFailed);
    }
    atomic<std::uint8_t> flags_{0};
    Message value_;
    Ref<ExitReason> reason_;
    WaitQueue joiners_;
    Ref<JoinObserver> observer_;
    Pid observed_;
};

}  // namespace smarm
