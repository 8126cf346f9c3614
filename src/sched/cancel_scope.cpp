#include "smarm/sched/cancel_scope.h"

namespace smarm {
namespace {

std::uint64_t next_id() noexcept {
    static atomic<std::uint64_t> last{0};
    return last.fetch_add(1, memory_order_relaxed) + 1;
}

}  // namespace

const char CancelScope::kTag = 0;

void CancelScope::open(Instant deadline, Duration patience, const Block* block) noexcept {
    SMARM_ASSERT(!actor_, "a scope was opened twice");
    actor_ = this_actor();
    id_ = next_id();
    state_ = State::quiet;
    patience_ = patience;
    block_ = block;
    enter(actor_->held);
    if (deadline != kNever) actor_->worker->arm_timer(timer_, deadline);
}

void CancelScope::expire() noexcept {
    if (!actor_ || state_ != State::quiet) return;
    state_ = State::expired;
    actor_->worker->request_scope_end(*actor_, patience_);
}

void CancelScope::close() noexcept {
    if (!actor_) return;
    leave();
    owner_ended(*actor_);
}

void CancelScope::owner_ended(Actor& owner) noexcept {
    owner.worker->timers().cancel(timer_);
    actor_ = nullptr;
    if (state_ == State::expired && !any_expired(owner)) owner.requests.withdraw_scope();
}

CancelScope* CancelScope::outermost_expired(const Actor& actor) noexcept {
    CancelScope* outermost = nullptr;
    for (HeldResource* it = find(actor.held, &kTag); it; it = find(it->next(), &kTag)) {
        auto* scope = static_cast<CancelScope*>(it);
        if (scope->expired_on_stack(actor)) outermost = scope;
    }
    return outermost;
}

bool CancelScope::any_expired(const Actor& actor) noexcept {
    for (HeldResource* it = find(actor.held, &kTag); it; it = find(it->next(), &kTag)) {
        if (static_cast<CancelScope*>(it)->state_ == State::expired) return true;
    }
    return false;
}

std::uint64_t CancelScope::take_expired(Actor& actor) noexcept {
    CancelScope* scope = outermost_expired(actor);
    if (!scope) return 0;
    scope->state_ = State::taken;
    // What it encloses is being left already. What was opened later than a generator's block may also be around it.
    for (HeldResource* it = find(actor.held, &kTag); it != scope; it = find(it->next(), &kTag)) {
        auto* later = static_cast<CancelScope*>(it);
        const bool is_inside = !scope->block_ || scope->block_->is_same(later->block_);
        if (is_inside && later->expired_on_stack(actor)) later->state_ = State::taken;
    }
    if (!any_expired(actor)) actor.requests.withdraw_scope();
    return scope->id_;
}

bool CancelScope::expire_again(Actor& actor, std::uint64_t id) noexcept {
    for (HeldResource* it = find(actor.held, &kTag); it; it = find(it->next(), &kTag)) {
        auto* scope = static_cast<CancelScope*>(it);
        if (scope->id_ != id || scope->state_ != State::taken) continue;
        scope->state_ = State::expired;
        actor.worker->request_scope_end(actor, Duration::zero());
        return true;
    }
    return false;
}

}  // namespace smarm
