#include "smarm/sched/rider.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

// Checks what a rider may rely on: the state that is current is the running actor's, the worker's own while it waits.
class StrictRider final : public Rider {
public:
    void switch_to(void* state) noexcept override {
        SMARM_ASSERT(!waiting, "a switch during a wait");
        current = state;
        ++switches;
    }
    void before_wait() noexcept override {
        SMARM_ASSERT(!waiting && !current, "a wait with an actor's state current");
        waiting = true;
        ++waits;
    }
    void after_wait() noexcept override {
        SMARM_ASSERT(waiting, "the end of a wait that never began");
        waiting = false;
    }
    void request_attention() noexcept override { ++requests; }

    void* current = nullptr;
    bool waiting = false;
    int switches = 0;
    int waits = 0;
    atomic<int> requests{0};
};

// An actor whose state is itself, and which checks that it rides.
class RidingActor final : public Actor {
public:
    RidingActor(StrictRider& rider, int& checks) : rider_(rider), checks_(checks) {}
    bool attach() noexcept override {
        rider_state = this;
        return rider_.current == nullptr;  // made on the worker's own context
    }
    void body() noexcept override {
        for (int i = 0; i < 20; ++i) {
            check();
            if (i % 2) pass_turn();
            else sleep_for(std::chrono::milliseconds(i));
        }
        check();
    }
    void detach() noexcept override {
        if (rider_.current == nullptr) ++checks_;
    }

private:
    void check() {
        if (rider_.current == this) ++checks_;
    }
    StrictRider& rider_;
    int& checks_;
};

}  // namespace

TEST_CASE("the running actor's state is current, the worker's own between actors and while it waits") {
    TestScheduler<VirtualDriver> alone;
    StrictRider rider;
    int checks = 0;
    constexpr int kActors = 10;
    alone->ensure_worker(0)->set_rider(&rider);
    alone.run([&] {
        for (int i = 0; i < kActors; ++i)
            spawn(scheduler(), std::make_unique<RidingActor>(rider, checks), Scheduler::Place::local);
        wait_until([] {
            sleep_for(1ms);
            return this_worker()->live_count() == 1;
        });
    });
    CHECK(checks == kActors * 22);
    CHECK(rider.current == nullptr);
    CHECK(!rider.waiting);
    CHECK(rider.waits > 0);
    alone->worker(0)->set_rider(nullptr);
}

TEST_CASE("an actor that is asked to exit while it runs is brought to a safe point by the rider") {
    TestScheduler<VirtualDriver> alone;
    StrictRider rider;
    alone->ensure_worker(0)->set_rider(&rider);
    alone.run([&] {
        request_exit(this_actor()->pid);
        // The request is a post to our own worker, which looks at it between two turns.
        CHECK(pass_turn() == Wake::exit_requested);
    });
    alone->worker(0)->set_rider(nullptr);
}
