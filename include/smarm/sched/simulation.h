// simulation.h: one seed decides everything that chance decides otherwise.
//
// What:    a scheduler that is given a Simulation (SchedulerOptions) has one worker, whose driver's clock it is. It
//          chooses which ready actor runs next, after how many preemption points the running one is preempted, and how
//          long a message or signal is under way. The same seed and the same program give the same choices, and the
//          same trace.
// Time:    virtual. It jumps to the next timer when nothing can run, and passes by a microsecond for every instruction
//          of the program, turn of an actor and look at a clock, so that a loop that waits for a time ends.
// Names:   pids and monitor references are the same in every run, so they may repeat those of an earlier run.
// Delays:  what one actor sends to another arrives in the order of sending, messages and signals together; what
//          different actors send is free to overtake. An actor's messages to itself are not delayed.
// Steps:   what makes the time pass by a microsecond; with a limit, on_too_many_steps is called when there are more,
//          and the running actor is brought to a safe point. It must bring the run to its end.
// Deadlock: nothing can run and no timer is armed: on_deadlock is called, which must bring the run to its end.
// Owner:   the caller of the run; outlives the scheduler. Threads: the worker's. Throws: no; without memory it ends the
//          process.
// See:     tests/cpp/wait/simulated_reactor_test.cpp, docs/explanation/internals/simulation.md
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "smarm/actor/actor.h"
#include "smarm/base/clock.h"

namespace smarm {

class Worker;

class Simulation {
public:
    // One turn of an actor, from when it got the worker: how it ended, and where in the program.
    struct Turn {
        Instant began;
        Pid actor;
        std::string name;
        ActorState state;  // after it: ready (preempted or yielded), parked or dead
        WaitReason reason;
        std::string place;
    };

    // interrupt_point: how many preemption points every actor that computes has left when something is requested of it;
    // kSeeded: a number that the seed decides, each time.
    static constexpr std::uint64_t kSeeded = UINT64_MAX;
    Simulation(std::uint64_t seed, bool keeps_trace, std::uint64_t max_steps = UINT64_MAX,
               std::uint64_t interrupt_point = kSeeded) noexcept;
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    // ---- time ----------------------------------------------------------------------------------------------------
    static constexpr Instant kStart{std::chrono::hours(24)};
    Instant now() const noexcept { return now_; }
    // The program has done something.
    Instant tick() noexcept {
        ++steps_;
        return now_ += std::chrono::microseconds(1);
    }
    // The worker has nothing to do until then; kNever: a deadlock.
    void wait_until(Instant until) noexcept;

    // ---- chance --------------------------------------------------------------------------------------------------
    // Which of `count` ready actors (at least one) is next. Begins a turn.
    std::size_t choose(std::size_t count) noexcept;
    // For the program's own choices among equals.
    std::uint32_t random_number() noexcept { return static_cast<std::uint32_t>(random() >> 32); }
    // The running actor passes a place where it could be preempted. Returns whether it is to be; the caller that cannot
    // do it there calls preempt_soon, so that it is at the next one.
    bool passes_preemption_point() noexcept {
        tick();
        const bool exceeds = exceeds_limit();
        return --points_left_ == 0 || exceeds;
    }
    void preempt_soon() noexcept { points_left_ = 1; }
    void preempted() noexcept { points_left_ = next_gap(); }
    // When an actor that computes is to be interrupted, for a request that is made now.
    Instant interrupt_at() noexcept;
    void note_interrupt() noexcept { ++interrupts_; }
    std::uint64_t interrupts() const noexcept { return interrupts_; }
    // Gives the post, a message or a signal, to `home` when it has arrived.
    void send(Worker& home, Pid from, Pid to, Post& post) noexcept;

    // The next number for a monitor: the same in every run, as the order of signals depends on it.
    MonitorRef next_monitor_ref() noexcept { return ++last_monitor_ref_; }

    // ---- what can be told of the run -------------------------------------------------------------------------------
    // The turn that choose() began has ended.
    void note_turn(const Actor& actor) noexcept;
    const std::vector<Turn>& trace() const noexcept { return trace_; }
    std::function<std::string(const Actor&)> place_of;  // for the trace
    std::function<void()> on_deadlock;
    std::string deadlock;  // the wait graph, if on_deadlock left one
    std::function<void()> on_too_many_steps;
    bool too_many_steps() const noexcept { return too_many_steps_; }

private:
    struct Delayed;
    struct Way {  // from one actor to another
        Instant last{};
        std::size_t under_way = 0;
    };
    std::uint64_t random() noexcept;
    std::uint64_t random_below(std::uint64_t limit) noexcept { return random() % limit; }
    std::uint64_t next_gap() noexcept { return 1 + random_below(2 * mean_gap_); }
    Duration next_delay() noexcept;
    // True the first time that there are too many steps.
    bool exceeds_limit() noexcept {
        if (__builtin_expect(steps_ <= max_steps_ || too_many_steps_, 1)) return false;
        too_many_steps_ = true;
        if (on_too_many_steps) on_too_many_steps();
        return true;
    }

    std::uint64_t state_;
    std::uint64_t mean_gap_;  // preemption points between two preemptions: another for each seed
    std::uint64_t points_left_;
    MonitorRef last_monitor_ref_ = 0;
    Instant now_ = kStart;
    Instant turn_began_{};
    std::map<std::pair<std::uint64_t, std::uint64_t>, Way> ways_;  // with something under way
    const std::uint64_t max_steps_;
    std::uint64_t steps_ = 0;
    bool too_many_steps_ = false;
    const std::uint64_t interrupt_point_;
    std::uint64_t interrupts_ = 0;  // actors that were interrupted while they computed
    const bool keeps_trace_;
    std::vector<Turn> trace_;
};

}  // namespace smarm
