#include "smarm/wait/wait_queue.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

// Parks the running actor in the queue until `condition`, as a user of WaitQueue must.
template <class Condition>
void wait_in(WaitQueue& queue, Gate& gate, Condition condition) {
    gate.lock();
    while (!condition()) {
        Waiter waiter(*this_actor());
        queue.push(waiter);
        gate.unlock();
        this_worker()->park(WaitReason::lock);
        gate.lock();
        queue.leave(waiter);
    }
    gate.unlock();
}

}  // namespace

TEST_CASE("waiters wake one by one, first come first served, or all at once") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        WaitQueue queue;
        Gate gate;
        std::vector<int> woken;
        int tickets = 0;
        for (int i = 0; i < 6; ++i) {
            spawn_here([&, i] {
                wait_in(queue, gate, [&] { return tickets > 0; });
                --tickets;
                woken.push_back(i);
            });
        }
        pass_turn();
        CHECK(queue.size() == 6);
        tickets = 1;
        queue.wake_one();
        pass_turn();
        CHECK(woken == std::vector<int>{0});
        tickets = 5;
        queue.wake_all();
        CHECK(queue.empty());
        pass_turn();
        CHECK(woken == std::vector<int>{0, 1, 2, 3, 4, 5});
        queue.wake_one();  // nobody waits: nothing happens
        queue.wake_all();
    });
}

TEST_CASE("a waiter that leaves knows whether it had been woken") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        WaitQueue queue;
        bool left_woken = true;
        spawn_here([&] {
            Waiter waiter(*this_actor());
            queue.push(waiter);
            sleep_for(1ms);
            left_woken = queue.leave(waiter);
            queue.push(waiter);
            this_worker()->park(WaitReason::lock);
            CHECK(queue.leave(waiter));
        });
        sleep_for(2ms);
        CHECK(!left_woken);
        queue.wake_one();
        pass_turn();
    });
}

TEST_CASE("a shared gate and queue work between workers without losing a wake-up") {
    constexpr int kActors = 8;
    constexpr int kRounds = 300;
    TestScheduler<> four(4);
    int counter = 0;
    four.run([&] {
        WaitQueue queue;
        Gate gate;
        gate.share();
        bool taken = false;
        atomic<int> left{kActors};
        for (unsigned i = 0; i < kActors; ++i) {
            spawn_on(i % 4, [&, i] {
                for (int round = 0; round < kRounds; ++round) {
                    // A mutex made of the parts; the counter is guarded by it alone.
                    gate.lock();
                    while (taken) {
                        Waiter waiter(*this_actor());
                        queue.push(waiter);
                        gate.unlock();
                        this_worker()->park(WaitReason::lock);
                        gate.lock();
                        queue.leave(waiter);
                    }
                    taken = true;
                    gate.unlock();
                    ++counter;
                    if ((round + static_cast<int>(i)) % 5 == 0) pass_turn();
                    gate.lock();
                    taken = false;
                    queue.wake_one();
                    gate.unlock();
                }
                left.fetch_sub(1);
            });
        }
        wait_until([&] { return left.load() == 0; });
    });
    CHECK(counter == kActors * kRounds);
}
