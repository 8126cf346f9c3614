// clock.h: the units of time.
//
// What:    Instant is an absolute point on the monotonic clock, Duration a length of time, both in nanoseconds.
//          Deadlines are always Instants; kNever means "no deadline".
// Not:     a source of time for the scheduler. Workers ask their Driver (sched/driver.h), so that a simulation
//          can own the clock; monotonic_now() is for drivers and for code outside workers.
#pragma once

#include <chrono>

namespace smarm {

using Duration = std::chrono::nanoseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline constexpr Instant kNever = Instant::max();

inline Instant monotonic_now() noexcept { return std::chrono::steady_clock::now(); }

// Adds without overflow: a huge timeout means never.
inline Instant deadline_after(Instant now, Duration timeout) noexcept {
    return timeout >= kNever - now ? kNever : now + timeout;
}

}  // namespace smarm
