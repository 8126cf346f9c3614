#include "smarm/wait/barrier.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

TEST_CASE("one that gives up is not counted, and the others go on waiting") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        Barrier barrier(3);
        bool last = false;
        CHECK(barrier.wait_all(from_now(5ms), &last) == Status::timed_out);
        int opened = 0;
        const auto wait = [&] {
            bool its_last = false;
            opened += barrier.wait_all(kNever, &its_last) == Status::ok;
            CHECK_FALSE(its_last);
        };
        const Pid first = spawn_here(wait);
        const Pid killed = spawn_here([&] { CHECK(barrier.wait_all(kNever, &last) == Status::exit_requested); });
        pass_turn();
        CHECK(barrier.waiting() == 2);
        request_exit(killed);
        join(killed);
        CHECK(barrier.waiting() == 1);
        const Pid second = spawn_here(wait);
        pass_turn();
        CHECK(opened == 0);
        CHECK(barrier.wait_all(from_now(-1s), &last) == Status::ok);
        CHECK(last);
        join(first);
        join(second);
        CHECK(opened == 2);
        CHECK(barrier.waiting() == 0);
    });
}

TEST_CASE("actors of several workers go through many rounds together") {
    TestScheduler<> workers(3);
    workers.run([] {
        auto barrier = make_shared_ref<Barrier>(6);
        barrier->share();
        atomic<int> arrived{0};
        atomic<int> lasts{0};
        std::vector<Pid> pids;
        for (unsigned i = 0; i < 6; ++i) {
            pids.push_back(spawn_on(i % 3, [&, barrier] {
                for (int round = 1; round <= 100; ++round) {
                    ++arrived;
                    bool last = false;
                    CHECK(barrier->wait_all(kNever, &last) == Status::ok);
                    CHECK(arrived >= round * 6);
                    lasts += last;
                }
            }));
        }
        for (Pid pid : pids) join(pid);
        CHECK(lasts == 100);
    });
}
