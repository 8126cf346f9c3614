#include "smarm/wait/event.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

TEST_CASE("set wakes everybody who waits and lets everybody pass until it is cleared") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        Event event;
        CHECK(event.wait_set(from_now(5ms)) == Status::timed_out);
        int woken = 0;
        std::vector<Pid> pids;
        for (int i = 0; i < 3; ++i) pids.push_back(spawn_here([&] { woken += event.wait_set(kNever) == Status::ok; }));
        const Pid killed = spawn_here([&] { CHECK(event.wait_set(kNever) == Status::exit_requested); });
        pass_turn();
        CHECK(woken == 0);
        request_exit(killed);
        join(killed);
        event.set();
        event.clear();  // those who waited were woken all the same
        for (Pid pid : pids) join(pid);
        CHECK(woken == 3);
        CHECK_FALSE(event.is_set());
        event.set();
        CHECK(event.wait_set(from_now(-1s)) == Status::ok);
    });
}

TEST_CASE("an event of several workers loses nobody") {
    TestScheduler<> workers(3);
    workers.run([] {
        auto event = make_shared_ref<Event>();
        event->share();
        std::vector<Pid> pids;
        for (unsigned i = 0; i < 30; ++i) {
            pids.push_back(spawn_on(i % 3, [event] { CHECK(event->wait_set(kNever) == Status::ok); }));
        }
        for (int i = 0; i < 5; ++i) pass_turn();
        event->set();
        for (Pid pid : pids) join(pid);
    });
}
