// task_group.h: one actor's children, none of which outlives the block that it opened for them.
//
// States:  open (children are added) -> cancelled (first failure, or the owner says so: no more children) -> left, when
//          no child is alive any more. Or open -> left.
// Failure: the first child that fails, or is ended by somebody else than the group, cuts the owner's block short (its
//          CancelScope expires) and wakes an owner that waits already, so that it cancels the others.
// Owner:   shared by its owner and by the JoinStates of children that are alive.
// Threads: actor_ended: any worker; everything else: the owner's. Throws: no. Blocks: wait_for_change (parks).
// See:     tests/cpp/wait/task_group_test.cpp, docs/reference/tasks.md
#pragma once

#include <cstddef>

#include "smarm/base/sync.h"
#include "smarm/sched/cancel_scope.h"
#include "smarm/wait/join_state.h"
#include "smarm/wait/wait_queue.h"

namespace smarm {

class TaskGroup final : public JoinObserver {
public:
    TaskGroup() noexcept : failure_post_(*this) {}

    // Makes the running actor the owner. `patience`, `block`: see CancelScope::open.
    void open(Duration patience, const CancelScope::Block* block = nullptr) noexcept;
    // Ends the block's being cut short; children stay.
    void close_scope() noexcept { scope_.close(); }
    std::uint64_t scope_id() const noexcept { return scope_.id(); }
    bool is_open() const noexcept { return scope_.is_open(); }

    // Takes a child that was just spawned. The group must not be cancelled.
    void add(Pid pid, JoinState& child) noexcept;
    // From now on the end of a child is no failure.
    void mark_cancelled() noexcept;
    bool cancelled() noexcept;
    std::size_t running() noexcept;
    // The child whose end was a failure, or the null Pid.
    Pid first_failure() noexcept;

    // Parks the owner until a child ends that is the last one or the first failure, or until somebody interrupts it.
    // Returns at once when no child runs, or one has failed and the group is not cancelled.
    void wait_for_change() noexcept;

private:
    // Brings the first failure to the owner's worker, once.
    struct FailurePost final : PostOf<FailurePost> {
        explicit FailurePost(TaskGroup& its_group) noexcept : group(its_group) {}
        void arrived(Worker& worker) noexcept;
        void lost(Scheduler& scheduler) noexcept;
        TaskGroup& group;
    };

    void actor_ended(OutcomeKind kind, Pid pid) noexcept override;

    Worker* home_ = nullptr;
    CancelScope scope_;  // of the owner's worker
    FailurePost failure_post_;
    SpinLock lock_;  // guards the rest
    std::size_t running_ = 0;
    bool cancelled_ = false;
    Pid first_failure_;
    WaitQueue owner_;
};

}  // namespace smarm
