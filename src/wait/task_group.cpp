#include "smarm/wait/task_group.h"

#include <mutex>

namespace smarm {

void TaskGroup::open(Duration patience, const CancelScope::Block* block) noexcept {
    home_ = this_worker();
    scope_.open(kNever, patience, block);
}

void TaskGroup::add(Pid pid, JoinState& child) noexcept {
    {
        std::lock_guard guard(lock_);
        ++running_;
    }
    child.observe(Ref<TaskGroup>::share(this), pid);
}

void TaskGroup::mark_cancelled() noexcept {
    std::lock_guard guard(lock_);
    cancelled_ = true;
}

bool TaskGroup::cancelled() noexcept {
    std::lock_guard guard(lock_);
    return cancelled_;
}

std::size_t TaskGroup::running() noexcept {
    std::lock_guard guard(lock_);
    return running_;
}

Pid TaskGroup::first_failure() noexcept {
    std::lock_guard guard(lock_);
    return first_failure_;
}

void TaskGroup::wait_for_change() noexcept {
    Worker& worker = *this_worker();
    Waiter waiter(*worker.current());
    {
        std::lock_guard guard(lock_);
        if (running_ == 0 || (first_failure_ && !cancelled_)) return;
        owner_.push(waiter);
    }
    worker.park(WaitReason::join);
    std::lock_guard guard(lock_);
    owner_.leave(waiter);
}

void TaskGroup::actor_ended(OutcomeKind kind, Pid pid) noexcept {
    bool failed = false;
    {
        std::lock_guard guard(lock_);
        --running_;
        failed = kind != OutcomeKind::returned && !cancelled_ && !first_failure_;
        if (failed) first_failure_ = pid;
        if (failed || running_ == 0) owner_.wake_all();
    }
    if (!failed) return;
    if (home_ == this_worker()) {
        scope_.expire();
        return;
    }
    add_reference();
    home_->post(failure_post_);
    home_->request_attention();
}

void TaskGroup::FailurePost::arrived(Worker&) noexcept {
    group.scope_.expire();
    group.drop_reference();
}

void TaskGroup::FailurePost::lost(Scheduler&) noexcept { group.drop_reference(); }  // the owner has ended

}  // namespace smarm
