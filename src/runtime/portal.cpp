#include "smarm/runtime/portal.h"

#include <shared_mutex>

#include <unistd.h>

namespace smarm {
namespace {

std::shared_mutex door;  // held shared by visitors; guards the two below
Runtime* visited = nullptr;
std::uint64_t last_run = 0;

std::mutex waiting_mutex;
List<OutsideJoin>& waiting() {
    static List<OutsideJoin> list;
    return list;
}

}  // namespace

RuntimeVisit::RuntimeVisit(std::uint64_t run) noexcept {
    door.lock_shared();
    if (visited && (run == 0 || run == last_run)) {
        runtime_ = visited;
        run_ = last_run;
    } else {
        door.unlock_shared();
    }
}

RuntimeVisit::~RuntimeVisit() {
    if (runtime_) door.unlock_shared();
}

void open_to_visitors(Runtime& runtime) noexcept {
    std::lock_guard guard(door);
    visited = &runtime;
    ++last_run;
}

void close_to_visitors() noexcept {
    {
        std::lock_guard guard(door);
        visited = nullptr;
    }
    std::lock_guard guard(waiting_mutex);
    waiting().for_each([](OutsideJoin& join) { join.end(OutsideJoin::State::orphaned); });
}

OutsideJoin::OutsideJoin() {
    std::lock_guard guard(waiting_mutex);
    waiting().push_back(*this);
}

OutsideJoin::~OutsideJoin() {
    std::lock_guard guard(waiting_mutex);
    waiting().remove(*this);
}

void OutsideJoin::end(State how) noexcept {
    std::lock_guard guard(mutex_);
    if (state_ != State::waiting) return;
    state_ = how;
    over_.notify_all();
    const std::uint64_t one = 1;
    if (eventfd_ >= 0 && write(eventfd_, &one, sizeof one) < 0) {
        // Its counter is full: then it is readable already.
    }
    eventfd_ = -1;
}

void OutsideJoin::actor_ended(OutcomeKind, Pid) noexcept { end(State::ended); }

bool OutsideJoin::done() noexcept {
    std::lock_guard guard(mutex_);
    return state_ != State::waiting;
}

bool OutsideJoin::orphaned() noexcept {
    std::lock_guard guard(mutex_);
    return state_ == State::orphaned;
}

bool OutsideJoin::wait(Instant deadline) noexcept {
    std::unique_lock guard(mutex_);
    const auto over = [this] { return state_ != State::waiting; };
    if (deadline != kNever) return over_.wait_until(guard, deadline, over);
    over_.wait(guard, over);
    return true;
}

bool OutsideJoin::ring(int eventfd) noexcept {
    std::lock_guard guard(mutex_);
    if (state_ != State::waiting) return false;
    eventfd_ = eventfd;
    return true;
}

}  // namespace smarm
