// stdlib/event_loop.h: an epoll wait of an event loop that gives what is requested of its actor to its main task
// itself.
//
// What:    an exception that comes out of trio's wait for events is an error of trio (TrioInternalError): its tasks are
//          never told. So trio gets the exception on the way of a KeyboardInterrupt, raises it in its main task, and
//          waits on. asyncio.run closes itself orderly around its own wait, where it is raised as everywhere; a loop of
//          the program's own is given it to cancel what it runs.
// Again:   a kill is given again when it is due again (kill_patience); it does not end the wait meanwhile. Neither does
//          it end the waits of an asyncio loop that is closed because of it, unless somebody asks again without
//          patience.
// Threads: the actor's worker, attached.
// See:     pylib/smarm/_trio.py, pylib/smarm/_own_loop.py
#pragma once

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
    bool give(const char* giver);
    bool cleans_up_after_kill() noexcept;
    void hold(Instant until) noexcept;

    Actor& actor_;
    std::optional<Shield> shield_;
    std::optional<PatientShield> clean_up_;
    Instant again_at_ = kNever;
};

}  // namespace smarm::stdlib
