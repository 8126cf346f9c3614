// idle.h: how a worker without work waits, and how it is woken.
//
// What:    spins for a moment, for a message from another core usually comes soon, and sleeps then. How long it spins
//          follows what comes of it, so that an idle worker that only serves timers costs nothing.
// Wake-up: a Dekker pair. Who brings work publishes it, then reads the flag (wake_up, is_asleep); who goes to sleep
//          sets the flag, then looks for work (sleep). Both are seq_cst on both sides, so that at least one sees the
//          other: no wake-up is lost. Work is a post in the worker's inbox, an actor in the shared queue, or an order
//          to stop: each is published with seq_cst.
// Model:   tests/models/idle_wake.pml. Interleavings of the real code: tests/sim.
// Threads: wake_up, is_asleep, asleep: any. The rest: the worker's own.
#pragma once

#include <algorithm>
#include <utility>

#include "smarm/base/clock.h"
#include "smarm/base/sync.h"

namespace smarm {

class Idle {
public:
    // Spins for `longest` at most.
    explicit Idle(Duration longest) noexcept : longest_(longest), spin_limit_(longest) {}

    // ---- the waker's half -------------------------------------------------------------------------------------------
    // True: the caller must wake what the worker sleeps in. The exchange lets one waker only pay for that.
    bool wake_up() noexcept {
        return asleep_.load(memory_order_seq_cst) && asleep_.exchange(false, memory_order_seq_cst);
    }
    // Whether it sleeps or is about to, for a waker that has several to choose from: part of the pair, like wake_up.
    bool is_asleep() const noexcept { return asleep_.load(memory_order_seq_cst); }
    // The same for statistics.
    bool asleep() const noexcept { return asleep_.load(memory_order_relaxed); }

    // ---- the sleeper's half -----------------------------------------------------------------------------------------
    // Calls wait() unless has_work().
    template <class HasWork, class Wait>
    void sleep(HasWork has_work, Wait wait) noexcept {
        asleep_.store(true, memory_order_seq_cst);
        if (!has_work()) wait();
        asleep_.store(false, memory_order_seq_cst);
    }

    // ---- spinning ---------------------------------------------------------------------------------------------------
    // Returns whether work came.
    template <class HasWork>
    bool spin(HasWork has_work) noexcept {
        if (spin_to_limit(has_work)) {
            spin_more(2);
            return true;
        }
        spin_limit_ /= 2;  // in vain: less next time
        return false;
    }
    // Work came after the worker has been asleep for so long. When a longer spin would have met it, by more than spin()
    // takes off: or one hole would be the end of it.
    void note_work_after(Duration asleep) noexcept {
        if (asleep < 2 * longest_) spin_more(8);
    }

private:
    // Between two looks at the clock of a thread that has the CPU to itself much less passes.
    static constexpr Duration kHole = std::chrono::microseconds(20);

    void spin_more(int factor) noexcept {
        spin_limit_ = std::min(longest_, std::max(factor * spin_limit_, longest_ / 64));
    }
    template <class HasWork>
    bool spin_to_limit(HasWork has_work) noexcept {
        Instant now = monotonic_now();
        const Instant until = now + spin_limit_;
        while (now < until) {
            for (int i = 0; i < 32; ++i) {
                if (has_work()) return true;
                cpu_relax();
            }
            const Instant before = std::exchange(now, monotonic_now());
            // A hole in the time: somebody else needed this CPU, maybe the one who is to bring work.
            if (now - before > kHole) {
                spin_limit_ = Duration::zero();
                break;
            }
        }
        return false;
    }

    const Duration longest_;
    Duration spin_limit_;
    atomic<bool> asleep_{false};
};

}  // namespace smarm
