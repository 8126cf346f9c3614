#include "smarm/wait/semaphore.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {
using Alone = TestScheduler<VirtualDriver>;
}  // namespace

TEST_CASE("permits run out, come back, and only their owner can give them back") {
    Alone alone;
    alone.run([] {
        auto semaphore = make_shared_ref<Semaphore>(2);
        CHECK_FALSE(semaphore->release());
        CHECK(semaphore->acquire(kNever) == Status::ok);
        CHECK(semaphore->acquire(kNever) == Status::ok);
        CHECK(semaphore->acquire(from_now(5ms)) == Status::timed_out);
        join(spawn_here([&] { CHECK_FALSE(semaphore->release()); }));
        CHECK(semaphore->release());
        CHECK(semaphore->available() == 1);
        CHECK(semaphore->release());
        CHECK_FALSE(semaphore->release());
        CHECK(semaphore->available() == 2);
    });
}

TEST_CASE("a permit that comes back belongs to the oldest waiter") {
    Alone alone;
    alone.run([] {
        auto semaphore = make_shared_ref<Semaphore>(1);
        REQUIRE(semaphore->acquire(kNever) == Status::ok);
        std::vector<int> order;
        std::vector<Pid> pids;
        for (int i = 0; i < 4; ++i) {
            pids.push_back(spawn_here([&, i] {
                CHECK(semaphore->acquire(kNever) == Status::ok);
                order.push_back(i);
                semaphore->release();
            }));
        }
        pass_turn();
        semaphore->release();
        CHECK(semaphore->available() == 0);
        for (Pid pid : pids) join(pid);
        CHECK(order == std::vector<int>{0, 1, 2, 3});
        CHECK(semaphore->available() == 1);
    });
}

TEST_CASE("the end of an actor gives back all that it had, also when it is ended while it waits") {
    Alone alone;
    alone.run([] {
        auto semaphore = make_shared_ref<Semaphore>(3);
        join(spawn_here([&] {
            for (int i = 0; i < 3; ++i) CHECK(semaphore->acquire(kNever) == Status::ok);
        }));
        CHECK(semaphore->available() == 3);
        for (int i = 0; i < 3; ++i) REQUIRE(semaphore->acquire(kNever) == Status::ok);
        const Pid first = spawn_here([&] {
            CHECK(semaphore->acquire(kNever) == Status::ok);
            CHECK(park() == Wake::exit_requested);
        });
        const Pid second = spawn_here([&] { CHECK(semaphore->acquire(kNever) == Status::ok); });
        pass_turn();
        semaphore->release();  // the first has it, whatever is asked of it then
        request_exit(first);
        join(second);
        CHECK(semaphore->available() == 1);
        semaphore->release();
        semaphore->release();
    });
}

TEST_CASE("on several workers there are never more inside than permits") {
    TestScheduler<> workers(3);
    workers.run([] {
        auto semaphore = make_shared_ref<Semaphore>(2);
        semaphore->share();
        atomic<int> inside{0};
        atomic<int> most{0};
        std::vector<Pid> pids;
        for (unsigned i = 0; i < 12; ++i) {
            pids.push_back(spawn_on(i % 3, [&] {
                for (int round = 0; round < 300; ++round) {
                    if (semaphore->acquire(round % 7 ? kNever : from_now(1us)) != Status::ok) continue;
                    const int now = ++inside;
                    if (now > most) most = now;
                    if (round % 10 == 0) pass_turn();
                    --inside;
                    if (round != 299) semaphore->release();  // the last one comes back by the actor's end
                }
            }));
        }
        for (Pid pid : pids) join(pid);
        CHECK(most <= 2);
        CHECK(semaphore->available() == 2);
    });
}
