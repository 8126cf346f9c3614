#include "smarm/sched/monitor.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

// A rider whose safe points are where the actors of these tests look.
class FlagRider final : public Rider {
public:
    void switch_to(void*) noexcept override {}
    void before_wait() noexcept override {}
    void after_wait() noexcept override {}
    void request_attention() noexcept override { attention.store(true, memory_order_relaxed); }

    atomic<bool> attention{false};
};

// What a loop of native code does now and then.
Wake safe_point(bool may_preempt = true) {
    auto& rider = static_cast<FlagRider&>(*this_worker()->rider());
    if (!rider.attention.exchange(false, memory_order_relaxed)) return Wake::woken;
    return told(this_worker()->at_safe_point(may_preempt, Deliver::what_is_due));
}

class Monitored : public TestScheduler<> {
public:
    explicit Monitored(const Tweak& tweak = {}) : TestScheduler(1, tweak) {
        (*this)->ensure_worker(0)->set_rider(&rider);
    }
    ~Monitored() { (*this)->worker(0)->set_rider(nullptr); }
    FlagRider rider;
};

}  // namespace

TEST_CASE("actors that never park take turns") {
    constexpr int kActors = 4;
    constexpr int kTurns = 5;
    Monitored monitored;
    std::vector<int> turns(kActors);
    std::uint64_t preemptions = 0;
    monitored.run([&] {
        std::vector<Pid> pids;
        for (int i = 0; i < kActors; ++i) {
            pids.push_back(spawn_here([&, i] {
                std::uint64_t last = 0;
                while (turns[static_cast<std::size_t>(i)] < kTurns) {
                    safe_point();
                    if (const std::uint64_t turn = this_worker()->turn(); turn != last) {
                        last = turn;
                        ++turns[static_cast<std::size_t>(i)];
                    }
                }
            }));
        }
        for (const Pid pid : pids) join(pid);
        preemptions = this_worker()->counters().preemptions.load();
    });
    // The last one may have run alone.
    CHECK(preemptions >= (kActors - 1) * (kTurns - 1));
}

TEST_CASE("an actor that spawns all the time lets the new ones begin before its next turn") {
    Monitored monitored;
    monitored.run([&] {
        std::size_t spawned = 0, begun = 0;
        for (int turns = 0; turns < 5;) {
            spawn_here([&] { ++begun; });
            ++spawned;
            const std::uint64_t turn = this_worker()->turn();
            safe_point();
            if (this_worker()->turn() == turn) continue;
            ++turns;
            CHECK(begun == spawned);
        }
        wait_until([&] { return begun == spawned; });
    });
}

TEST_CASE("an actor that spawns a crowd is asked to let it begin, whatever is left of its slice") {
    Monitored monitored([](SchedulerOptions& options) { options.monitor.time_slice = 1h; });
    monitored.run([&] {
        std::size_t spawned = 0, begun = 0;
        const std::uint64_t turn = this_worker()->turn();
        while (this_worker()->turn() == turn && spawned < 10'000) {
            spawn_here([&] { ++begun; });
            ++spawned;
            safe_point();
        }
        CHECK(spawned < 10'000);
        CHECK(begun == spawned);
    });
}

TEST_CASE("a worker that computes takes one new actor per round from the shared queue, so that others find some, too") {
    constexpr int kActors = 12;
    Monitored monitored;
    monitored.run([&] {
        int begun = 0;
        bool done = false;
        for (int i = 0; i < kActors; ++i) {
            spawn_shared([&] {
                ++begun;
                while (!done) safe_point();
            });
        }
        for (int seen = 0; begun < kActors; seen = begun) {
            const std::uint64_t turn = this_worker()->turn();
            while (this_worker()->turn() == turn) safe_point();
            CHECK(begun - seen <= 2);
        }
        done = true;
        wait_until([] { return this_worker()->live_count() == 1; });
    });
}

TEST_CASE("without a time slice a crowd waits until its maker parks") {
    Monitored monitored([](SchedulerOptions& options) { options.monitor.time_slice = Duration::zero(); });
    monitored.run([&] {
        std::size_t begun = 0;
        for (int i = 0; i < 1'000; ++i) {
            spawn_here([&] { ++begun; });
            safe_point();
        }
        CHECK(begun == 0);
        wait_until([&] { return begun == 1'000; });
    });
}

TEST_CASE("a message and a timer are answered while another actor never parks") {
    Monitored monitored;
    monitored.run([&] {
        bool stop = false;
        const Pid busy = spawn_here([&] {
            while (!stop) safe_point();
        });
        CHECK(sleep_for(1ms) == Wake::timed_out);
        send_number(this_actor()->pid, 7);
        std::uint64_t number = 0;
        CHECK(receive_number(number));
        CHECK(number == 7);
        stop = true;
        join(busy);
    });
}

TEST_CASE("a busy actor that is asked to exit learns it at its next safe point") {
    Monitored monitored;
    bool asked = false;
    monitored.run([&] {
        const Pid busy = spawn_here([&] {
            while (safe_point() != Wake::exit_requested) {}
            asked = true;
        });
        pass_turn();
        CHECK(request_exit(busy));
        join(busy);
    });
    CHECK(asked);
}

TEST_CASE("an actor that forbids it is not preempted, but still asked to exit") {
    Monitored monitored;
    int looks = 0;
    bool other_ran = false;
    bool other_ran_meanwhile = false;
    monitored.run([&] {
        const Pid stubborn = spawn_here([&] {
            spawn_here([&] { other_ran = true; });
            // Ten requests, all in vain.
            while (looks < 10) {
                auto& rider = static_cast<FlagRider&>(*this_worker()->rider());
                if (rider.attention.exchange(false)) {
                    CHECK_FALSE(this_worker()->at_safe_point(false, Deliver::everything));
                    ++looks;
                }
            }
            other_ran_meanwhile = other_ran;
            request_exit(this_actor()->pid);
            CHECK(this_worker()->at_safe_point(false, Deliver::everything));
        });
        join(stubborn);
        wait_until([&] { return other_ran; });
    });
    CHECK(!other_ran_meanwhile);
}

TEST_CASE("an actor that is deaf to requests is reported once per turn") {
    atomic<int> reports{0};
    atomic<bool> plausible{true};
    Monitored monitored([&](SchedulerOptions& options) {
        options.monitor.stall_threshold = 5ms;
        options.monitor.on_stall = [&](Worker& worker, Duration lasted) {
            if (worker.index() != 0 || lasted < 5ms) plausible.store(false);
            reports.fetch_add(1);
        };
    });
    monitored.run([&] {
        for (int round = 1; round <= 2; ++round) {
            const Pid deaf = spawn_here([&, round] {
                spawn_here([] {});  // somebody who waits
                while (reports.load() < round) cpu_relax();
                const Instant end = monotonic_now() + 20ms;  // time enough for more reports
                while (monotonic_now() < end) cpu_relax();
            });
            join(deaf);
        }
    });
    CHECK(reports.load() == 2);
    CHECK(plausible.load());
}

TEST_CASE("when nothing can wake anybody any more, that is said") {
    atomic<int> deadlocks{0};
    Monitored monitored([&](SchedulerOptions& options) {
        options.monitor.on_deadlock = [&](Scheduler& scheduler) {
            deadlocks.fetch_add(1);
            scheduler.stop();
        };
    });
    monitored.run([&] {
        spawn_here([] { park(); });
        CHECK(sleep_for(1ms) == Wake::timed_out);  // a timer: no deadlock
        CHECK(deadlocks.load() == 0);
        CHECK(park() == Wake::exit_requested);
    });
    CHECK(deadlocks.load() == 1);
}

TEST_CASE("without a time slice an actor that hears the monitor is not reported, one that does not is") {
    atomic<int> stalls{0};
    Monitored monitored([&](SchedulerOptions& options) {
        options.monitor.time_slice = 0ns;
        options.monitor.stall_threshold = 5ms;
        options.monitor.on_stall = [&](Worker&, Duration) { stalls.fetch_add(1); };
    });
    monitored.run([&] {
        spawn_here([] {});
        for (int heard = 0; heard < 10; safe_point())
            heard += monitored.rider.attention.load();  // somebody waits all the time
        CHECK(stalls.load() == 0);
        while (stalls.load() == 0) {}
        CHECK(this_worker()->counters().preemptions.load() == 0);
    });
    CHECK(stalls.load() == 1);
}

TEST_CASE("without a time slice a deadlock is reported, too") {
    atomic<int> deadlocks{0};
    Monitored monitored([&](SchedulerOptions& options) {
        options.monitor.time_slice = 0ns;
        options.monitor.on_deadlock = [&](Scheduler& scheduler) {
            deadlocks.fetch_add(1);
            scheduler.stop();
        };
    });
    monitored.run([] { CHECK(park() == Wake::exit_requested); });
    CHECK(deadlocks.load() == 1);
}

TEST_CASE("without a time slice nobody is preempted, and actors run all the same") {
    Monitored monitored([](SchedulerOptions& options) { options.monitor.time_slice = 0ns; });
    int ran = 0;
    monitored.run([&] {
        for (int i = 0; i < 10; ++i) join(spawn_here([&] { ++ran; }));
        CHECK(this_worker()->counters().preemptions.load() == 0);
    });
    CHECK(ran == 10);
}
