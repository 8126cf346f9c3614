// reactor.h: the epoll driver of one worker: time, idle sleep, wake-ups from other threads, readiness of fds.
//
// What:    implements Driver (sched/driver.h) on clock_gettime, epoll_pwait2 (epoll_wait where the kernel lacks it)
//          and one eventfd. An FdWait registers interest in one fd for one event; when the fd is ready, hung up or in
//          error, its fire function is called and the registration is over (one-shot).
// States:  an FdWait is idle -add-> registered -ready, forget or remove-> idle. It is idle already when fire is called.
// Fds:     several waits on one fd, for reading and for writing, share one epoll registration; all that match an event
//          fire, in the order of add(). The reactor never owns an fd. forget(fd) must be called before an fd is closed:
//          it fires all its waits with Ready::closed. An event that was under way for a wait which has ended never
//          fires a newer one, even of the same fd number.
// Ready:   means "try now": another reader of the same fd may have been faster, so be prepared for EAGAIN.
// Errors:  start() reports errno of epoll_create1/eventfd/epoll_ctl; add() returns errno (EBADF, EPERM for a regular
//          file, ENOMEM, ENOSPC).
// Owner:   the reactor borrows registered waits; a wait must be idle when it dies, and all when the reactor dies
//          (asserted).
// Threads: wake() from any thread and from signal handlers, is_watching() from any thread, everything else from the
//          owning worker. fire may add, remove and forget anything; it must not call poll() or wait() (asserted).
// Blocks:  wait() only; it returns early when a signal arrives. Allocates: add() for a new highest fd. Throws: the
//          constructor (bad_alloc).
// See:     tests/cpp/wait/reactor_test.cpp
#pragma once

#include <cstdint>
#include <memory>

#include "smarm/base/intrusive_list.h"
#include "smarm/base/sync.h"
#include "smarm/sched/driver.h"

namespace smarm {

enum class Interest : std::uint8_t { read, write };
enum class Ready : std::uint8_t { ready, closed };

class FdWait : public ListNode<FdWait> {
public:
    using Fire = void (*)(FdWait& wait, Ready ready);
    explicit FdWait(Fire fire) noexcept : fire_(fire) {}
    bool registered() const noexcept { return in_list(); }

private:
    friend class Reactor;
    List<FdWait>* home_ = nullptr;  // the list it is in: of its fd, or of those about to fire
    Fire fire_;
    int fd_ = -1;
};

class Reactor final : public Driver {
public:
    Reactor();
    ~Reactor() override;

    // Opens the kernel objects. Returns 0 or errno; without it only now() works.
    int start() noexcept;

    Instant now() noexcept override;
    bool poll() noexcept override;
    void wait(Instant until) noexcept override;
    void wake() noexcept override;
    bool is_watching() const noexcept override;

    // Registers `wait` for one event on `fd`. Returns 0 or errno.
    int add(FdWait& wait, int fd, Interest interest) noexcept;
    // Ends the registration without firing; does nothing when the wait is idle.
    void remove(FdWait& wait) noexcept;
    // Fires every wait on `fd` with Ready::closed and drops the epoll registration. Does nothing for an unknown fd.
    void forget(int fd) noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace smarm
