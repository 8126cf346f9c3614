// patience.h: how long an ending may take.
//
// What:    at its end when nothing has come forward for `timeout`, or four times that have passed in all. So a crowd
//          that is unwound on a busy machine has the time that it needs, and what does not end does not get all of it.
// Threads: one at a time. Blocks, allocates, throws: no.
#pragma once

#include <algorithm>
#include <cstdint>

#include "smarm/base/clock.h"

namespace smarm {

class Patience {
public:
    static constexpr int kMost = 4;  // times the timeout, in all

    // `state` is any number that changes when something comes forward.
    void begin(Instant now, Duration timeout, std::uint64_t state) noexcept {
        timeout_ = timeout;
        last_progress_ = now;
        last_ = deadline_after(now, std::min(timeout, Duration::max() / kMost) * kMost);
        state_ = state;
    }
    // Looks again. True: it is at its end.
    bool over(Instant now, std::uint64_t state) noexcept {
        if (state != state_) {
            state_ = state;
            last_progress_ = now;
        }
        return now >= end();
    }
    // When something came forward last, as of the last look.
    Instant last_progress() const noexcept { return last_progress_; }
    // When it will be at its end, as of the last look.
    Instant end() const noexcept { return std::min(deadline_after(last_progress_, timeout_), last_); }

private:
    Duration timeout_{};
    Instant last_progress_{};
    Instant last_{};
    std::uint64_t state_ = 0;
};

}  // namespace smarm
