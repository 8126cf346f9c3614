// reactor.h: the epoll driver of one worker: time, idle sleep, wake-ups from other threads, readiness of fds.
//
// What:    implements Driver (sched/driver.h) on clock_gettime, epoll_pwait2 (epoll_wait where the kernel lacks it)
//          and one eventfd. An FdWait registers interest in one fd for one event; when the fd is ready, hung up or in
//          error, its fire function is called and the registration is over (one-shot).
// States:  an FdWait is idle -add-> registered -ready, forget or remove-> idle. It is idle already when fire is called.
// Fds:     several waits on one fd, for reading and for writing, share one epoll registration; all that match an event
//          fire, in the order of add(). The reactor never owns an fd. forget(fd) must be called before an fd is closed:
//          it fires all its waits with Ready::closed. An event that was under way for a wait which has ended never
//          fires a newer one of another registration, even of the same fd number. A file that leaves its number
//          otherwise (closed by C code, dup2) is found out: when the next wait for the number comes, before an event of
//          it fires, and within a second in any case; its waits get Ready::closed.
// Owned:   whoever decides when an fd is closed keeps an OwnedFd; its waits share one edge-triggered registration that
//          outlives them, so that a wait costs no system call, and it is told whether reading is worth a try.
// Ready:   means "try now": another reader of the same fd may have been faster, so be prepared for EAGAIN.
// Errors:  start() reports errno of epoll_create1/eventfd/epoll_ctl; add() returns errno (EBADF, EPERM for a regular
//          file, ENOMEM, ENOSPC; ESTALE: another file has got the number since this wait was first added).
// Owner:   the reactor borrows registered waits; a wait must be idle when it dies, and all when the reactor dies
//          (asserted).
// Threads: wake() from any thread and from signal handlers, is_watching() from any thread, everything else from the
//          owning worker. fire may add, remove and forget anything; it must not call poll() or wait() (asserted).
// Blocks:  wait() only; it returns early when a signal arrives. Allocates: add() for a new highest fd. Throws: the
//          constructor (bad_alloc).
// See:     tests/cpp/wait/reactor_test.cpp, reactor_endings_test.cpp
#pragma once

#include <cstdint>
#include <memory>

#include <sys/epoll.h>

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
    // Which opening of the fd number it is for; see wait/fd.h. Set before add().
    std::uint32_t opening = 0;
    // Which of the number's files it is for, as the first add() has found it; 0: not added yet. A call that waits again
    // with another FdWait hands it on.
    std::uint32_t file = 0;
    // The object through which the fd is used, if that matters to end_waits(). Set before add().
    const void* through = nullptr;

private:
    friend class Reactor;
    List<FdWait>* home_ = nullptr;  // the list it is in: of its fd, or of those about to fire
    Fire fire_;
    int fd_ = -1;
};

// What the kernel has said about one fd since its last registration.
struct FdReadiness {
    std::uint32_t number = 0;   // of that registration
    std::uint32_t watched = 0;  // events that it reports
    std::uint32_t seen = 0;     // events reported and not used up
};

// An fd as its owner sees it: remembers the lasting registration. Does not close the fd.
class OwnedFd {
public:
    explicit OwnedFd(int fd = -1) noexcept : fd_(fd) {}
    int fd() const noexcept { return fd_; }
    // Gives the number to the caller: waits end, see Reactor::forget.
    int release() noexcept {
        const int fd = fd_;
        *this = OwnedFd();
        return fd;
    }

private:
    friend class Reactor;
    int fd_;
    std::uint32_t number_ = 0;
    std::uint64_t reactor_ = 0;         // id of the one that has the registration; 0: none
    FdReadiness* readiness_ = nullptr;  // in that reactor
};

class Reactor : public Driver {
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
    // As above; the system must have refused the owner's last try since this worker last polled (EAGAIN, or is_dry).
    int add(FdWait& wait, OwnedFd& owned, Interest interest) noexcept;
    // Whether reading cannot succeed: the last try found the end of what was there, and no event came since.
    bool is_dry(const OwnedFd& owned) const noexcept {
        return owned.reactor_ == id_ && owned.readiness_->number == owned.number_ &&
               (owned.readiness_->watched & EPOLLIN) && !(owned.readiness_->seen & kReadEvents);
    }
    // The owner has read all there was: the system said EAGAIN, or gave a stream's reader less than it asked for. Not
    // after the end of the stream or an error: those stay worth a try.
    void note_dry(OwnedFd& owned) noexcept {
        if (owned.reactor_ == id_ && owned.readiness_->number == owned.number_)
            owned.readiness_->seen &= ~std::uint32_t{EPOLLIN};
    }
    // Whether the fd is the file's still that the wait was last added for; true if it never was.
    bool has_same_file(const FdWait& wait, int fd) const noexcept;
    // Ends the registration without firing; does nothing when the wait is idle.
    void remove(FdWait& wait) noexcept;
    // Fires every wait on `fd` with Ready::closed and drops the epoll registration. Does nothing for an unknown fd.
    void forget(int fd) noexcept;
    // Fires with Ready::closed every wait on `fd` that is for an opening before `opening`: it was closed elsewhere.
    void abandon(int fd, std::uint32_t opening) noexcept;
    // Fires with Ready::closed every wait on `fd` through that object, which has the fd no longer.
    void end_waits(int fd, const void* through) noexcept;

private:
    static constexpr std::uint32_t kReadEvents = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    struct Impl;
    const std::uint64_t id_;  // never that of another reactor
    std::unique_ptr<Impl> impl_;
};

}  // namespace smarm
