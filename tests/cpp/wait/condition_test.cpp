#include "smarm/wait/condition.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

TEST_CASE("a notification wakes the oldest waiter, and each holds the mutex again") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        Condition condition(mutex);
        std::vector<int> order;
        std::vector<Pid> pids;
        for (int i = 0; i < 3; ++i) {
            pids.push_back(spawn_here([&, i] {
                REQUIRE(mutex->acquire(kNever) == Status::ok);
                CHECK(condition.wait_notified(kNever) == Status::ok);
                CHECK(mutex->holder() == this_actor()->pid);
                order.push_back(i);
                mutex->release();
            }));
        }
        pass_turn();
        REQUIRE(mutex->acquire(kNever) == Status::ok);
        CHECK(condition.wait_notified(from_now(5ms)) == Status::timed_out);
        CHECK(mutex->holder() == this_actor()->pid);
        condition.notify(1);
        mutex->release();
        join(pids[0]);
        CHECK(order == std::vector<int>{0});
        condition.notify(SIZE_MAX);
        join(pids[2]);
        CHECK(order == std::vector<int>{0, 1, 2});
    });
}

TEST_CASE("a notified actor that is asked to exit has the notification and the mutex; the exit waits") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        Condition condition(mutex);
        const Pid first = spawn_here([&] {
            REQUIRE(mutex->acquire(kNever) == Status::ok);
            CHECK(condition.wait_notified(kNever) == Status::ok);
            CHECK(mutex->release());
            CHECK(park() == Wake::exit_requested);
        });
        pass_turn();
        condition.notify(1);
        request_exit(first);
        join(first);
        CHECK_FALSE(mutex->sealed_by());
    });
}

TEST_CASE("a waiter that is asked to exit holds the mutex while it is unwound, and takes no notification") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        Condition condition(mutex);
        const Pid first = spawn_here([&] {
            REQUIRE(mutex->acquire(kNever) == Status::ok);
            CHECK(condition.wait_notified(kNever) == Status::exit_requested);
            CHECK(mutex->release());
        });
        int notified = 0;
        const Pid second = spawn_here([&] {
            REQUIRE(mutex->acquire(kNever) == Status::ok);
            notified += condition.wait_notified(kNever) == Status::ok;
            mutex->release();
        });
        pass_turn();
        request_exit(first);
        join(first);
        condition.notify(1);
        join(second);
        CHECK(notified == 1);
        CHECK_FALSE(mutex->sealed_by());
    });
}

TEST_CASE("a waiter whose mutex is poisoned meanwhile comes back without it") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        Condition condition(mutex);
        const Pid waiter = spawn_here([&] {
            REQUIRE(mutex->acquire(kNever) == Status::ok);
            CHECK(condition.wait_notified(kNever) == Status::closed);
            CHECK_FALSE(mutex->release());
        });
        pass_turn();
        join(spawn_here([&] {
            REQUIRE(mutex->acquire(kNever) == Status::ok);
            condition.notify(1);
        }));
        join(waiter);
    });
}

TEST_CASE("a queue made of a mutex and a condition loses nothing between workers") {
    TestScheduler<> workers(3);
    workers.run([] {
        auto condition = make_shared_ref<Condition>(make_shared_ref<Mutex>());
        condition->share();
        CHECK(condition->mutex().shared());
        int queued = 0;
        atomic<int> taken{0};
        std::vector<Pid> pids;
        for (unsigned i = 0; i < 6; ++i) {
            pids.push_back(spawn_on(i % 3, [&, condition, makes = i % 2 == 0] {
                Mutex& mutex = condition->mutex();
                for (int round = 0; round < 300; ++round) {
                    REQUIRE(mutex.acquire(kNever) == Status::ok);
                    if (makes) {
                        ++queued;
                        condition->notify(1);
                    } else {
                        while (queued == 0) CHECK(condition->wait_notified(kNever) == Status::ok);
                        --queued;
                        ++taken;
                    }
                    mutex.release();
                }
            }));
        }
        for (Pid pid : pids) join(pid);
        CHECK(taken == 900);
    });
}
