#include "smarm/sched/interrupt_timer.h"

#include <algorithm>
#include <new>

#include "smarm/sched/scheduler.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {
constexpr Duration kNextTry = std::chrono::milliseconds(1);
constexpr Duration kParkedTry = std::chrono::milliseconds(50);  // behind a shield: it may compute when it is woken
}  // namespace

void InterruptTimer::watch(Worker& worker, Actor& actor) noexcept {
    const Instant due = actor.requests.due();
    if (due == kNever || actor.requests.watched() || worker.simulation()) return;
    auto* timer = new (std::nothrow) InterruptTimer(worker, actor.pid);
    if (!timer) return;
    actor.requests.set_watched(true);
    worker.arm_timer(*timer, due);
}

void InterruptTimer::fire(TimerNode& node) {
    auto& timer = static_cast<InterruptTimer&>(node);
    Worker& worker = timer.worker_;
    Actor* actor = worker.closing() ? nullptr : worker.scheduler().table().own(timer.pid_);
    const Instant due = actor && actor->requests.pending() ? actor->requests.due() : kNever;
    if (due == kNever) {
        if (actor) actor->requests.set_watched(false);
        delete &timer;
        return;
    }
    const bool parked = actor->state.load(memory_order_relaxed) == ActorState::parked;
    worker.arm_timer(timer, std::max(due, worker.driver().now() + (parked ? kParkedTry : kNextTry)));
}

}  // namespace smarm
