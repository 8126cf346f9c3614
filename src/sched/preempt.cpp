#include "smarm/sched/preempt.h"

namespace smarm {

namespace detail {

constinit thread_local std::int32_t allocation_budget __attribute__((tls_model("initial-exec"))) = kAllocationBudget;

void budget_used_up() noexcept {
    Worker* worker = smarm::this_worker();
    Actor* actor = worker ? worker->current() : nullptr;
    if (!actor) {
        allocation_budget = kAllocationBudget;
        return;
    }
    worker->look_at_slice();
    if (!actor->allocations_preempt) return;
    actor->allocations_preempt = false;  // at_safe_point allocates, too
    // Here nobody can be unwound: what is requested waits for a park or check().
    worker->at_safe_point(true, Deliver::nothing);
    actor->allocations_preempt = true;
}

bool check_slice() noexcept {
    Worker* worker = smarm::this_worker();
    if (!worker || !worker->current()) {
        allocation_budget = kAllocationBudget;
        return false;
    }
    worker->look_at_slice();
    return worker->at_safe_point(true, Deliver::everything);
}

}  // namespace detail

AllocationsPreempt::AllocationsPreempt() noexcept : before_(std::exchange(this_actor()->allocations_preempt, true)) {}

AllocationsPreempt::~AllocationsPreempt() { this_actor()->allocations_preempt = before_; }

}  // namespace smarm
