// Parking until an fd is ready.
#include "smarm/wait/fd.h"

#include <algorithm>
#include <memory>
#include <new>

#include "smarm/sched/scheduler.h"
#include "wait/fd_openings.h"

namespace smarm {

// An event says that the file was the same; what poll(2) sees otherwise may be another one of the number.
struct ParkedFdWait final : FdWait {
    ParkedFdWait() noexcept : FdWait(fire) {}
    static void fire(FdWait& wait, Ready ready) {
        auto& parked = static_cast<ParkedFdWait&>(wait);
        parked.fired = true;
        parked.closed = ready == Ready::closed;
        parked.actor->worker->wake(*parked.actor);
    }
    Actor* actor = this_actor();
    bool fired = false;
    bool closed = false;
};

namespace {

using fd_openings::join_opening;
using fd_openings::record_of;

Reactor& reactor_of(Worker& worker) noexcept { return static_cast<Reactor&>(worker.driver()); }

// What add() has answered.
FdEnd end_of(int error) noexcept { return {error == ESTALE ? FdStatus::closed : FdStatus::failed, error}; }

// Parks until the wait, whose opening is set, has fired. `fd` is an int or an OwnedFd.
template <class Fd>
FdEnd park_for(ParkedFdWait& wait, Fd& fd, Interest interest, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    if (const int error = reactor_of(worker).add(wait, fd, interest)) return end_of(error);
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

bool FdOpening::has_ended() const noexcept {
    return record_ && fd_openings::opening_in(fd_openings::settled(*record_)) != number_;
}

FdEnd FdOpening::enter(FdWait& wait, Worker& worker) const noexcept {
    if (!record_) return {FdStatus::failed, fd_ < 0 ? EBADF : ENOMEM};
    wait.through = through_;
    wait.opening = join_opening(*record_, worker);
    return {wait.opening == number_ ? FdStatus::ready : FdStatus::closed};
}

FdEnd FdOpening::wait(Interest interest, Instant deadline) noexcept {
    if (has_passed(deadline)) return {FdStatus::timed_out};
    ParkedFdWait wait;
    if (const FdEnd end = enter(wait, *this_worker()); end.status != FdStatus::ready) return end;
    wait.file = file_;
    const FdEnd end = park_for(wait, fd_, interest, deadline);
    file_ = wait.file;
    // The number may have got another file after the wait was over and before this actor ran.
    if (end.status == FdStatus::ready && has_ended()) return {FdStatus::closed};
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
    ParkedFdWait wait;
    wait.opening = join_opening(*record, *this_worker());
    return park_for(wait, fd, interest, deadline);
}

// ---- any of several -------------------------------------------------------------------------------------------------

struct FdOpenings::Entry {
    FdOpening opening;
    ParkedFdWait reading;
    ParkedFdWait writing;
};

FdOpenings::FdOpenings(std::span<pollfd> fds) noexcept : fds_(fds), entries_(new (std::nothrow) Entry[fds.size()]) {
    for (std::size_t i = 0; entries_ && i < fds.size(); ++i) entries_[i].opening = FdOpening(fds[i].fd);
}

FdOpenings::~FdOpenings() = default;

// Asks poll(2). ready: it has something to say; timed_out: it has not.
FdEnd FdOpenings::look() noexcept {
    const int count = poll(fds_.data(), fds_.size(), 0);
    if (count < 0 && errno != EINTR) return {FdStatus::failed, errno};
    for (std::size_t i = 0; i < fds_.size(); ++i) {
        if (fds_[i].fd < 0) continue;  // poll(2) passes it over
        if ((fds_[i].revents & POLLNVAL) || entries_[i].opening.has_ended()) return {FdStatus::closed};
        for (const ParkedFdWait* wait : {&entries_[i].reading, &entries_[i].writing}) {
            if (fds_[i].revents && !wait->fired && !reactor_of(*this_worker()).has_same_file(*wait, fds_[i].fd))
                return {FdStatus::closed};
        }
    }
    return {count > 0 ? FdStatus::ready : FdStatus::timed_out};
}

// Registers the waits. Other than ready: there is nothing to wait for.
FdEnd FdOpenings::enroll(Worker& worker, Instant& until) noexcept {
    for (std::size_t i = 0; i < fds_.size(); ++i) {
        const pollfd& it = fds_[i];
        if (it.fd < 0) continue;
        if ((it.events & (POLLIN | POLLOUT)) == 0)
            until = std::min(until, worker.driver().now() + std::chrono::milliseconds(50));
        for (const Interest interest : {Interest::read, Interest::write}) {
            if (!(it.events & (interest == Interest::read ? POLLIN : POLLOUT))) continue;
            ParkedFdWait& wait = interest == Interest::read ? entries_[i].reading : entries_[i].writing;
            wait.fired = wait.closed = false;
            const FdEnd end = entries_[i].opening.enter(wait, worker);
            if (end.status != FdStatus::ready) return end;
            const int error = reactor_of(worker).add(wait, it.fd, interest);
            if (error == EBADF) return {FdStatus::closed};
            if (error) return end_of(error);
        }
    }
    return {};
}

FdEnd FdOpenings::wait(Instant deadline) noexcept {
    if (!entries_) return {FdStatus::failed, ENOMEM};
    Worker& worker = *this_worker();
    for (;;) {
        FdEnd end = look();
        if (end.status != FdStatus::timed_out) return end;
        if (has_passed(deadline)) return end;
        Instant until = deadline;
        end = enroll(worker, until);
        Parked parked;
        if (end.status == FdStatus::ready) parked = worker.park(WaitReason::fd, until);
        for (std::size_t i = 0; i < fds_.size(); ++i) {
            for (ParkedFdWait* wait : {&entries_[i].reading, &entries_[i].writing}) {
                reactor_of(worker).remove(*wait);
                if (wait->closed) end = {FdStatus::closed};
            }
        }
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
    if (opening_.has_ended()) {
        end = {FdStatus::closed};
        return true;
    }
    pollfd look{fd_, static_cast<short>(interest_ == Interest::read ? POLLIN : POLLOUT), 0};
    const int count = poll(&look, 1, 0);
    if (count < 0 && errno != EINTR) end = {FdStatus::failed, errno};
    else if (count > 0 && !reactor_of(*this_worker()).has_same_file(*this, fd_)) end = {FdStatus::closed};
    else if (count > 0 && (look.revents & POLLNVAL)) end = {FdStatus::failed, EBADF};
    return count > 0 || end.status != FdStatus::ready;
}

bool FdWatch::watch(Actor& actor) noexcept {
    actor_ = &actor;
    end_ = opening_.enter(*this, *actor.worker);
    if (end_.status != FdStatus::ready) return false;
    const int error = reactor_of(*actor.worker).add(*this, fd_, interest_);
    if (error) end_ = end_of(error);
    return error == 0;
}

void FdWatch::unwatch() noexcept { reactor_of(*actor_->worker).remove(*this); }

void FdWatch::fire(FdWait& wait, Ready ready) {
    auto& it = static_cast<FdWatch&>(wait);
    if (ready == Ready::closed) it.end_ = {FdStatus::closed};
    it.actor_->worker->wake(*it.actor_);
}

}  // namespace smarm
