// portal.h: how threads that are no workers reach the running runtime.
//
// What:    RuntimeVisit keeps the runtime and its workers from going away while such a thread uses the scheduler: send,
//          spawn, look-ups. OutsideJoin is how it learns that an actor has ended: by blocking, or by an eventfd.
// Visits:  possible from when main has been spawned (open_to_visitors) until every actor has ended (close_to_visitors,
//          which waits for the visits that are on). Runs are numbered, so that who knew one runtime does not meet the
//          next.
// OutsideJoin: waiting -> ended (the actor's worker said so) | orphaned (the runtime ended without it: it was given
// up).
// Threads: any. The closing thread must not hold a GIL that a visitor may need. Blocks: as said; a visit must be short.
// Throws:  no. See: tests/python/test_portal.py, docs/explanation/internals/portal.md
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "smarm/base/clock.h"
#include "smarm/base/intrusive_list.h"
#include "smarm/wait/join_state.h"

namespace smarm {

class Runtime;

class RuntimeVisit {
public:
    // run: the number of the one that is meant, 0: whichever is there.
    explicit RuntimeVisit(std::uint64_t run) noexcept;
    ~RuntimeVisit();
    RuntimeVisit(const RuntimeVisit&) = delete;
    RuntimeVisit& operator=(const RuntimeVisit&) = delete;

    // False: it is not there, or not any more.
    explicit operator bool() const noexcept { return runtime_ != nullptr; }
    Runtime* operator->() const noexcept { return runtime_; }
    // The number of the run that is visited.
    std::uint64_t run() const noexcept { return run_; }

private:
    Runtime* runtime_ = nullptr;
    std::uint64_t run_ = 0;
};

// By the runtime itself, on the thread of run().
void open_to_visitors(Runtime& runtime) noexcept;
void close_to_visitors() noexcept;

class OutsideJoin final : public JoinObserver, private ListNode<OutsideJoin> {
public:
    OutsideJoin();
    ~OutsideJoin() override;

    void actor_ended(OutcomeKind kind, Pid pid) noexcept override;
    // Whether waiting is over.
    bool done() noexcept;
    bool orphaned() noexcept;
    // Blocks the thread until it is. False: the deadline has passed.
    bool wait(Instant deadline) noexcept;
    // Has the eventfd written when it is, once; -1: not any more. False, and nothing is written: it is now.
    bool ring(int eventfd) noexcept;

private:
    friend class List<OutsideJoin>;
    friend void close_to_visitors() noexcept;
    enum class State : std::uint8_t { waiting, ended, orphaned };
    void end(State how) noexcept;
    std::mutex mutex_;  // guards what follows, and the writing of the eventfd
    std::condition_variable over_;
    State state_ = State::waiting;
    int eventfd_ = -1;
};

}  // namespace smarm
