// stdlib/event_loop.h: a wait for descriptors; an event loop gives what is requested of its actor to its main task
// there.
//
// What:    an exception that comes out of a loop's wait for events leaves its tasks where they are. So trio gets it on
//          the way of a KeyboardInterrupt, raises it in its main task, and waits on; asyncio is told to cancel what
//          run_until_complete runs (which asyncio.run calls, too), waits on, and raises it when that has ended.
// Again:   a kill that was delivered waits for kill_patience, so that the tasks end: then trio gets it once more, and
//          asyncio's wait raises it. Who asks again without patience does not wait for that in asyncio.
// Threads: the actor's worker, attached.
// See:     pylib/smarm/_trio.py, pylib/smarm/_asyncio.py
#pragma once

#include <cstdint>
#include <optional>

#include "smarm/actor/shield.h"
#include "smarm/base/clock.h"

namespace smarm::stdlib {

class EventLoopWait {
public:
    explicit EventLoopWait(Actor& actor) noexcept : actor_(actor) {}
    // A cancellation point. False: an exception is set. True: there was nothing, or the loop has it and waits on.
    bool pass_point();
    // When to call pass_point again.
    Instant again_at() const noexcept { return again_at_; }

private:
    enum class Given : std::uint8_t { no, yes, later };
    Given give(const char* giver);
    bool give_to_trio();
    bool give_to_asyncio();
    void hold(Instant until) noexcept;
    void hold_patiently() noexcept;

    Actor& actor_;
    std::optional<Shield> shield_;
    std::optional<PatientShield> patient_shield_;
    Instant again_at_ = kNever;
};

}  // namespace smarm::stdlib
