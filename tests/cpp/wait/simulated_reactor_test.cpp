#include "smarm/wait/simulated_reactor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;

namespace {

// Runs main as the first actor of a simulation.
void run(Simulation& simulation, std::function<void()> main) {
    TestScheduler<ThreadDriver>(1, [&simulation](SchedulerOptions& options) {
        options.simulation = &simulation;
        options.spin_limit = Duration::zero();
        options.monitor.time_slice = Duration::zero();
        options.make_driver = [&simulation]() -> std::unique_ptr<Driver> {
            auto reactor = std::make_unique<SimulatedReactor>(simulation);
            REQUIRE(reactor->start() == 0);
            return reactor;
        };
    }).run(std::move(main));
}

// The order in which three actors' numbers arrive at a fourth.
std::vector<std::uint64_t> order_of(std::uint64_t seed) {
    Simulation simulation(seed, false);
    std::vector<std::uint64_t> order;
    run(simulation, [&order] {
        const Pid me = this_actor()->pid;
        for (std::uint64_t sender = 0; sender < 3; ++sender) {
            spawn_here([me, sender] {
                for (std::uint64_t number = 0; number < 3; ++number) send_number(me, sender * 10 + number);
            });
        }
        order.resize(9);
        for (std::uint64_t& number : order) REQUIRE(receive_number(number));
    });
    return order;
}

}  // namespace

TEST_CASE("a seed gives one order, and another seed another") {
    std::vector<std::vector<std::uint64_t>> orders;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        orders.push_back(order_of(seed));
        CHECK(order_of(seed) == orders.back());
    }
    std::ranges::sort(orders);
    CHECK(std::ranges::unique(orders).begin() - orders.begin() > 15);
}

TEST_CASE("what one actor sends to another arrives in the order of sending") {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        std::uint64_t next[3] = {0, 10, 20};
        for (const std::uint64_t number : order_of(seed)) CHECK(number == next[number / 10]++);
    }
}

TEST_CASE("time jumps to the next timer") {
    Simulation simulation(1, false);
    run(simulation, [] {
        const Instant began = this_worker()->driver().now();
        CHECK(sleep_for(std::chrono::hours(1)) == Wake::timed_out);
        const Duration took = this_worker()->driver().now() - began;
        CHECK(took >= std::chrono::hours(1));
        CHECK(took < std::chrono::hours(1) + std::chrono::seconds(1));
    });
}

TEST_CASE("a deadlock is told once nothing can run and no timer is armed") {
    Simulation simulation(1, false);
    int told = 0;
    Scheduler* stopped = nullptr;
    simulation.on_deadlock = [&] {
        ++told;
        stopped->stop();
    };
    run(simulation, [&stopped] {
        stopped = &scheduler();
        sleep_for(std::chrono::minutes(1));
        CHECK(park() == Wake::exit_requested);
    });
    CHECK(told == 1);
}

TEST_CASE("the trace has a line for each turn") {
    Simulation simulation(1, true);
    simulation.place_of = [](const Actor&) { return std::string("here"); };
    run(simulation, [] { sleep_for(std::chrono::minutes(1)); });
    REQUIRE(simulation.trace().size() == 2);
    CHECK(simulation.trace()[0].state == ActorState::parked);
    CHECK(simulation.trace()[0].reason == WaitReason::sleep);
    CHECK(simulation.trace()[0].place == "here");
    CHECK(simulation.trace()[1].state == ActorState::dead);
    CHECK(simulation.trace()[1].began - simulation.trace()[0].began >= std::chrono::minutes(1));
}
