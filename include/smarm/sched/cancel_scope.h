// cancel_scope.h: a block of an actor that can be cut short, by a deadline or by a call.
//
// States:  closed -open-> open -deadline or expire-> expired -take_expired-> taken -expire_again-> expired; close()
//          from each of them.
// What:    when a scope expires, its end is requested of the actor (Requests): at the wait in progress, at the next
//          point, or after the scope's patience at a safe point. Whoever delivers that (Request::scope) calls
//          take_expired. Once per scope: what runs while the block is left can park again.
// Nesting: an actor's scopes are in its list of held resources, the innermost first. Of several expired ones the
//          outermost is taken, as it ends the others too. A real exit request goes before any scope.
// Leaks:   close() takes an expiry back that nobody has taken, so that it cannot hit what comes after the block.
// Blocks:  that of a generator is not left while the generator is suspended (Block): its scope waits until it runs on,
//          so that it cannot hit code outside of it.
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
    // The block of a scope that is not always on its actor's stack.
    class Block {
    public:
        virtual bool is_on_stack(const Actor& actor) const noexcept = 0;
        // Whether it is part of the same generator. `other` may be nullptr.
        virtual bool is_same(const Block* other) const noexcept = 0;

    protected:
        ~Block() = default;
    };

    CancelScope() noexcept : HeldResource(&kTag), timer_(*this) {}

    // Makes the running actor's block begin; kNever: no deadline. Must be closed. `patience`: see Worker::request_exit.
    // `block`: borrowed until the scope is closed; nullptr: it is on the stack until then.
    void open(Instant deadline, Duration patience, const Block* block = nullptr) noexcept;
    // Cuts the block short now. Does nothing unless the scope is open.
    void expire() noexcept;
    // Ends the block. Does nothing when it is closed.
    void close() noexcept;

    bool is_open() const noexcept { return actor_ != nullptr; }
    // Whether the block was, or is about to be, cut short; stays after close().
    bool cut_short() const noexcept { return state_ != State::quiet; }
    // Unique in the process for each open(); never 0.
    std::uint64_t id() const noexcept { return id_; }

    // Whether the actor, which runs or is parked, can leave the block of an expired scope.
    static bool can_be_left(const Actor& actor) noexcept { return outermost_expired(actor); }

    // Takes the outermost expired scope whose block the actor can leave, and returns its id, or 0.
    static std::uint64_t take_expired(Actor& actor) noexcept;

    // The exception that was raised for the scope of that id is lost: it expires once more. False: it is not open, or
    // not taken.
    static bool expire_again(Actor& actor, std::uint64_t id) noexcept;

    void owner_ended(Actor& owner) noexcept override;

private:
    enum class State : std::uint8_t { quiet, expired, taken };
    struct Timer : TimerNode {
        explicit Timer(CancelScope& its_scope) noexcept
            : TimerNode([](TimerNode& node) { static_cast<Timer&>(node).scope.expire(); }), scope(its_scope) {}
        CancelScope& scope;
    };
    bool expired_on_stack(const Actor& actor) const noexcept {
        return state_ == State::expired && (!block_ || block_->is_on_stack(actor));
    }
    static CancelScope* outermost_expired(const Actor& actor) noexcept;
    static bool any_expired(const Actor& actor) noexcept;

    static const char kTag;
    Actor* actor_ = nullptr;  // while open
    const Block* block_ = nullptr;
    std::uint64_t id_ = 0;
    State state_ = State::quiet;
    Duration patience_{};
    Timer timer_;
};

// Whether something is asked of the actor, which runs or is parked, that could be delivered now but for a shield.
inline bool is_asked(const Actor& actor) noexcept {
    return actor.requests.pending() && (actor.requests.first() != Request::scope || CancelScope::can_be_left(actor));
}

// Whether something is to be delivered to it at a point that is reached now.
inline bool is_deliverable(const Actor& actor) noexcept { return actor.requests.deliverable() && is_asked(actor); }

}  // namespace smarm
