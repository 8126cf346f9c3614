#include "sim/threads.h"

#include <cstdlib>
#include <memory>
#include <vector>

#include "smarm/fiber/context.h"
#include "smarm/sched/worker.h"

namespace smarm::sim {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;
constexpr unsigned kPatience[] = {2, 4, 16, 64};  // points between two switches, on average: another for each seed

struct Fiber {
    std::function<void()> body;
    Context context;
    std::byte* memory = nullptr;
    Worker* worker = nullptr;                          // this fiber's this_worker()
    const std::function<bool()>* condition = nullptr;  // what it waits for, or nullptr
    Time until = Time::max();
    bool ended = false;
};

std::vector<std::unique_ptr<Fiber>> fibers;
std::vector<std::byte*> spare_stacks;
// Of runs that were given up: their frames refer to each other, and a leak checker should find what they hold.
auto& given_up = *new std::vector<std::unique_ptr<Fiber>>;
Fiber* running = nullptr;  // nullptr outside of explore()
Context explorer;
std::uint64_t random_state = 0;
unsigned patience = 2;
Time virtual_now;
bool deadlocked = false;

// SplitMix64, see src/sched/simulation.cpp.
std::uint64_t random() noexcept {
    std::uint64_t mixed = random_state += 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    return mixed ^ (mixed >> 31);
}

// Whether it can go on. A condition may look at atomics, which are points: nobody is switched to meanwhile.
bool can_run(const Fiber& fiber) noexcept {
    if (fiber.ended) return false;
    if (!fiber.condition || fiber.until <= virtual_now) return true;
    Fiber* const asking = std::exchange(running, nullptr);
    const bool holds = (*fiber.condition)();
    running = asking;
    return holds;
}

Fiber* choose() noexcept {
    for (;;) {
        Fiber* able[64];
        std::size_t count = 0;
        Time next = Time::max();
        for (const auto& fiber : fibers) {
            if (can_run(*fiber)) able[count++] = fiber.get();
            else if (!fiber->ended) next = std::min(next, fiber->until);
        }
        if (count != 0) return able[random() % count];
        if (next == Time::max()) return nullptr;
        virtual_now = next;
    }
}

// Goes on with some fiber that can, this one perhaps. An ended one never comes back.
void switch_away() noexcept {
    Fiber& from = *running;
    Fiber* next = choose();
    if (next == &from) return;
    from.worker = std::exchange(detail::this_worker, next ? next->worker : nullptr);
    if (!next) {
        for (const auto& fiber : fibers) deadlocked |= !fiber->ended;
    }
    running = next;
    Context& to = next ? next->context : explorer;
    if (from.ended) leave_context(from.context, to);
    switch_context(from.context, to);
}

void enter(void* argument) {
    auto& fiber = *static_cast<Fiber*>(argument);
    fiber.body();
    fiber.ended = true;
    switch_away();
}

std::size_t add(std::function<void()> body) {
    auto fiber = std::make_unique<Fiber>();
    fiber->body = std::move(body);
    if (spare_stacks.empty())
        spare_stacks.push_back(static_cast<std::byte*>(std::aligned_alloc(kPageBytes, kStackBytes)));
    fiber->memory = spare_stacks.back();
    spare_stacks.pop_back();
    prepare(fiber->context, Stack(fiber->memory, kStackBytes), enter, fiber.get());
    fibers.push_back(std::move(fiber));
    return fibers.size();
}

}  // namespace

Outcome explore(std::uint64_t seed, std::function<void()> body) {
    random_state = seed;
    patience = kPatience[random() % std::size(kPatience)];
    virtual_now = Time(std::chrono::hours(1));
    deadlocked = false;
    add(std::move(body));
    running = fibers.front().get();
    switch_context(explorer, running->context);
    if (deadlocked) {
        for (auto& fiber : fibers) given_up.push_back(std::move(fiber));
    } else {
        for (const auto& fiber : fibers) spare_stacks.push_back(fiber->memory);
    }
    fibers.clear();
    return deadlocked ? Outcome::deadlocked : Outcome::finished;
}

void point() noexcept {
    if (running && random() % patience == 0) switch_away();
}

void wait_for(const std::function<bool()>& condition, Time until) noexcept {
    if (!running) return;
    Fiber& self = *running;
    self.condition = &condition;
    self.until = until;
    switch_away();
    self.condition = nullptr;
    self.until = Time::max();
}

bool chance(unsigned of) noexcept { return running && random() % of == 0; }

Time now() noexcept { return virtual_now; }

Thread::Thread(std::function<void()> body) : number_(add(std::move(body))) {}

void Thread::join() noexcept {
    const Fiber& other = *fibers[std::exchange(number_, 0) - 1];
    wait_for([&other] { return other.ended; });
}

}  // namespace smarm::sim
