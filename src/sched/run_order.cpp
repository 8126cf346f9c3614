#include "smarm/sched/run_order.h"

#include <utility>

#include "smarm/sched/driver.h"
#include "smarm/sched/scheduler.h"
#include "smarm/sched/simulation.h"

namespace smarm {
namespace {
// So many rounds of its computing actors a worker leaves new ones to a worker that has fewer: then that one may be
// stuck.
constexpr std::size_t kRoundsLeftToOthers = 4;
// So many new actors wait for their first turn: whoever spawned them lets them have it. What is woken meanwhile queues
// behind them.
constexpr std::uint64_t kCrowd = 256;
}  // namespace

bool RunOrder::push_new(Actor& actor) noexcept {
    ++new_;
    ready_.push(actor);
    return new_ - begun_ == kCrowd;
}

void RunOrder::push_preempted(Actor& actor) noexcept {
    if (preempted_.empty()) begin_before_preempted_ = new_;
    preempted_.push(actor);
}

// While there are actors that used up a slice, the woken ones together get one slice at a time. Without the count of
// first turns a loop that spawns would build up a crowd of new ones, behind which every woken actor waits.
Actor* RunOrder::next(Driver& driver, Duration slice, std::uint64_t turn) noexcept {
    if (preempted_.empty()) return ready_.empty() ? nullptr : &ready_.pop();
    const Instant now = driver.now();
    if (std::exchange(preempted_had_turn_, false)) ready_since_ = now;
    if (!ready_.empty() && (now - ready_since_ < slice || begun_ < begin_before_preempted_)) return &ready_.pop();
    preempted_had_turn_ = true;
    begin_before_preempted_ = new_;
    ++turns_since_take_;
    begin_slice(turn, now);
    return &preempted_.pop();
}

Actor* RunOrder::next_simulated(Simulation& simulation) noexcept {
    while (!preempted_.empty()) ready_.push(preempted_.pop());
    return ready_.empty() ? nullptr : &ready_.take(simulation.choose(ready_.size()));
}

bool RunOrder::wants_new_actor(const Scheduler& scheduler, bool look_around, bool simulated) noexcept {
    const std::size_t computing = preempted_.size();
    computing_.store(computing, memory_order_relaxed);
    if (simulated) return look_around || ready_.empty();
    if (!scheduler.has_unstarted()) return false;
    if (computing == 0) return look_around || ready_.empty();
    if (!look_around || turns_since_take_ < computing) return false;
    return turns_since_take_ >= kRoundsLeftToOthers * computing || !scheduler.has_worker_computing_less_than(computing);
}

}  // namespace smarm
