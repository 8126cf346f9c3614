#include "smarm/sched/worker.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"
#include "smarm/base/sanitizer.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

// Deterministic: one worker, and time moves only when nobody can run.
using Alone = TestScheduler<VirtualDriver>;

VirtualDriver& driver() { return static_cast<VirtualDriver&>(this_worker()->driver()); }
Instant now() { return driver().now(); }

// Two actors that wake each other by turns.
struct PingPong {
    Actor* players[2] = {};
    int turns = 0;
    void play(int me, int rounds) {
        players[me] = this_actor();
        wait_until([&] { return players[1 - me] != nullptr; });
        for (int i = 0; i < rounds; ++i) {
            while (turns % 2 != me) park();
            ++turns;
            if (players[1 - me]) this_worker()->wake(*players[1 - me]);
        }
        players[me] = nullptr;
    }
};

}  // namespace

// ---- who runs next --------------------------------------------------------------------------------------------------

TEST_CASE("local actors start in the order in which they were spawned") {
    Alone alone;
    std::vector<int> order;
    alone.run([&] {
        for (int i = 0; i < 200; ++i) {
            spawn_here([&order, i] { order.push_back(i); });
        }
        pass_turn();
    });
    REQUIRE(order.size() == 200);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("actors that yield take turns, nobody twice before all others once") {
    Alone alone;
    constexpr int kActors = 7;
    constexpr int kTurns = 500;
    std::vector<int> order;
    alone.run([&] {
        std::vector<Pid> pids;
        for (int i = 0; i < kActors; ++i) {
            pids.push_back(spawn_here([&order, i] {
                for (int turn = 0; turn < kTurns; ++turn) {
                    order.push_back(i);
                    pass_turn();
                }
            }));
        }
        for (Pid pid : pids) join(pid);
    });
    REQUIRE(order.size() == std::size_t{kActors} * kTurns);
    // All start in the same round (main yields once per round, too), so every round has the same order.
    for (std::size_t i = 0; i < order.size(); ++i) REQUIRE(order[i] == static_cast<int>(i % kActors));
}

TEST_CASE("a lone actor that yields runs on") {
    Alone alone;
    int turns = 0;
    alone.run([&] {
        while (turns < 1000) {
            CHECK(pass_turn() == Wake::woken);
            ++turns;
        }
    });
    CHECK(turns == 1000);
}

TEST_CASE("actors that wake each other switch directly, but the worker looks around now and then") {
    constexpr unsigned kRounds = 10'000;
    Alone alone;
    PingPong game;
    unsigned polls = 0;
    std::uint64_t switches = 0;
    alone.run([&] {
        const Pid first = spawn_here([&] { game.play(0, kRounds); });
        const Pid second = spawn_here([&] { game.play(1, kRounds); });
        while (!game.players[1]) pass_turn();
        const auto watcher = this_actor();
        spawn_here([&, watcher] {
            join(first);
            join(second);
            this_worker()->wake(*watcher);
        });
        park();
        polls = driver().polls.load();
        switches = this_worker()->counters().switches.load();
    });
    CHECK(game.turns == 2 * kRounds);
    CHECK(switches >= 2 * kRounds);
    CHECK(polls >= 10);
    CHECK(polls < switches / 32);
}

TEST_CASE("timers, the driver and new actors get their turn while others are always ready") {
    Alone alone;
    bool slept = false;
    bool started = false;
    bool stop = false;
    alone.run([&] {
        spawn_here([&] {
            sleep_for(5ms);
            slept = true;
        });
        for (int i = 0; i < 3; ++i) {
            spawn_here([&] {
                while (!stop) pass_turn();
            });
        }
        spawn_shared([&] { started = true; });
        const unsigned polls = driver().polls.load();
        wait_until([&] { return slept && started && driver().polls.load() >= polls + 5; });
        stop = true;
    });
    CHECK(slept);
    CHECK(started);
}

// ---- sleeping and waking --------------------------------------------------------------------------------------------

TEST_CASE("sleepers wake in the order of their deadlines, none early") {
    Alone alone;
    std::vector<Duration> order;
    alone.run([&] {
        const Duration durations[] = {30ms, 10ms, 10s, 20ms, 1us, 1h};
        for (const Duration duration : durations) {
            spawn_here([&order, duration] {
                const Instant begin = now();
                CHECK(sleep_for(duration) == Wake::timed_out);
                CHECK(now() - begin >= duration);
                order.push_back(duration);
            });
        }
        sleep_for(2h);
    });
    CHECK(order == std::vector<Duration>{1us, 10ms, 20ms, 30ms, 10s, 1h});
}

TEST_CASE("a deadline that has passed lets the others run and times out") {
    Alone alone;
    bool other_ran = false;
    alone.run([&] {
        spawn_here([&] { other_ran = true; });
        CHECK(park(now() - 1s) == Wake::timed_out);
        CHECK(other_ran);
    });
}

TEST_CASE("a woken sleeper does not time out, and its timer is gone") {
    Alone alone;
    alone.run([&] {
        Wake how = Wake::timed_out;
        Actor* sleeper = nullptr;
        const Pid pid = spawn_here([&] {
            sleeper = this_actor();
            how = sleep_for(1h);
            CHECK(this_worker()->timers().size() == 0);
        });
        pass_turn();
        CHECK(sleeper->state.load() == ActorState::parked);
        CHECK(sleeper->wait_reason.load() == WaitReason::sleep);
        CHECK(this_worker()->timers().size() == 1);
        const Instant begin = now();
        this_worker()->wake(*sleeper);
        this_worker()->wake(*sleeper);  // it is ready already: nothing happens
        join(pid);
        CHECK(how == Wake::woken);
        CHECK(now() - begin < 1s);
    });
}

TEST_CASE("waking an actor that is not parked does nothing") {
    Alone alone;
    int runs = 0;
    alone.run([&] {
        this_worker()->wake(*this_actor());
        Actor* other = nullptr;
        spawn_here([&] {
            other = this_actor();
            ++runs;
            pass_turn();
            ++runs;
            CHECK(park(now() + 1s) == Wake::timed_out);
        });
        pass_turn();
        this_worker()->wake(*other);
        pass_turn();
        CHECK(runs == 2);
        sleep_for(2s);
    });
}

// ---- exit requests --------------------------------------------------------------------------------------------------

TEST_CASE("a parked actor that is asked to exit learns it from its park, once") {
    Alone alone;
    std::vector<Wake> wakes;
    alone.run([&] {
        const Pid pid = spawn_here([&] {
            wakes.push_back(park());
            wakes.push_back(sleep_for(1ms));
        });
        pass_turn();
        CHECK(request_exit(pid));
        join(pid);
    });
    CHECK(wakes == std::vector<Wake>{Wake::exit_requested, Wake::timed_out});
}

TEST_CASE("an actor that yields is asked there") {
    Alone alone;
    Wake wake = Wake::woken;
    alone.run([&] {
        const Pid pid = spawn_here([&] {
            while (wake == Wake::woken) wake = pass_turn();
        });
        pass_turn();
        CHECK(request_exit(pid));
        join(pid);
    });
    CHECK(wake == Wake::exit_requested);
}

TEST_CASE("an actor may ask itself: its next park says so without waiting") {
    Alone alone;
    alone.run([&] {
        CHECK(request_exit(this_actor()->pid));
        CHECK(park() == Wake::exit_requested);
    });
}

TEST_CASE("nobody can be asked to exit by a stale pid") {
    Alone alone;
    alone.run([&] {
        const Pid pid = spawn_here([] {});
        join(pid);
        CHECK(!request_exit(pid));
        CHECK(!request_exit(Pid{}));
        const Pid heir = spawn_here([] { CHECK(sleep_for(1ms) == Wake::timed_out); });
        CHECK(heir.index == pid.index);
        CHECK(!request_exit(pid));
        join(heir);
    });
}

// ---- starting and ending --------------------------------------------------------------------------------------------

namespace {

struct Ending {
    int bodies = 0, cancelled = 0, cancelled_without_memory = 0, detached = 0, deleted = 0;
};

class WatchedActor final : public Actor {
public:
    WatchedActor(Ending& ending, bool has_memory) : ending_(ending), has_memory_(has_memory) {}
    ~WatchedActor() override { ++ending_.deleted; }
    bool attach() noexcept override { return has_memory_; }
    void body() noexcept override { ++ending_.bodies; }
    void detach() noexcept override { ++ending_.detached; }
    void cancelled(bool out_of_memory) noexcept override {
        ++(out_of_memory ? ending_.cancelled_without_memory : ending_.cancelled);
    }

private:
    Ending& ending_;
    bool has_memory_;
};

Pid spawn_watched(Ending& ending, bool has_memory = true) {
    return spawn(scheduler(), std::make_unique<WatchedActor>(ending, has_memory), Scheduler::Place::local);
}

}  // namespace

TEST_CASE("an actor is attached, run, detached and deleted") {
    Alone alone;
    Ending ending;
    alone.run([&] { join(spawn_watched(ending)); });
    CHECK(ending.bodies == 1);
    CHECK(ending.detached == 1);
    CHECK(ending.deleted == 1);
    CHECK(ending.cancelled + ending.cancelled_without_memory == 0);
}

TEST_CASE("an actor that is asked to exit before its first turn never runs") {
    Alone alone;
    Ending ending;
    alone.run([&] {
        const Pid pid = spawn_watched(ending);
        CHECK(request_exit(pid));
        join(pid);
    });
    CHECK(ending.bodies == 0);
    CHECK(ending.cancelled == 1);
    CHECK(ending.detached == 0);
    CHECK(ending.deleted == 1);
}

TEST_CASE("an actor for which there is no memory is told, and the others live on") {
    Alone alone;
    Ending ending;
    bool lives_on = false;
    alone.run([&] {
        join(spawn_watched(ending, false));
        CHECK(this_worker()->stacks().statistics().in_use == 1);  // ours
        join(spawn_here([&] { lives_on = true; }));
    });
    CHECK(ending.bodies == 0);
    CHECK(ending.cancelled_without_memory == 1);
    CHECK(ending.detached == 0);
    CHECK(ending.deleted == 1);
    CHECK(lives_on);
}

TEST_CASE("an exception that leaves a native actor ends that actor only") {
    Alone alone;
    bool lives_on = false;
    alone.run([&] {
        const Pid first = spawn_here([] { throw std::runtime_error("expected by worker_test"); });
        const Pid second = spawn_here([] { throw 1; });
        join(first);
        join(second);
        lives_on = true;
    });
    CHECK(lives_on);
}

TEST_CASE("an exception may be handled across parks while others throw and catch theirs") {
    Alone alone;
    constexpr int kActors = 20;
    int right = 0;
    alone.run([&] {
        for (int i = 0; i < kActors; ++i) {
            spawn_here([&right, i] {
                try {
                    try {
                        throw std::runtime_error(std::to_string(i));
                    } catch (...) {
                        for (int turn = 0; turn < 10; ++turn) pass_turn();
                        throw;
                    }
                } catch (const std::runtime_error& error) {
                    right += error.what() == std::to_string(i);
                }
            });
        }
        wait_until([] { return this_worker()->live_count() == 1; });
    });
    CHECK(right == kActors);
}

TEST_CASE("stacks come back when actors end") {
    Alone alone;
    alone.run([&] {
        for (int round = 0; round < 3; ++round) {
            for (int i = 0; i < 500; ++i) {
                spawn_here([] { park(now() + 1ms); });
            }
            pass_turn();
            CHECK(this_worker()->stacks().statistics().in_use == 501);
            wait_until([] { return this_worker()->live_count() == 1; });
            CHECK(this_worker()->stacks().statistics().in_use == 1);
        }
        CHECK(this_worker()->stacks().statistics().carved == 501);
    });
}

TEST_CASE("a million actors may live one after another") {
    Alone alone;
#if defined(SMARM_ADDRESS_SANITIZER) || defined(SMARM_THREAD_SANITIZER)
    constexpr int kActors = 20'000;  // their bookkeeping of a stack's life is slow
#else
    constexpr int kActors = 1'000'000;
#endif
    int ended = 0;
    alone.run([&] {
        for (int i = 0; i < kActors; ++i) {
            spawn_here([&] { ++ended; });
            if (i % 8 == 7) pass_turn();
        }
        wait_until([] { return this_worker()->live_count() == 1; });
        CHECK(this_worker()->stacks().statistics().carved <= 10);
        CHECK(this_worker()->counters().started.load() == kActors + 1);
        CHECK(this_worker()->counters().finished.load() == kActors);
    });
    CHECK(ended == kActors);
}
