#include "smarm/wait/mutex.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

using Alone = TestScheduler<VirtualDriver>;

// Parks until `count` actors of this worker wait for a lock.
void wait_for_waiters(std::size_t count) {
    wait_until([count] {
        std::size_t waiting = 0;
        scheduler().table().for_each(
            [&](const ActorSnapshot& actor) { waiting += actor.wait_reason == WaitReason::lock; });
        return waiting == count;
    });
}

}  // namespace

TEST_CASE("a free mutex is taken at once, and only its holder can release it") {
    Alone alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        CHECK_FALSE(mutex->release());
        CHECK(mutex->acquire(from_now(-1s)) == Status::ok);
        CHECK(mutex->holder() == this_actor()->pid);
        join(spawn_here([&] { CHECK_FALSE(mutex->release()); }));
        CHECK(mutex->release());
        CHECK_FALSE(mutex->release());
        CHECK_FALSE(mutex->holder());
    });
}

TEST_CASE("waiters get the mutex in the order in which they came") {
    Alone alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        std::vector<int> order;
        REQUIRE(mutex->acquire(kNever) == Status::ok);
        std::vector<Pid> pids;
        for (int i = 0; i < 5; ++i) {
            pids.push_back(spawn_here([&, i] {
                CHECK(mutex->acquire(kNever) == Status::ok);
                order.push_back(i);
                pass_turn();
                mutex->release();
            }));
        }
        wait_for_waiters(5);
        mutex->release();
        // Handed over: nobody can get in before those who waited.
        CHECK(mutex->acquire(from_now(-1s)) == Status::timed_out);
        CHECK(mutex->acquire(kNever) == Status::ok);
        CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
        mutex->release();
        for (Pid pid : pids) join(pid);
    });
}

TEST_CASE("a timeout leaves the queue, and the others keep their turns") {
    Alone alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        REQUIRE(mutex->acquire(kNever) == Status::ok);
        int got = 0;
        const Pid hurried = spawn_here([&] { CHECK(mutex->acquire(from_now(5ms)) == Status::timed_out); });
        const Pid patient = spawn_here([&] {
            got += mutex->acquire(kNever) == Status::ok;
            mutex->release();
        });
        join(hurried);
        CHECK(got == 0);
        mutex->release();
        join(patient);
        CHECK(got == 1);
    });
}

TEST_CASE("an actor that is asked to exit as it gets the mutex has it; the exit waits") {
    Alone alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        REQUIRE(mutex->acquire(kNever) == Status::ok);
        const Pid first = spawn_here([&] {
            CHECK(mutex->acquire(kNever) == Status::ok);
            CHECK(park() == Wake::exit_requested);
            CHECK(mutex->release());
        });
        int got = 0;
        const Pid second = spawn_here([&] {
            got += mutex->acquire(kNever) == Status::ok;
            mutex->release();
        });
        wait_for_waiters(2);
        mutex->release();  // the first has it, and has not run yet
        CHECK(mutex->holder() == first);
        request_exit(first);
        join(second);
        CHECK(got == 1);
        CHECK_FALSE(mutex->sealed_by());
    });
}

TEST_CASE("the end of its holder poisons the mutex for those who wait and those who come") {
    Alone alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        atomic<bool> go{false};
        const Pid holder = spawn_here([&] {
            REQUIRE(mutex->acquire(kNever) == Status::ok);
            wait_until([&] { return go.load(); });
        });
        wait_until([&] { return mutex->holder() == holder; });
        std::vector<Status> statuses;
        std::vector<Pid> waiters;
        for (int i = 0; i < 3; ++i) waiters.push_back(spawn_here([&] { statuses.push_back(mutex->acquire(kNever)); }));
        const Pid repairer = spawn_here([&] {
            CHECK(mutex->acquire(kNever, true) == Status::ok);
            CHECK(mutex->sealed_by() == holder);
            CHECK(mutex->release(Mutex::Seal::remove));
        });
        wait_for_waiters(4);
        go = true;
        for (Pid pid : waiters) join(pid);
        CHECK(statuses == std::vector<Status>(3, Status::closed));
        join(repairer);
        CHECK_FALSE(mutex->sealed_by());
        CHECK(mutex->acquire(from_now(-1s)) == Status::ok);
        mutex->release();
    });
}

TEST_CASE("poison stays until a repair succeeds, and repairs come one after the other") {
    Alone alone;
    alone.run([] {
        auto mutex = make_shared_ref<Mutex>();
        join(spawn_here([&] { CHECK(mutex->acquire(kNever) == Status::ok); }));
        CHECK(mutex->acquire(kNever) == Status::closed);
        CHECK(mutex->acquire(kNever, true) == Status::ok);
        const Pid next = spawn_here([&] {
            CHECK(mutex->acquire(kNever, true) == Status::ok);
            CHECK(mutex->release(Mutex::Seal::remove));
        });
        wait_for_waiters(1);
        CHECK(mutex->release());  // not repaired
        CHECK(mutex->acquire(kNever) == Status::closed);
        join(next);
        CHECK(mutex->acquire(kNever) == Status::ok);
        mutex->release();
    });
}

TEST_CASE("a mutex that only its holder refers to lives as long as it is held") {
    Alone alone;
    alone.run([] {
        join(spawn_here([] {
            auto mutex = make_shared_ref<Mutex>();
            CHECK(mutex->acquire(kNever) == Status::ok);
        }));
        CHECK_FALSE(this_actor()->held);
    });
}

TEST_CASE("actors of several workers exclude each other") {
    TestScheduler<> workers(3);
    workers.run([] {
        auto mutex = make_shared_ref<Mutex>();
        mutex->share();
        long counter = 0;  // plain: the mutex orders the accesses
        std::vector<Pid> pids;
        for (unsigned i = 0; i < 12; ++i) {
            pids.push_back(spawn_on(i % 3, [&counter, mutex] {
                for (int round = 0; round < 500; ++round) {
                    CHECK(mutex->acquire(kNever) == Status::ok);
                    const long seen = counter;
                    if (round % 50 == 0) pass_turn();
                    counter = seen + 1;
                    CHECK(mutex->release());
                }
            }));
        }
        for (Pid pid : pids) join(pid);
        CHECK(counter == 12 * 500);
    });
}

TEST_CASE("timeouts, exits and deaths of holders on several workers lose no wake-up") {
    TestScheduler<> workers(3);
    workers.run([] {
        auto mutex = make_shared_ref<Mutex>();
        mutex->share();
        atomic<unsigned> done{0};
        constexpr unsigned kActors = 60;
        std::vector<Pid> pids;
        for (unsigned i = 0; i < kActors; ++i) {
            pids.push_back(spawn_on(i % 3, [&done, mutex, i] {
                for (int round = 0; round < 50; ++round) {
                    const Status status =
                        mutex->acquire(i % 4 == 0 ? from_now(Duration(round * 1000)) : kNever, i % 4 == 1);
                    if (status == Status::exit_requested) break;
                    if (status != Status::ok) continue;
                    if (round == 25 && i % 8 == 2) break;  // dies with it
                    pass_turn();
                    mutex->release(i % 4 == 1 ? Mutex::Seal::remove : Mutex::Seal::keep);
                }
                ++done;
            }));
        }
        for (unsigned i = 3; i < kActors; i += 7) {
            pass_turn();
            request_exit(pids[i]);
        }
        for (Pid pid : pids) join(pid);
        CHECK(mutex->acquire(kNever, true) == Status::ok);  // free at last
        mutex->release(Mutex::Seal::remove);
    });
}

TEST_CASE("what Once protects is done once, by the next one when the first ends too early") {
    Alone alone;
    alone.run([] {
        auto once = make_shared_ref<Once>();
        join(spawn_here([&] { CHECK(once->acquire(kNever) == Status::ok); }));  // ends without having done it
        CHECK(once->acquire(kNever) == Status::ok);
        Status other = Status::ok;
        const Pid waiter = spawn_here([&] { other = once->acquire(kNever); });
        wait_for_waiters(1);
        CHECK(once->release(Once::Seal::put));
        join(waiter);
        CHECK(other == Status::closed);
        CHECK(once->acquire(kNever) == Status::closed);
    });
}
