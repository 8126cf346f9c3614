// worker.h: one OS thread that runs actors: the switch, park and safe points, and the loop around them.
//
// Life:    constructed (its inbox already takes posts) -> run() on its own OS thread until stopped and empty ->
//          destroyed.
// Switch:  park and yield go straight to the next started actor while the inbox is empty and the switch budget lasts;
//          otherwise to the worker's own context, which drains the inbox, expires timers, polls the driver, starts new
//          actors, frees ended ones and waits when there is nothing to do.
// Parts:   run_order.h (who is next, and for how long), idle.h (waiting for work, and being woken), delivery.h
//          (messages into mailboxes).
// Owner:   of its actors, stacks, timers and driver. Borrows the Scheduler and the Rider.
// Threads: the worker's own OS thread, except post(), request_stop(), wake_remote() and the statistics.
// Throws:  no. Blocks: run() and what parks. Errors: see start_actor (no memory ends that actor only).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "smarm/actor/actor.h"
#include "smarm/base/clock.h"
#include "smarm/base/mpsc_stack.h"
#include "smarm/base/thread_probe.h"
#include "smarm/fiber/stack_pool.h"
#include "smarm/sched/driver.h"
#include "smarm/sched/idle.h"
#include "smarm/sched/patience.h"
#include "smarm/sched/rider.h"
#include "smarm/sched/run_order.h"
#include "smarm/sched/timer_queue.h"

namespace smarm {

class Scheduler;
class Simulation;

namespace detail {
// What is left of the calling thread's allocations until the clock is looked at: see sched/preempt.h.
inline constexpr std::int32_t kAllocationBudget = 256;
// SAFETY: initial-exec as for this_worker below.
extern constinit thread_local std::int32_t allocation_budget __attribute__((tls_model("initial-exec")));
}  // namespace detail

// How a park ended: neither of them, and it may have been spurious, so that the caller looks at its condition again;
// the deadline has passed; something is requested of the actor (Requests::deliverable). Whoever parked decides what
// that means: one that got what it waited for returns with it, and the request waits for the next point.
struct Parked {
    bool timed_out = false;
    bool requested = false;
    bool woken() const noexcept { return !timed_out && !requested; }
};

// What is to be delivered at a safe point.
enum class Deliver : std::uint8_t { nothing, what_is_due, everything };

// Counters of one worker; written by it, read by anyone (relaxed).
struct WorkerCounters {
    atomic<std::uint64_t> switches{0};
    atomic<std::uint64_t> started{0};
    atomic<std::uint64_t> finished{0};
    atomic<std::uint64_t> messages{0};
    atomic<std::uint64_t> remote_messages{0};
    atomic<std::uint64_t> dead_letters{0};
    atomic<std::uint64_t> waits{0};
    atomic<std::uint64_t> preemptions{0};
    atomic<std::uint64_t> stacks_trimmed{0};

    static void add(atomic<std::uint64_t>& counter, std::uint64_t n = 1) noexcept {
        counter.store(counter.load(memory_order_relaxed) + n, memory_order_relaxed);
    }
};

class Worker {
public:
    Worker(Scheduler& scheduler, unsigned index, std::unique_ptr<Driver> driver, const StackPoolOptions& stacks);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    unsigned index() const noexcept { return index_; }
    Scheduler& scheduler() const noexcept { return scheduler_; }
    Driver& driver() noexcept { return *driver_; }
    StackPool& stacks() noexcept { return stacks_; }
    TimerQueue& timers() noexcept { return timers_; }
    // On the worker's own thread, outside of run(); nullptr: no foreign state (native actors only).
    void set_rider(Rider* rider) noexcept;
    Rider* rider() const noexcept { return rider_; }
    // What decides the order of things here, or nullptr in real life.
    Simulation* simulation() const noexcept { return simulation_; }
    // The actor that runs, or nullptr on the worker's own context.
    [[gnu::always_inline]] Actor* current() const noexcept { return current_.load(memory_order_relaxed); }

    // Runs actors until the scheduler stops and all actors of this worker have ended or were given up.
    void run() noexcept;
    // Takes the place of run() for a worker that could not be set up: cancels every actor that is sent here.
    void refuse() noexcept;

    // ---- for the running actor -----------------------------------------------------------------------------------
    // Gives the worker away until somebody wakes this actor, the deadline passes or something is requested of it; not
    // at all when something is.
    Parked park(WaitReason reason, Instant deadline = kNever) noexcept;
    // Lets every other ready actor run first. True: something is requested of this one.
    bool yield() noexcept;
    // Looks for what came from outside, and lets others run when the monitor asked for it in this turn and
    // `may_preempt`.
    // True: a request is to be delivered now (take_request), by what `deliver` says. See Rider::request_attention.
    bool at_safe_point(bool may_preempt, Deliver deliver) noexcept;
    // Takes what is requested of the running actor: the caller delivers it.
    Request take_request() noexcept;
    // Looks at the clock, between two counts of allocations. When the running actor's slice is over while others could
    // run, or a timer is due, asks it to come to at_safe_point(). Called in the middle of an allocation: does not wait
    // for anybody.
    void look_at_slice() noexcept;
    // Adds what the running actor has allocated since the last time to its reductions.
    void charge(Actor& running) noexcept {
        const auto used = static_cast<std::uint64_t>(detail::kAllocationBudget - detail::allocation_budget);
        running.reductions.store(running.reductions.load(memory_order_relaxed) + used, memory_order_relaxed);
        detail::allocation_budget = detail::kAllocationBudget;
    }

    // Ends the running actor's turn at its next at_safe_point(), as a request of the monitor would.
    void end_turn() noexcept { order_.end_turn(turn()); }

    // ---- for code on this worker ---------------------------------------------------------------------------------
    // Makes one of this worker's parked actors ready; does nothing when it is not parked.
    void wake(Actor& actor) noexcept {
        if (actor.state.load(memory_order_relaxed) == ActorState::parked) {
            actor.state.store(ActorState::ready, memory_order_relaxed);
            order_.push(actor);
            if (live_count() >= kTooManyForCaches) fetch_ahead(actor);
        }
    }
    // Takes over an actor that was settled here.
    void adopt(Actor& actor) noexcept;
    // Asks something of an actor of this worker: noted now, delivered at its next point, or after `patience` when it
    // computes (Duration::max(): only at a point). Without a cause an exit has that of the last one.
    void request_exit(Actor& actor, Ref<ExitReason> cause, Duration patience) noexcept;
    // An exit whose exception was lost: it is due at once, but nobody has asked again, and so it is not urgent.
    void arm_exit_again(Actor& actor) noexcept;
    void request_kill(Actor& actor, Ref<ExitReason> cause, Duration patience) noexcept;
    void request_signal(Actor& actor, Duration patience) noexcept;
    void request_scope_end(Actor& actor, Duration patience) noexcept;
    // The code of an actor is here: from now on stacks have the size that their actors ask for.
    void note_program() noexcept { has_program_ = true; }
    // Arms a timer of this worker; disarm it with timers().cancel.
    void arm_timer(TimerNode& timer, Instant deadline) noexcept;
    // Chooses among equals: the next of a row of numbers that is the same in every run, in a simulation for each seed.
    std::uint32_t random() noexcept;
    // The last timers fire, but nothing more is done for actors: see run().
    bool closing() const noexcept { return closing_; }

    // ---- for the scheduler ---------------------------------------------------------------------------------------
    // Gives the worker up if it is still in run(), which then never returns. Returns whether it was.
    bool leave_behind() noexcept { return end_life(Life::left_behind); }
    bool left_behind() const noexcept { return life_.load(memory_order_acquire) == Life::left_behind; }

    // ---- from any thread -----------------------------------------------------------------------------------------
    // Puts the post into the inbox and wakes the worker if it sleeps. When its run has ended: Post::nobody, at once.
    void post(Post& post) noexcept {
        post_silently(post);
        nudge();
    }
    // Without the waking: nudge() must follow.
    void post_silently(Post& post) noexcept {
        if (!inbox_.push(post)) post.nobody(scheduler_);
    }
    // As post, for a message or signal of one actor to another.
    void post(Post& post, Pid from, Pid to) noexcept;
    // Wakes an actor of this worker. The caller must hold it: on its worker, or in a WaitQueue whose lock is held.
    void wake_remote(Actor& actor) noexcept {
        if (wake_silently(actor)) nudge();
    }
    // For callers with a lock that the actor wants when it runs: the waking is a system call. True: nudge() must follow
    // when the lock is free.
    [[nodiscard]] bool wake_silently(Actor& actor) noexcept;
    void request_stop() noexcept;
    // Makes the running actor, if any, come to at_safe_point() soon.
    void request_attention() noexcept;

    // ---- for the monitor -----------------------------------------------------------------------------------------
    // Counts turns: it changes with every switch to an actor.
    std::uint64_t turn() const noexcept { return counters_.switches.load(memory_order_relaxed); }
    bool is_running_actor() const noexcept { return current() != nullptr; }
    // When that turn began, if it is the present one and somebody has looked at the clock.
    std::optional<Instant> slice_start(std::uint64_t turn) const noexcept { return order_.slice_start(turn); }
    // Whether somebody else could run, or something else must be looked at.
    bool has_waiting_work() const noexcept;
    Instant next_timer() const noexcept { return Instant{Instant::duration{next_timer_.load(memory_order_relaxed)}}; }
    bool has_timer() const noexcept { return next_timer() != kNever; }
    bool timer_due(Instant now) const noexcept { return now >= next_timer(); }
    // Makes the worker look for parked actors whose stacks ran deep and give those pages back, when it has nothing else
    // to do.
    void request_trim() noexcept;
    // Tells the worker what time it is, for parked_since.
    void note_time(Instant now) noexcept { recent_.store(now.time_since_epoch().count(), memory_order_relaxed); }
    const ThreadProbe& thread() const noexcept { return thread_; }
    // Asks the running actor to come to at_safe_point(), and no more.
    void request_answer() noexcept {
        asked_.store(true, memory_order_relaxed);
        request_attention();
    }
    // Whether an actor has come there since.
    bool has_answered() const noexcept { return !asked_.load(memory_order_relaxed); }
    // Asks the actor of turn `turn` to let others run.
    void request_preemption(std::uint64_t turn) noexcept;
    // Looks for work again, even when asleep. Any thread.
    void nudge() noexcept;

    const WorkerCounters& counters() const noexcept { return counters_; }
    WorkerCounters& own_counters() noexcept { return counters_; }
    // How many actors used up a slice and want another; read by any thread.
    std::size_t computing() const noexcept { return order_.computing(); }
    std::size_t ready_count() const noexcept { return order_.size(); }
    std::size_t live_count() const noexcept { return live_.load(memory_order_relaxed); }
    // Of them, those that it took from the shared queue; read by any thread.
    std::size_t taken_live() const noexcept { return taken_live_.load(memory_order_relaxed); }
    bool sleeping() const noexcept { return idle_.asleep(); }
    // When the first turn of an actor here ended; kNever: its interpreter is being made, or loads the program.
    Instant booted_at() const noexcept { return Instant{Instant::duration{booted_at_.load(memory_order_relaxed)}}; }
    bool refusing() const noexcept { return refusing_.load(memory_order_relaxed); }
    // Sleeps, or is about to, and will take an actor of the shared queue when it is nudged. For whoever has put one
    // there before it asks: see idle.h. refusing_ is relaxed: it is set once, before the worker sleeps, and the look at
    // its sleep is an acquire.
    bool is_free() const noexcept { return idle_.is_asleep() && !refusing(); }

    // What an actor (that was placed, or woken from another worker) is as a post.
    static const Post::Kind kActorPost;

private:
    struct ParkTimer;
    static void actor_entry(void* actor);
    static constexpr std::size_t kTooManyForCaches = 500;  // actors; with fewer there is nothing to gain
    static void fetch_ahead(const Actor& actor) noexcept;
    void switch_away(Actor& from) noexcept;
    bool park_until(Actor& actor, Instant deadline) noexcept;
    void run_actor(Actor& actor) noexcept;
    bool start_actor(Actor& actor) noexcept;
    std::size_t stack_bytes_for(const Actor& actor) const noexcept;
    void reap(Actor& actor) noexcept;
    void drop_unread(Actor& actor) noexcept;
    void drain_inbox() noexcept;
    void take_outside_events(bool look_around) noexcept;
    void rest() noexcept;
    bool has_outside_work() const noexcept;
    void ask_to_exit(Instant now, bool again) noexcept;
    bool stop_step() noexcept;
    Actor* next_ready() noexcept;
    bool leaves_to_others() noexcept;
    bool has_new_actors() const noexcept;
    void expire_timers() noexcept;
    void publish_next_timer() noexcept;
    void trim_stacks() noexcept;
    void set_current(Actor* actor) noexcept { current_.store(actor, memory_order_relaxed); }
    bool has_request(Deliver deliver) noexcept;
    Instant due_after(Duration patience) noexcept;
    void bring_to_point(Actor& actor) noexcept;
    void take_post(Actor& actor) noexcept;
    void close_inbox() noexcept;

    // --- what every switch touches --------------------------------------------------------------------------------
    atomic<Actor*> current_{nullptr};  // relaxed: the worker's own, looked at by the monitor
    RunOrder order_;
    MpscStack inbox_;
    std::int32_t switch_budget_ = 0;  // direct switches left until the worker's own context looks around
    Rider* rider_ = nullptr;
    Simulation* const simulation_;
    Context own_context_;
    WorkerCounters counters_;

    // --- the rest --------------------------------------------------------------------------------------------------
    Scheduler& scheduler_;
    const unsigned index_;
    std::unique_ptr<Driver> driver_;
    StackPool stacks_;
    TimerQueue timers_;
    SpinLock rider_lock_;                // held by other threads while they use rider_, and while it changes
    Actor* finished_ = nullptr;          // ended on its stack, to be freed by the worker's own context
    atomic<std::size_t> live_{0};        // actors settled here that have not ended
    atomic<std::size_t> taken_live_{0};  // of live_, those of the shared queue
    Idle idle_;
    atomic<bool> refusing_{false};  // in refuse(): takes no actors
    atomic<Instant::rep> booted_at_{kNever.time_since_epoch().count()};
    atomic<bool> stop_requested_{false};
    bool stop_asked_ = false;  // its actors have been asked to exit
    Instant ask_again_{};      // when they are asked again
    Patience stop_patience_;   // with those that are left
    std::uint64_t left_ = 0;   // the shared queue as it was when it was left to others; 0: it was not
    Instant left_until_{};     // until when it is left to them, unless it changes
    // Of timers_; relaxed: the monitor may see an old one for one look.
    atomic<Instant::rep> next_timer_{kNever.time_since_epoch().count()};
    atomic<bool> asked_{false};  // by request_answer
    // A time not long ago: an actor that parks is stamped with it, as a look at the clock would cost more than the
    // park.
    atomic<Instant::rep> recent_{0};
    bool closing_ = false;
    bool has_program_ = false;
    // Acq_rel: whoever ends it decides, and sees what the other did before.
    enum class Life : std::uint8_t { running, ended, left_behind };
    bool end_life(Life how) noexcept {
        Life was = Life::running;
        return life_.compare_exchange_strong(was, how, memory_order_acq_rel);
    }
    void end_run() noexcept;
    atomic<Life> life_{Life::running};
    ThreadProbe thread_;                  // of the OS thread in run()
    atomic<bool> trim_requested_{false};  // relaxed: a request that comes a moment too late is made again
    std::uint32_t next_to_trim_ = 0;      // index in the actor table
    std::uint32_t passes_ = 0;
    std::uint32_t random_;  // never 0
};

// Begins to load what the switch to a parked actor will touch: of many actors it is in no cache, and the pages of its
// stack and of its rider state are looked up at the same time now, not one after the other.
// asm: gcc takes a function of nothing but __builtin_prefetch for one without effects, and leaves its calls out.
// SAFETY: a prefetch of any address, also near that of a native actor's rider state, nullptr, does nothing worse than
//         nothing.
inline void Worker::fetch_ahead(const Actor& actor) noexcept {
    constexpr std::uintptr_t kLine = 64;
    const auto fetch = [](const void* start, std::uintptr_t lines) {
        const auto first = reinterpret_cast<std::uintptr_t>(start);
        for (std::uintptr_t line = 0; line < lines; ++line)
            asm volatile("prefetcht0 (%0)" : : "r"(first + line * kLine));
    };
    fetch(actor.context.stack_pointer, 6);
    fetch(actor.rider_state, 3);
    fetch(actor.stack.rider_area(), 2);
}

namespace detail {
// SAFETY: initial-exec saves the call into the dynamic loader on each access; one pointer fits the static TLS surplus
// that the loader keeps for libraries opened later.
extern constinit thread_local Worker* this_worker __attribute__((tls_model("initial-exec")));
}  // namespace detail

// The worker of the calling OS thread, or nullptr.
inline Worker* this_worker() noexcept { return detail::this_worker; }
// The actor that calls, or nullptr outside of actors.
inline Actor* this_actor() noexcept {
    Worker* worker = this_worker();
    return worker ? worker->current() : nullptr;
}

}  // namespace smarm
