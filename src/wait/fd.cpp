// Parking until an fd is ready.
#include "smarm/wait/fd.h"

#include <algorithm>
#include <memory>
#include <new>

#include "smarm/sched/scheduler.h"
#include "wait/fd_openings.h"

namespace smarm {
namespace {

using fd_openings::join_opening;
using fd_openings::record_of;

struct ParkedWait final : FdWait {
    ParkedWait() noexcept : FdWait(fire) {}
    static void fire(FdWait& wait, Ready ready) {
        auto& parked = static_cast<ParkedWait&>(wait);
        parked.fired = true;
        parked.closed = ready == Ready::closed;
        parked.actor->worker->wake(*parked.actor);
    }
    Actor* actor = this_actor();
    bool fired = false;
    bool closed = false;
};

Reactor& reactor_of(Worker& worker) noexcept { return static_cast<Reactor&>(worker.driver()); }

// Parks until the wait, whose opening is set, has fired. `fd` is an int or an OwnedFd.
template <class Fd>
FdEnd park_for(ParkedWait& wait, Fd& fd, Interest interest, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    if (const int error = reactor_of(worker).add(wait, fd, interest)) return {FdStatus::failed, error};
    Parked parked;
    while (!wait.fired && parked.woken()) parked = worker.park(WaitReason::fd, deadline);
    reactor_of(worker).remove(wait);
    if (parked.requested) return {FdStatus::exit_requested};
    if (wait.fired) return {wait.closed ? FdStatus::closed : FdStatus::ready};
    return {FdStatus::timed_out};
}

bool has_passed(Instant deadline) noexcept { return deadline != kNever && this_worker()->driver().now() >= deadline; }

}  // namespace

FdOpening::FdOpening(int fd, const void* through) noexcept
    : fd_(fd),
      record_(record_of(fd)),
      number_(record_ ? fd_openings::opening_in(fd_openings::settled(*record_)) : 0),
      through_(through) {}

FdEnd FdOpening::wait(Interest interest, Instant deadline) noexcept {
    if (has_passed(deadline)) return {FdStatus::timed_out};
    if (!record_) return {FdStatus::failed, fd_ < 0 ? EBADF : ENOMEM};
    ParkedWait wait;
    wait.through = through_;
    wait.opening = join_opening(*record_, *this_worker());
    if (wait.opening != number_) return {FdStatus::closed};
    const FdEnd end = park_for(wait, fd_, interest, deadline);
    // The number may have got another file after the wait was over and before this actor ran.
    if (end.status == FdStatus::ready && fd_openings::opening_in(fd_openings::settled(*record_)) != number_)
        return {FdStatus::closed};
    return end;
}

FdEnd wait_fd(int fd, Interest interest, Instant deadline) noexcept {
    if (fd < 0) return {FdStatus::failed, EBADF};  // poll(2) would pass it over
    FdOpening opening(fd);
    pollfd look{fd, static_cast<short>(interest == Interest::read ? POLLIN : POLLOUT), 0};
    if (poll(&look, 1, 0) > 0) {
        if (look.revents & POLLNVAL) return {FdStatus::failed, EBADF};
        return {FdStatus::ready};
    }
    return opening.wait(interest, deadline);
}

FdEnd wait_fd(OwnedFd& fd, Interest interest, Instant deadline) noexcept {
    if (has_passed(deadline)) return {FdStatus::timed_out};
    FdRecord* record = record_of(fd.fd());
    if (!record) return {FdStatus::failed, ENOMEM};
    ParkedWait wait;
    wait.opening = join_opening(*record, *this_worker());
    return park_for(wait, fd, interest, deadline);
}

FdEnd wait_any_fd(pollfd* fds, std::size_t size, Instant deadline, int& count) noexcept {
    Worker& worker = *this_worker();
    Reactor& reactor = reactor_of(worker);
    auto waits = std::unique_ptr<ParkedWait[]>();
    for (;;) {
        count = poll(fds, size, 0);
        if (count < 0 && errno != EINTR) return {FdStatus::failed, errno};
        if (count > 0) return {FdStatus::ready};
        if (has_passed(deadline)) return {FdStatus::timed_out};
        if (!waits) waits.reset(new (std::nothrow) ParkedWait[2 * size + 1]);
        if (!waits) return {FdStatus::failed, ENOMEM};
        Instant until = deadline;
        FdEnd end;
        std::size_t used = 0;
        for (std::size_t i = 0; i < size && end.status == FdStatus::ready; ++i) {
            if (fds[i].fd < 0) continue;
            FdRecord* record = record_of(fds[i].fd);
            if (!record) end = {FdStatus::failed, ENOMEM};
            if ((fds[i].events & (POLLIN | POLLOUT)) == 0)
                until = std::min(deadline, worker.driver().now() + std::chrono::milliseconds(50));
            for (const Interest interest : {Interest::read, Interest::write}) {
                if (!record || !(fds[i].events & (interest == Interest::read ? POLLIN : POLLOUT))) continue;
                ParkedWait& wait = waits[used++];
                wait.fired = wait.closed = false;
                wait.opening = join_opening(*record, worker);
                const int error = reactor.add(wait, fds[i].fd, interest);
                if (error == EBADF) until = worker.driver().now();  // closed meanwhile: poll() says so (POLLNVAL)
                else if (error) end = {FdStatus::failed, error};
            }
        }
        Parked parked;
        if (end.status == FdStatus::ready) parked = worker.park(WaitReason::fd, until);
        while (used > 0) reactor.remove(waits[--used]);
        if (parked.requested) return {FdStatus::exit_requested};
        if (end.status != FdStatus::ready) return end;
    }
}

// ---- one of several -------------------------------------------------------------------------------------------------

bool FdWatch::look(FdEnd& end) noexcept {
    end = end_;
    if (end.status != FdStatus::ready) return true;
    if (fd_ < 0) {
        end = {FdStatus::failed, EBADF};
        return true;
    }
    pollfd look{fd_, static_cast<short>(interest_ == Interest::read ? POLLIN : POLLOUT), 0};
    const int count = poll(&look, 1, 0);
    if (count < 0 && errno != EINTR) end = {FdStatus::failed, errno};
    else if (count > 0 && (look.revents & POLLNVAL)) end = {FdStatus::failed, EBADF};
    return count > 0 || end.status != FdStatus::ready;
}

bool FdWatch::watch(Actor& actor) noexcept {
    actor_ = &actor;
    FdRecord* record = record_of(fd_);
    if (!record) {
        end_ = {FdStatus::failed, ENOMEM};
        return false;
    }
    opening = join_opening(*record, *actor.worker);
    const int error = reactor_of(*actor.worker).add(*this, fd_, interest_);
    if (error) end_ = {FdStatus::failed, error};
    return error == 0;
}

void FdWatch::unwatch() noexcept { reactor_of(*actor_->worker).remove(*this); }

void FdWatch::fire(FdWait& wait, Ready ready) {
    auto& it = static_cast<FdWatch&>(wait);
    if (ready == Ready::closed) it.end_ = {FdStatus::closed};
    it.actor_->worker->wake(*it.actor_);
}

}  // namespace smarm
