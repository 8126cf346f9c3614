// select.h: waiting for the first of several things.
//
// What:    select() asks its sources in a random order whether one has something; if none has, it has the actor
//          enrolled with all of them, parks once, withdraws from all and asks again. A source takes what it has in
//          poll(), so that exactly one thing is taken.
// Fair:    each call shuffles the order anew: of n sources that always have something each is served 1/n of the times.
// Wake-up: a hint, as everywhere. A source that woke this actor while another was served must see in withdraw() to it
//          that its wake-up is not lost: it wakes the next who waits.
// Owner:   borrows the sources; none is enrolled when select returns, however it ends. Reorders the span.
// Threads: the running actor. Parks. Allocates, throws: no; nor may a source, in enroll and withdraw.
// See:     tests/cpp/wait/select_test.cpp, docs/explanation/internals/select.md. Sources: wait/select_sources.h
#pragma once

#include <span>

#include "smarm/wait/wait_queue.h"

namespace smarm {

class SelectSource {
public:
    // Takes what there is, or learns that nothing will come. True: this source is the one. May park and run any code.
    virtual bool poll() = 0;
    // Gets the actor woken as soon as poll() is worth it. False: it is now, and nothing is left enrolled.
    virtual bool enroll(Actor& actor) noexcept = 0;
    // Ends that; called once after every enroll() that returned true.
    virtual void withdraw() noexcept = 0;
    // When poll() is worth it without a wake-up.
    virtual Instant due() const noexcept { return kNever; }
    // Whether a message in the actor's mailbox is to wake it.
    virtual bool is_mailbox() const noexcept { return false; }

protected:
    ~SelectSource() = default;
};

struct Selected {
    Status status;         // ok, timed_out or exit_requested
    SelectSource* source;  // whose poll() was true; nullptr unless ok
};

// Waits until one of the sources has something.
Selected select(std::span<SelectSource*> sources, Instant deadline);

}  // namespace smarm
