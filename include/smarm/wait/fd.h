// fd.h: waiting for file descriptors, and closing them under those who wait.
//
// What:    wait_fd parks the running actor until the fd can be read or written, hangs up or fails (as poll(2) tells
//          it); FdOpenings until one of several can; try_until_taken repeats a non-blocking call until the system no
//          longer refuses it; read_fd, write_fd and send_file are made of it, so that they never enter the kernel
//          blocking; close_fd and replace_fd end the waits of all workers' actors with `closed`.
// Opening: every number has a count in a process-wide table that close_fd moves on: odd while it is being closed. A
//          wait belongs to one opening, so that a close which is still on its way to another worker never ends a wait
//          on the file that got the number next. Closing an fd in any other way ends its waits within a second: see
//          Reactor.
// Files:   regular files and block devices are always ready, and reading them may wait for the disk: that holds the
//          worker up.
// Deadline: kNever: none. In the past: tries once, then timed_out.
// Threads: what waits: the running actor of a worker whose driver is a Reactor. What closes: any.
// Errors:  in FdEnd; errno EBADF for what is no open fd. SIGPIPE must be ignored, as Python does.
// Allocates: the table's part for 1024 numbers, once (ENOMEM). Throws: no.
// See:     tests/cpp/wait/fd_test.cpp, docs/explanation/internals/reactor.md
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <poll.h>
#include <sys/types.h>

#include "smarm/base/clock.h"
#include "smarm/wait/reactor.h"

namespace smarm {

class Actor;
class Scheduler;
class Worker;

enum class FdStatus : std::uint8_t { ready, closed, timed_out, exit_requested, failed };

struct FdEnd {
    FdStatus status = FdStatus::ready;
    int error = 0;  // errno, when failed
};

// Parks until `fd` is ready; returns at once when it is already.
FdEnd wait_fd(int fd, Interest interest, Instant deadline) noexcept;
// As above for an owner whose last try was refused: see Reactor::add. Parks without asking the kernel first.
FdEnd wait_fd(OwnedFd& fd, Interest interest, Instant deadline) noexcept;

// One opening of an fd number, which a call that may try several times is for: a file that gets the number meanwhile is
// none of its business.
class FdOpening {
public:
    // through: see FdWait.
    explicit FdOpening(int fd = -1, const void* through = nullptr) noexcept;
    // Parks until the fd, which has just refused, is worth another try. closed: this opening has ended.
    FdEnd wait(Interest interest, Instant deadline) noexcept;
    // Whether it is over: the number is closed or another file's.
    bool has_ended() const noexcept;
    // Prepares a wait of the worker's running actor for it. Other than ready: nothing is to be waited for.
    FdEnd enter(FdWait& wait, Worker& worker) const noexcept;

private:
    int fd_;
    struct FdRecord* record_;  // nullptr: no memory, or no fd
    std::uint32_t number_;
    std::uint32_t file_ = 0;  // see FdWait
    const void* through_;
};

// Calls attempt() until it returns true (false: the system refused, EAGAIN) and parks in between. ready: it returned
// true.
template <class Attempt>
FdEnd try_until_taken(int fd, Interest interest, Instant deadline, Attempt attempt, const void* through = nullptr) {
    FdOpening opening(fd, through);
    while (!attempt()) {
        const FdEnd end = opening.wait(interest, deadline);
        if (end.status != FdStatus::ready) return end;
    }
    return {};
}

// Whether a call was refused because it would have to wait.
inline bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

// Several openings, as poll(2) takes them, for a call of one actor that may ask several times. `fds` is borrowed.
class FdOpenings {
public:
    explicit FdOpenings(std::span<pollfd> fds) noexcept;
    ~FdOpenings();
    // Parks until poll(2) has something to say, which it then has said in `fds`. POLLPRI alone is looked for 20 times a
    // second. closed: one of the openings has ended.
    FdEnd wait(Instant deadline) noexcept;

private:
    struct Entry;
    FdEnd look() noexcept;
    FdEnd enroll(Worker& worker, Instant& until) noexcept;
    const std::span<pollfd> fds_;
    const std::unique_ptr<Entry[]> entries_;  // nullptr: no memory
};

// One descriptor among several things that an actor waits for (wait/select.h).
class FdWatch final : public FdWait {
public:
    FdWatch(int fd, Interest interest) noexcept : FdWait(fire), fd_(fd), interest_(interest), opening_(fd) {}
    // Looks without waiting. True: `end` says ready, closed (this opening has ended) or failed.
    bool look(FdEnd& end) noexcept;
    // Has the actor woken when look() will be true. False: it is now.
    bool watch(Actor& actor) noexcept;
    void unwatch() noexcept;

private:
    static void fire(FdWait& wait, Ready ready);
    const int fd_;
    const Interest interest_;
    const FdOpening opening_;
    Actor* actor_ = nullptr;
    FdEnd end_;  // what look() is to say without asking the system; ready: ask it
};

// Reads at most `size` bytes, as soon as there are any. got: 0 at the end of the file.
FdEnd read_fd(int fd, void* data, std::size_t size, Instant deadline, std::size_t& got) noexcept;
// Writes all of it; `written` says how far it came.
FdEnd write_fd(int fd, const void* data, std::size_t size, Instant deadline, std::size_t& written) noexcept;
// As sendfile(2): copies `size` bytes of the file `from`, or what there is, from `offset` on (nullptr: its own
// position).
FdEnd send_file(int to, int from, off_t* offset, std::size_t size, std::size_t& sent) noexcept;
// Makes the file non-blocking, for everybody who shares it and for good, if it is not yet. There are calls without a
// flag for that (accept), and taking O_NONBLOCK back would race with others that need it. Returns 0 or errno.
int keep_nonblocking(int fd) noexcept;

// Ends all waits on `fd` with `closed`, then closes it. The actors of other workers are woken through their inboxes
// (scheduler: nullptr when no runtime runs). Returns 0 or errno: EBADF when
// it is closed already. Of two closers at once one waits for the other, in close(2).
int close_fd(int fd, Scheduler* scheduler) noexcept;
// As dup3(2): `from` gets the number `fd`, too; the waits for what had it end as in close_fd. Returns 0 or errno.
int replace_fd(int fd, int from, int flags, Scheduler* scheduler) noexcept;
// As close_fd, but only ends the waits: for an fd that others close right after. Does not wait for another closer.
void abandon_fd(int fd, Scheduler* scheduler) noexcept;
// abandon_fd for all of first..last that somebody has waited for.
void abandon_fds(int first, int last, Scheduler* scheduler) noexcept;

}  // namespace smarm
