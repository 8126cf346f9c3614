// Which worker starts an actor of the shared queue. What has started stays where it is, so they must spread evenly now.
#include <algorithm>
#include <mutex>

#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {
// How long an actor is left to a worker that has fewer: one that is awake or wakes, and one whose interpreter is being
// made, or loads the program.
constexpr Duration kPatience = std::chrono::milliseconds(50);
constexpr Duration kBootPatience = std::chrono::seconds(2);

constexpr std::uint64_t kCame = std::uint64_t{1} << 32;  // one more came: see Scheduler::unstarted_
}  // namespace

unsigned Scheduler::next_in_turn() noexcept {
    return static_cast<unsigned>(turns_.fetch_add(1, memory_order_relaxed) % workers());
}

void Scheduler::share(Actor& actor) noexcept {
    actor.shared_start = true;
    actor.parked_since.store(monotonic_now().time_since_epoch().count(), memory_order_relaxed);
    {
        std::lock_guard guard(shared_lock_);
        shared_.push(actor);
    }
    // Seq_cst: pairs with Worker::idle, which sets its sleeping flag before it reads this.
    unstarted_.fetch_add(kCame + 1, memory_order_seq_cst);
    find_runner();
}

// Sees to it that somebody takes what was just put into the shared queue: the sleeper that has the fewest, or a new
// worker.
void Scheduler::find_runner() noexcept {
    if (idle_.load(memory_order_seq_cst) > 0) {
        Worker* best = nullptr;
        for (unsigned i = 0; i < workers(); ++i) {
            Worker* candidate = worker(i);
            if (candidate && candidate->is_free() && (!best || candidate->taken_live() < best->taken_live()))
                best = candidate;
        }
        if (best) best->nudge();
        if (best && best->taken_live() == 0) return;
    }
    if (started_workers() == workers()) return;
    for (unsigned i = 1; i < workers(); ++i) {
        if (!worker(i)) {
            ensure_worker(i);
            return;
        }
    }
}

void Scheduler::nudge_all() noexcept {
    for (unsigned i = 0; i < workers(); ++i) {
        if (Worker* it = worker(i)) it->nudge();
    }
}

bool Scheduler::has_worker_computing_less_than(std::size_t actors) const noexcept {
    for (unsigned i = 0; i < workers(); ++i) {
        const Worker* other = worker(i);
        if (other && other->computing() < actors) return true;
    }
    return false;
}

// Those that have fewer would have to take so many to have as many: when no more wait, these are theirs.
Instant Scheduler::left_to_others_until(const Worker& taker) noexcept {
    const std::size_t own = taker.taken_live();
    std::size_t lacking = 0;
    Instant booted{};
    for (unsigned i = 0; i < workers() && !stopping(); ++i) {
        Worker* other = worker(i);
        if (!other || other->refusing() || other->taken_live() >= own) continue;
        lacking += own - other->taken_live();
        booted = std::max(booted, other->booted_at());
        other->nudge();
    }
    if (lacking == 0 || lacking < unstarted_count()) return Instant::min();
    std::lock_guard guard(shared_lock_);
    if (shared_.empty()) return Instant::min();
    const Instant spawned{Duration{shared_.front()->parked_since.load(memory_order_relaxed)}};
    return booted == kNever ? spawned + kBootPatience : std::max(spawned, booted) + kPatience;
}

bool Scheduler::take_unstarted(Worker& worker) noexcept {
    if (unstarted_count() == 0) return false;
    Actor* actor = nullptr;
    {
        std::lock_guard guard(shared_lock_);
        if (shared_.empty()) return false;
        actor = &shared_.pop();
    }
    unstarted_.fetch_sub(1, memory_order_seq_cst);
    MpscNode* early = table_.settle(*actor, static_cast<int>(worker.index()));
    worker.adopt(*actor);
    for_each_post(early, [&worker](Post& post) { post.arrive(worker); });
    return true;
}

}  // namespace smarm
