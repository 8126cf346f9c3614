// cancel_scope.h: a block of an actor that can be cut short, by a deadline or by a call.
//
// States:  closed -open-> open -deadline or expire-> expired -take_expired-> taken -expire_again-> expired; close() from each of them.
// What:    when a scope expires, its end is requested of the actor (Requests): at the wait in progress, at the next point, or
//          after the scope's patience at a safe point. Whoever delivers that (Request::scope) calls take_expired. Once per
//          scope: what runs while the block is left can park again.
// Nesting: an actor's scopes are in its list of held resources, the innermost first. Of several expired ones the
//          outermost is taken, as it ends the others too. A real exit request goes before any scope.
// Leaks:   close() takes an expiry back that nobody has taken, so that it cannot hit what comes after the block.
// Owner:   the scope is the caller's and must be closed before it dies; the end of its actor closes it.
// Threads: the actor's worker. Blocks, allocates, throws: no.
// See:     tests/cpp/sched/cancel_scope_test.cpp, docs/reference/tasks.md
#pragma once

#include <cstdint>

#include "smarm/actor/held_resource.h"
#include "smarm/sched/timer_queue.h"
#include "smarm/sched/worker.h"

namespace smarm {

class CancelScope : public HeldResource {
public:
    CancelScope() noexcept : HeldResource(&kTag), timer_(*this) {}

    // Makes the running actor's block begin; kNever: no deadline. Must be closed. `patience`: see Worker::request_exit.
    void open(Instant deadline, Duration patience) noexcept;
    // Cuts the block short now. Does nothing unless the scope is open.
    void expire() noexcept;
    // Ends the block. Does nothing when it is closed.
    void close() noexcept;

    bool is_open() const noexcept { return actor_ != nullptr; }
    // Whether the block was, or is about to be, cut short; stays after close().
    bool cut_short() const noexcept { return state_ != State::quiet; }
    // Unique in the process for each open(); never 0.
    std::uint64_t id() const noexcept { return id_; }

    // Takes the actor's outermost expired scope and returns its id, or 0.
    static std::uint64_t take_expired(Actor& actor) noexcept;

    // The exception that was raised for the scope of that id is lost: it expires once more. False: it is not open, or not taken.
    static bool expire_again(Actor& actor, std::uint64_t id) noexcept;

    void owner_ended(Actor& owner) noexcept override;

private:
    enum class State : std::uint8_t { quiet, expired, taken };
    struct Timer : TimerNode {
        explicit Timer(CancelScope& its_scope) noexcept
            : TimerNode([](TimerNode& node) { static_cast<Timer&>(node).scope.expire(); }), scope(its_scope) {}
        CancelScope& scope;
    };
    static CancelScope* outermost_expired(Actor& actor) noexcept;

    static const char kTag;
    Actor* actor_ = nullptr;  // while open
    std::uint64_t id_ = 0;
    State state_ = State::quiet;
    Duration patience_{};
    Timer timer_;
};

}  // namespace smarm
