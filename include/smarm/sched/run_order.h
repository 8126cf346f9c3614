// run_order.h: which actor of a worker runs next, and when its slice is over.
//
// What:    two queues. Woken and new actors go first, so that a message or a timer is answered at once; actors that
//          used up a slice run when there are none, and beside them once a slice. New actors that were there before
//          such a one began to wait get their first turn before it gets its next. A turn is numbered by the worker: a
//          slice is that of one turn.
// Owner:   borrows the actors. Threads: the worker's own; the monitor's are marked. Blocks, allocates, throws: no.
#pragma once

#include <cstdint>
#include <optional>

#include "smarm/base/clock.h"
#include "smarm/sched/run_queue.h"

namespace smarm {

class Driver;
class Scheduler;
class Simulation;

class RunOrder {
public:
    // Woken and new actors. front: who is next among them, or nullptr.
    bool empty() const noexcept { return ready_.empty(); }
    Actor* front() const noexcept { return ready_.front(); }
    Actor& pop() noexcept { return ready_.pop(); }
    void push(Actor& actor) noexcept { ready_.push(actor); }
    // One that has never run. True: so many wait for their first turn now that whoever spawns them must let them have
    // it; said once.
    bool push_new(Actor& actor) noexcept;
    void note_first_turn() noexcept { ++begun_; }
    // One that used up its slice.
    void push_preempted(Actor& actor) noexcept;

    // Takes out whose turn it is, number `turn`; nullptr: nobody's. A simulation chooses instead, from all.
    Actor* next(Driver& driver, Duration slice, std::uint64_t turn) noexcept;
    Actor* next_simulated(Simulation& simulation) noexcept;
    // Whether to take an actor from the shared queue: beside actors that compute, one for each of their rounds, and for
    // a few rounds it is left to a worker that has fewer of them. What has started stays where it is, so they must
    // spread evenly now.
    bool wants_new_actor(const Scheduler& scheduler, bool look_around, bool simulated) noexcept;
    void note_taken() noexcept { turns_since_take_ = 0; }

    // ---- from any thread: relaxed, a moment late --------------------------------------------------------------------
    std::size_t size() const noexcept { return ready_.size() + preempted_.size(); }
    // How many used up a slice and want another, when the worker last looked for new ones.
    std::size_t computing() const noexcept { return computing_.load(memory_order_relaxed); }

    // ---- slices -----------------------------------------------------------------------------------------------------
    void begin_slice(std::uint64_t turn, Instant now) noexcept {
        slice_start_.store(now.time_since_epoch().count(), memory_order_relaxed);
        slice_turn_.store(turn, memory_order_release);
    }
    // When that turn began, if it is the last one of which anybody has looked at the clock. Any thread.
    std::optional<Instant> slice_start(std::uint64_t turn) const noexcept {
        // Acquire: pairs with begin_slice, so that the start is that turn's, or a later one's.
        if (slice_turn_.load(memory_order_acquire) != turn) return std::nullopt;
        return Instant{Instant::duration{slice_start_.load(memory_order_relaxed)}};
    }
    // Asks that turn to end at its next safe point. Any thread; relaxed: attention is requested after it.
    void end_turn(std::uint64_t turn) noexcept { turn_to_end_.store(turn, memory_order_relaxed); }
    // Takes the request. A request for an earlier turn is stale: that actor has left the worker by itself.
    bool take_end_of(std::uint64_t turn) noexcept { return turn_to_end_.exchange(0, memory_order_relaxed) == turn; }

private:
    RunQueue ready_;                            // woken and new actors
    RunQueue preempted_;                        // actors that used up a slice
    Instant ready_since_{};                     // when the last turn of an actor of preempted_ was over
    bool preempted_had_turn_ = false;           // since ready_since_ was set
    std::size_t turns_since_take_ = 0;          // of preempted_, since an actor was taken from the shared queue
    std::uint64_t new_ = 0;                     // actors that were ever new here
    std::uint64_t begun_ = 0;                   // of them, those that had their first turn
    std::uint64_t begin_before_preempted_ = 0;  // begun_ must reach this before the first of preempted_ runs again
    atomic<std::size_t> computing_{0};
    atomic<std::uint64_t> turn_to_end_{0};  // 0: none
    atomic<std::uint64_t> slice_turn_{0};   // the turn that slice_start_ is about
    atomic<Instant::rep> slice_start_{0};
};

}  // namespace smarm
