#include "smarm/sched/simulation.h"

#include "smarm/sched/worker.h"

namespace smarm {
namespace {

// Preemption points between two preemptions, one of these per seed: races hide at different distances.
constexpr std::uint64_t kMeanGaps[] = {2, 5, 15, 50, 200, 1000};
constexpr std::uint64_t kLongestDelayBits = 13;  // 2^13 us: longer than a few hundred turns take

}  // namespace

// A message or signal under way.
struct Simulation::Delayed final : TimerNode {
    Delayed(Simulation& its_simulation, Worker& its_home, Post& its_post,
            std::pair<std::uint64_t, std::uint64_t> its_way) noexcept
        : TimerNode(arrive), simulation(its_simulation), home(its_home), post(its_post), way(its_way) {}
    static void arrive(TimerNode& node) {
        const std::unique_ptr<Delayed> it(static_cast<Delayed*>(&node));
        auto found = it->simulation.ways_.find(it->way);
        if (--found->second.under_way == 0) it->simulation.ways_.erase(found);
        it->home.post(it->post);
    }
    Simulation& simulation;
    Worker& home;
    Post& post;
    const std::pair<std::uint64_t, std::uint64_t> way;
};

Simulation::Simulation(std::uint64_t seed, bool keeps_trace, std::uint64_t max_steps,
                       std::uint64_t interrupt_point) noexcept
    : state_(seed), max_steps_(max_steps), interrupt_point_(interrupt_point), keeps_trace_(keeps_trace) {
    mean_gap_ = kMeanGaps[random_below(std::size(kMeanGaps))];
    points_left_ = next_gap();
}

// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014): every seed is good,
// 0 too.
std::uint64_t Simulation::random() noexcept {
    std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return mixed ^ (mixed >> 31);
}

void Simulation::wait_until(Instant until) noexcept {
    if (until != kNever) now_ = std::max(now_, until);
    else if (on_deadlock) on_deadlock();
}

std::size_t Simulation::choose(std::size_t count) noexcept {
    turn_began_ = tick();
    exceeds_limit();
    return count == 1 ? 0 : static_cast<std::size_t>(random_below(count));
}

// Half of them none; the others of all orders of magnitude.
Duration Simulation::next_delay() noexcept {
    if (random_below(2) == 0) return Duration::zero();
    return std::chrono::microseconds(random_below(std::uint64_t{1} << random_below(kLongestDelayBits + 1)));
}

// Each preemption point takes a microsecond. Of all orders of magnitude, as delays are.
Instant Simulation::interrupt_at() noexcept {
    const std::uint64_t points = interrupt_point_ != kSeeded
                                     ? interrupt_point_
                                     : random_below(std::uint64_t{1} << random_below(kLongestDelayBits + 1));
    return now_ + std::chrono::microseconds(points);
}

void Simulation::send(Worker& home, Pid from, Pid to, Post& post) noexcept {
    const Duration delay = from == to || home.closing() ? Duration::zero() : next_delay();
    const auto pair = std::make_pair(from.bits(), to.bits());
    auto found = ways_.find(pair);
    if (delay == Duration::zero() && found == ways_.end()) {
        home.post(post);
        return;
    }
    Way& way = found != ways_.end() ? found->second : ways_[pair];
    way.last = std::max(way.last, now_ + delay);
    ++way.under_way;
    // The timer queue fires nodes of one tick in the order of arming, and last never goes back: first sent, first
    // there.
    home.arm_timer(*new Delayed(*this, home, post, pair), way.last);
}

void Simulation::note_turn(const Actor& actor) noexcept {
    if (!keeps_trace_) return;
    const ActorState state = actor.state.load(memory_order_relaxed);
    trace_.push_back({turn_began_, actor.pid, actor.name ? *actor.name : std::string(), state,
                      actor.wait_reason.load(memory_order_relaxed),
                      place_of && state != ActorState::dead ? place_of(actor) : std::string()});
}

}  // namespace smarm
