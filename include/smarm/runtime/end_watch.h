// end_watch.h: sees to it that a program that was asked to end does.
//
// What:    SIGTERM and SIGINT are handled by the main actor: it is unwound, then all others are. C code that holds the
//          main lane, or an actor that takes the exit for an error to go on after, keeps that from happening. The
//          signal thread, which needs neither the GIL nor a worker, looks here now and then; when nothing has come
//          forward for shutdown_timeout, or four times that have passed (Patience), it says what is left (pid, place)
//          and ends the process with exit code 128 + number.
// Steps:   asked -> told (the exception has been raised in the main actor) -> stopping (it has ended, the others are
//          unwound) -> over. A SIGINT is the program's own affair once told: KeyboardInterrupt may be handled, and only
//          if it ends the main actor is the rest watched. While stopping, workers give actors up by themselves
//          (Scheduler); this has patience for a bit longer.
// Threads: asked, look: the signal thread. told, main_ended: the main lane.
#pragma once

#include <chrono>
#include <string>

#include "smarm/base/sync.h"
#include "smarm/sched/patience.h"
#include "smarm/sched/scheduler.h"

namespace smarm {

class EndWatch {
public:
    // Borrows the scheduler.
    EndWatch(Scheduler& scheduler, Duration timeout) noexcept : scheduler_(scheduler), timeout_(timeout.count()) {}

    void set_timeout(Duration timeout) noexcept { timeout_.store(timeout.count(), memory_order_relaxed); }
    // The signal has come.
    void asked(int number) noexcept;
    // What it means has been raised in the main actor.
    void told() noexcept;
    // The main actor has ended, by what the signal meant or not.
    void main_ended(bool as_asked) noexcept;
    // Looks whether it takes too long, and then ends the process. Returns how long until the next look; 0: nothing is
    // watched.
    std::chrono::milliseconds look() noexcept;

private:
    enum class Step : std::uint8_t { quiet, asked, stopping };
    void enter(Step step, Instant now) noexcept;
    std::uint64_t progress() const noexcept;
    Duration timeout() const noexcept { return Duration(timeout_.load(memory_order_relaxed)); }
    [[noreturn]] void end_process(Instant now) noexcept;

    Scheduler& scheduler_;
    atomic<Duration::rep> timeout_;  // of no progress; relaxed: it is set before anything is asked
    // The main lane may be told, and end, before the signal thread hears of the signal at all: so this is the number of
    // signals (SignalWatch::asked) that were told. Release, both: pairs with look().
    atomic<unsigned> told_{0};
    atomic<bool> ended_as_asked_{false};
    // The signal thread's.
    int number_ = 0;
    Step step_ = Step::quiet;
    Instant asked_at_{};
    Patience patience_;
};

}  // namespace smarm
