// requests.h: what others ask of one actor, until it has been told.
//
// What:    an exit, a kill, a signal of the operating system (Ctrl-C in the main actor), or the end of a CancelScope.
//          Each is noted at once and delivered later: at a cancellation point, which is the beginning of a call that
//          may wait, or the wait itself while nothing was taken or given; or, when the actor computes, at a safe point
//          once the request's patience has run out (is_due).
// States:  of each kind: none -note_*-> pending -take-> none. A kill stays: it is delivered at every point until the
//          actor has ended. Of several, take() gives a signal first, then a kill, an exit, a scope: see Request.
// Shield:  while a shield is up nothing is delivered; it waits for the first point or safe point after it. A patient
//          shield lets what is urgent through.
// Urgent:  an exit, kill or signal that comes without patience after one that was delivered already: the actor has had
//          its time. A kill stays so.
// Load:    an actor that loads the script into its worker notes that here, too: every call of smarm ends the load, and
//          so the calls that look at requests need not look at anything else.
// Owner:   the Actor. Threads: the actor's worker only. Blocks, allocates, throws: no. Cost: one word for who asks
//          whether there is anything (any, pending).
// See:     Worker::park, tests/cpp/actor/requests_test.cpp, docs/explanation/signals.md
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "smarm/actor/exit_reason.h"
#include "smarm/base/assert.h"
#include "smarm/base/clock.h"

namespace smarm {

// What take() found, in the order of their rank.
enum class Request : std::uint8_t { none, signal, kill, exit, scope };

class Requests {
public:
    static constexpr std::uint8_t kDeepestShield = UINT8_MAX;

    // ---- asked at every point: one branch ---------------------------------------------------------------------------
    // Whether there is anything to look at: a request, or the load of the script.
    bool any() const noexcept { return word_ != 0; }
    // Whether something is to be delivered, now or after the shield.
    bool pending() const noexcept { return word_ & kPending; }
    // Whether something is to be delivered at a point that is reached now; a scope only if its block can be left: see
    // is_deliverable.
    bool deliverable() const noexcept { return pending() && shield_depth_ == 0 && (patient_depth_ == 0 || urgent()); }
    // Whether something is to be delivered to an actor that computes.
    bool is_due(Instant now) const noexcept { return deliverable() && now >= due(); }
    // From when on; kNever: at points only.
    Instant due() const noexcept {
        return std::min(word_ & (kExit | kKill | kSignal) ? exit_due_ : kNever, word_ & kScope ? scope_due_ : kNever);
    }

    // ---- noted, with the moment from which on an actor that computes is interrupted ---------------------------------
    void note_exit(Ref<ExitReason> cause, Instant due) noexcept {
        if (cause && !killed()) cause_ = std::move(cause);  // without one the earlier one stays
        note(kExit, due, exit_due_, kExit | kKill | kSignal);
    }
    void note_kill(Ref<ExitReason> cause, Instant due) noexcept {
        cause_ = std::move(cause);
        note(kKill, due, exit_due_, kExit | kKill | kSignal);
    }
    void note_signal(Instant due) noexcept { note(kSignal, due, exit_due_, kExit | kKill | kSignal); }
    void note_scope(Instant due) noexcept { note(kScope, due, scope_due_, kScope); }
    // What was noted last had no patience.
    void hurry() noexcept { urgent_ = true; }
    // No expired scope is left.
    void withdraw_scope() noexcept { word_ &= ~kScope; }

    // ---- delivered --------------------------------------------------------------------------------------------------
    // What would be delivered first.
    Request first() const noexcept {
        if (word_ & kSignal) return Request::signal;
        if (word_ & kKill) return Request::kill;
        if (word_ & kExit) return Request::exit;
        return word_ & kScope ? Request::scope : Request::none;
    }
    // Takes it: the caller delivers it. A scope is withdrawn by CancelScope, which knows whether it was the last. A
    // kill that is never reached by another point is due again at `again`.
    Request take(Instant again) noexcept {
        const Request request = first();
        if (request == Request::none || request == Request::scope) return request;
        if (request != Request::kill || !asked_) urgent_ = false;
        asked_ = true;
        if (request == Request::signal) word_ &= ~kSignal;
        if (request == Request::exit) word_ &= ~kExit;
        if (request == Request::kill) {
            word_ = (word_ & ~kExit) | kTold;
            exit_due_ = again;
        }
        return request;
    }
    // Ends the requests to exit of an actor that ends: before its first turn, or because it does what was asked.
    bool take_before_start() noexcept {
        const bool asked = word_ & (kExit | kKill | kSignal);
        word_ &= ~(kExit | kKill | kSignal);
        return asked;
    }

    bool killed() const noexcept { return word_ & kKill; }
    // Whether a kill has been delivered, and the actor has not ended yet.
    bool unwinds_by_kill() const noexcept { return word_ & kTold; }
    // Whether the actor is asked once more, and has no time left: see above.
    bool urgent() const noexcept { return urgent_; }
    bool scope_expired() const noexcept { return word_ & kScope; }
    // What the latest exit or kill came with; null: none came, or it had none.
    const Ref<ExitReason>& cause() const noexcept { return cause_; }
    // Counts what was noted, for an owner that passes requests on: see TaskGroup.
    std::uint32_t noted() const noexcept { return noted_; }

    // ---- shield -----------------------------------------------------------------------------------------------------
    bool shielded() const noexcept { return shield_depth_ != 0; }
    // False: too deep.
    bool raise_shield() noexcept {
        if (shield_depth_ == kDeepestShield) return false;
        ++shield_depth_;
        return true;
    }
    void lower_shield() noexcept {
        SMARM_ASSERT(shield_depth_ > 0, "a shield was lowered twice");
        --shield_depth_;
    }
    // Native code's only, around one wait.
    void raise_patient_shield() noexcept {
        SMARM_ASSERT(patient_depth_ < kDeepestShield, "waits are nested too deeply");
        ++patient_depth_;
    }
    void lower_patient_shield() noexcept {
        SMARM_ASSERT(patient_depth_ > 0, "a shield was lowered twice");
        --patient_depth_;
    }

    // ---- the load of the script -------------------------------------------------------------------------------------
    bool loads_script() const noexcept { return word_ & kLoads; }
    void begin_load() noexcept { word_ |= kLoads; }
    void end_load() noexcept { word_ &= ~kLoads; }

    // ---- for sched/interrupt_timer.h: whether the actor has one -----------------------------------------------------
    bool watched() const noexcept { return watched_; }
    void set_watched(bool watched) noexcept { watched_ = watched; }

private:
    enum : std::uint32_t {
        kExit = 1,
        kKill = 2,
        kSignal = 4,
        kScope = 8,
        kLoads = 16,
        kTold = 32,  // the kill was delivered once
        kPending = kExit | kKill | kSignal | kScope
    };
    void note(std::uint32_t kind, Instant due, Instant& earliest, std::uint32_t sharing) noexcept {
        earliest = word_ & sharing ? std::min(earliest, due) : due;
        word_ |= kind;
        ++noted_;
    }

    std::uint32_t word_ = 0;
    std::uint32_t noted_ = 0;
    std::uint8_t shield_depth_ = 0;
    std::uint8_t patient_depth_ = 0;
    bool asked_ = false;  // an exit, kill or signal was delivered once
    bool urgent_ = false;
    bool watched_ = false;
    Instant exit_due_ = kNever;
    Instant scope_due_ = kNever;
    Ref<ExitReason> cause_;
};

}  // namespace smarm
