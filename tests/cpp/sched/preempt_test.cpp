// These actors have no rider: what ends their turns is their own allocations and check(), not the monitor.
#include "smarm/sched/preempt.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

void allocate() {
    // Not a new-expression, which the compiler may leave out.
    ::operator delete(::operator new(16));
}

std::uint64_t preemptions() { return this_worker()->counters().preemptions.load(); }

// Makes the slice of the running actor end now, as far as look_at_slice can tell.
void use_up_slice() {
    const Duration slice = scheduler().options().monitor.time_slice;
    this_worker()->look_at_slice();
    for (const Instant end = this_worker()->driver().now() + 2 * slice; this_worker()->driver().now() < end;) {}
}

}  // namespace

TEST_CASE("actors that call SMARM_CHECK() take turns") {
    TestScheduler<VirtualDriver> alone;
    constexpr int kActors = 3;
    std::vector<int> turns(kActors);
    alone.run([&] {
        std::vector<Pid> pids;
        for (std::size_t i = 0; i < kActors; ++i) {
            pids.push_back(spawn_here([&, i] {
                std::uint64_t last = 0;
                while (turns[i] < 5) {
                    CHECK_FALSE(SMARM_CHECK());
                    if (std::exchange(last, this_worker()->turn()) != this_worker()->turn()) ++turns[i];
                }
            }));
        }
        for (const Pid pid : pids) join(pid);
        CHECK(preemptions() >= (kActors - 1) * 4);
    });
}

TEST_CASE("an actor whose turns are far longer than a slice leaves the others theirs") {
    TestScheduler<VirtualDriver> alone;
    int long_turns = 0;
    alone.run([&] {
        bool stop = false;
        const Pid busy = spawn_here([&] {
            for (; !stop && long_turns < 100; ++long_turns) {
                use_up_slice();
                use_up_slice();
                while (detail::budget_left()) {}
                CHECK_FALSE(detail::check_slice());
            }
        });
        for (int i = 0; i < 5; ++i) pass_turn();
        stop = true;
        join(busy);
    });
    CHECK(long_turns > 1);
    CHECK(long_turns <= 6);
}

TEST_CASE("check() tells an actor that it is to exit") {
    TestScheduler<VirtualDriver> alone;
    bool told = false;
    alone.run([&] {
        const Pid busy = spawn_here([&] {
            while (!check()) {}
            told = true;
        });
        pass_turn();
        CHECK(request_exit(busy));
        join(busy);
    });
    CHECK(told);
}

TEST_CASE("outside of actors check() and allocations do nothing") {
    for (int i = 0; i < 1000; ++i) {
        CHECK_FALSE(check());
        allocate();
    }
}

TEST_CASE("an actor that allocates gives way inside AllocationsPreempt, and only there") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        bool other_ran = false;
        const Pid busy = spawn_here([&] {
            spawn_here([&] { other_ran = true; });
            use_up_slice();
            for (int i = 0; i < 10'000; ++i) allocate();
            CHECK(!other_ran);
            {
                AllocationsPreempt here;
                while (!other_ran) allocate();
            }
            bool another_ran = false;
            const Pid another = spawn_here([&] { another_ran = true; });
            use_up_slice();
            for (int i = 0; i < 10'000; ++i) allocate();
            CHECK(!another_ran);
            join(another);
        });
        join(busy);
        CHECK(other_ran);
    });
}

TEST_CASE("an exit request waits for the end of AllocationsPreempt") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        int steps = 0;
        const Pid busy = spawn_here([&] {
            AllocationsPreempt here;
            while (steps < 3) allocate();
            CHECK(pass_turn() == Wake::exit_requested);
        });
        pass_turn();
        CHECK(request_exit(busy));
        while (steps < 3) {
            ++steps;
            pass_turn();
        }
        join(busy);
    });
}

TEST_CASE("a lone actor is not interrupted, however much it allocates") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        AllocationsPreempt here;
        use_up_slice();
        for (int i = 0; i < 100'000; ++i) allocate();
        CHECK(preemptions() == 0);
    });
}

TEST_CASE("a timer that is due ends a turn before the slice is used up") {
    TestScheduler<VirtualDriver> alone(1, [](SchedulerOptions& options) { options.monitor.time_slice = 1h; });
    alone.run([] {
        bool woke = false;
        spawn_here([&] {
            sleep_for(50us);
            woke = true;
        });
        pass_turn();
        while (!woke) check();
        CHECK(preemptions() >= 1);
    });
}

TEST_CASE("allocations are charged to the actor that makes them") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const std::uint64_t before = this_actor()->reductions.load();
        std::uint64_t seen = 0;
        const Pid many = spawn_here([&] {
            for (int i = 0; i < 10'000; ++i) allocate();
            pass_turn();
            seen = this_actor()->reductions.load();
            park();
        });
        wait_until([&] { return seen != 0; });
        CHECK(seen >= 10'000);
        CHECK(seen < 11'000);
        CHECK(this_actor()->reductions.load() - before < 1'000);
        request_exit(many);
        join(many);
    });
}

TEST_CASE("a request for a turn that is over does not end another") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const std::uint64_t stale = this_worker()->turn();
        spawn_here([] {});
        pass_turn();
        REQUIRE(this_worker()->turn() != stale);
        spawn_here([] {});  // somebody who could run
        this_worker()->request_preemption(stale);
        CHECK_FALSE(this_worker()->at_safe_point(true, Deliver::everything));
        CHECK(preemptions() == 0);
        this_worker()->request_preemption(this_worker()->turn());
        CHECK_FALSE(this_worker()->at_safe_point(true, Deliver::everything));
        CHECK(preemptions() == 1);
    });
}

TEST_CASE("without a time slice nobody is interrupted") {
    TestScheduler<VirtualDriver> alone(1, [](SchedulerOptions& options) { options.monitor.time_slice = 0ns; });
    alone.run([] {
        bool other_ran = false;
        const Pid other = spawn_here([&] { other_ran = true; });
        AllocationsPreempt here;
        for (int i = 0; i < 100'000; ++i) {
            allocate();
            check();
        }
        CHECK(!other_ran);
        join(other);
    });
}

TEST_CASE("a parked stack that ran deep gives its pages back when the worker has nothing to do") {
    TestScheduler<> real;
    real.run([] {
        const auto run_deep = [](auto& self, int levels) -> int {
            volatile char room[256];  // much less than a page: each page has a return address
            room[0] = static_cast<char>(levels);
            return levels ? self(self, levels - 1) + room[0] : room[0];
        };
        const Pid deep = spawn_here([&] {
            run_deep(run_deep, 300);
            park();
        });
        const Pid shallow = spawn_here([] { park(); });
        pass_turn();
        this_worker()->request_trim();
        const auto& trimmed = this_worker()->counters().stacks_trimmed;
        while (trimmed.load() == 0) sleep_for(1ms);  // so that the worker comes to rest
        CHECK(trimmed.load() == 1);
        CHECK(this_worker()->stacks().statistics().trims == 1);
        this_worker()->request_trim();
        sleep_for(1ms);
        CHECK(trimmed.load() == 1);
        for (const Pid pid : {deep, shallow}) {
            request_exit(pid);
            join(pid);
        }
    });
}
