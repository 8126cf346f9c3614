#include "smarm/sched/scheduler.h"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "../support/child.h"
#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

unsigned here() { return this_worker()->index(); }

// Of a worker that need not be ours.
bool is_asleep(unsigned index) {
    Worker* worker = scheduler().worker(index);
    return worker && worker->sleeping();
}

// An actor that receives numbers until `count` have come, or an exit is requested.
std::function<void()> collector(std::vector<std::uint64_t>& numbers, std::size_t count) {
    return [&numbers, count] {
        std::uint64_t number = 0;
        while (numbers.size() < count && receive_number(number)) numbers.push_back(number);
    };
}

}  // namespace

// ---- placement ------------------------------------------------------------------------------------------------------

TEST_CASE("a local actor runs on its spawner's worker") {
    TestScheduler<> two(2);
    unsigned ran_on = 99;
    two.run([&] {
        join(spawn_on(1, [&] {
            CHECK(here() == 1);
            join(spawn_here([&] { ran_on = here(); }));
        }));
    });
    CHECK(ran_on == 1);
}

TEST_CASE("workers are started when they are first needed") {
    TestScheduler<> three(3);
    three.run([&] {
        CHECK(scheduler().started_workers() == 1);
        join(spawn_here([] {}));
        CHECK(scheduler().started_workers() == 1);
        unsigned ran_on = 99;
        join(spawn_on(2, [&] { ran_on = here(); }));
        CHECK(ran_on == 2);
        CHECK(scheduler().started_workers() == 2);
        CHECK(scheduler().worker(1) == nullptr);
    });
}

TEST_CASE("shared actors run once each, and idle workers are started for them") {
    TestScheduler<> two(2);
    atomic<int> runs{0};
    atomic<bool> other_worker{false};
    two.run([&] {
        // Keeps this worker busy until another one has taken something.
        for (int i = 0; i < 100; ++i) {
            spawn_shared([&] {
                runs.fetch_add(1);
                if (here() == 1) other_worker.store(true);
            });
        }
        while (!other_worker.load()) cpu_relax();
        wait_until([&] { return runs.load() == 100; });
    });
    CHECK(runs.load() == 100);
}

TEST_CASE("a sleeping worker wakes for shared work while the spawner keeps its own worker") {
    TestScheduler<> two(2);
    two.run([&] {
        join(spawn_on(1, [] {}));
        for (int round = 0; round < 20; ++round) {
            wait_until([] { return is_asleep(1); });
            atomic<bool> done{false};
            spawn_shared([&] { done.store(true); });
            while (!done.load()) cpu_relax();
        }
    });
}

TEST_CASE("actors that stay are left to a worker that is still being made, those that end at once are not") {
    atomic<bool> may_boot{false};
    TestScheduler<> two(2, [&](SchedulerOptions& options) {
        options.enter_worker = [&](Worker& worker) {
            while (!may_boot.load()) std::this_thread::yield();
            worker.run();
        };
    });
    unsigned brief = 99;
    atomic<unsigned> stays_on[2] = {99, 99};
    two.run([&] {
        spawn_shared([&] { brief = here(); });
        wait_until([&] { return brief != 99; });
        Pid staying[2];
        for (int i = 0; i < 2; ++i) {
            staying[i] = spawn_shared([&stays_on, i] {
                stays_on[i].store(here());
                park();
            });
        }
        wait_until([&] { return stays_on[0].load() != 99; });
        for (int turn = 0; turn < 1000; ++turn) pass_turn();
        may_boot.store(true);
        wait_until([&] { return stays_on[1].load() != 99; });
        for (Pid pid : staying) request_exit(pid);
        for (Pid pid : staying) join(pid);
    });
    CHECK(brief == 0);
    CHECK(stays_on[0].load() == 0);
    CHECK(stays_on[1].load() == 1);
}

TEST_CASE("what was left to a worker that then cannot be set up is taken by the others") {
    atomic<bool> may_fail{false};
    TestScheduler<> two(2, [&](SchedulerOptions& options) {
        options.enter_worker = [&](Worker& worker) {
            while (!may_fail.load()) std::this_thread::yield();
            worker.refuse();
        };
    });
    atomic<int> ran{0};
    two.run([&] {
        std::vector<Pid> staying;
        for (int i = 0; i < 2; ++i) {
            staying.push_back(spawn_shared([&] {
                ran.fetch_add(1);
                park();
            }));
        }
        wait_until([&] { return ran.load() == 1; });
        may_fail.store(true);
        wait_until([&] { return ran.load() == 2; });
        for (Pid pid : staying) request_exit(pid);
        for (Pid pid : staying) join(pid);
    });
    CHECK(ran.load() == 2);
}

TEST_CASE("a started actor stays on its worker") {
    TestScheduler<> four(4);
    atomic<int> moved{0};
    four.run([&] {
        atomic<int> left{40};
        for (int i = 0; i < 40; ++i) {
            spawn_shared([&] {
                const Worker* home = this_worker();
                for (int turn = 0; turn < 50; ++turn) {
                    if (turn % 10 == 9) sleep_for(10us);
                    else pass_turn();
                    moved.fetch_add(this_worker() != home || this_actor()->worker != home);
                }
                left.fetch_sub(1);
            });
        }
        wait_until([&] { return left.load() == 0; });
    });
    CHECK(moved.load() == 0);
}

TEST_CASE("a worker that could not be set up cancels its actors and does not swallow shared work") {
    class Victim final : public Actor {
    public:
        explicit Victim(atomic<int>& cancelled) : cancelled_(cancelled) {}
        void body() noexcept override { FAIL("ran on a worker that was refused"); }
        void cancelled(bool out_of_memory) noexcept override { cancelled_.fetch_add(out_of_memory ? 1 : 100); }

    private:
        atomic<int>& cancelled_;
    };
    TestScheduler<> three(3, [](SchedulerOptions& options) {
        options.enter_worker = [](Worker& worker) {
            if (worker.index() == 1) worker.refuse();
            else worker.run();
        };
    });
    three.run([&] {
        atomic<int> cancelled{0};
        spawn(scheduler(), std::make_unique<Victim>(cancelled), Scheduler::Place::on_worker, 1);
        wait_until([&] { return cancelled.load() == 1; });
        join(spawn_on(2, [] {}));
        for (int round = 0; round < 20; ++round) {
            wait_until([] { return is_asleep(1) && is_asleep(2); });
            atomic<bool> done{false};
            spawn_shared([&] { done.store(true); });
            while (!done.load()) cpu_relax();  // worker 2 must take it: ours is busy, 1 takes nothing
        }
    });
}

// ---- messages -------------------------------------------------------------------------------------------------------

TEST_CASE("messages to an actor that has not started arrive in order") {
    TestScheduler<VirtualDriver> alone;
    std::vector<std::uint64_t> received;
    alone.run([&] {
        const Pid pid = spawn_shared(collector(received, 100));
        CHECK(scheduler().table().find_home(pid) == ActorTable::kUnstarted);
        for (std::uint64_t i = 0; i < 100; ++i) CHECK(send_number(pid, i));
        join(pid);
    });
    CHECK(received.size() == 100);
    CHECK(std::is_sorted(received.begin(), received.end()));
}

TEST_CASE("messages stay in order while the actor is taken by another worker") {
    TestScheduler<> three(3);
    three.run([&] {
        for (int round = 0; round < 300; ++round) {
            std::vector<std::uint64_t> received;
            const Pid pid = spawn_shared(collector(received, 50));
            for (std::uint64_t i = 0; i < 50; ++i) REQUIRE(send_number(pid, i));
            join(pid);
            REQUIRE(received.size() == 50);
            REQUIRE(std::is_sorted(received.begin(), received.end()));
        }
    });
}

TEST_CASE("two workers wake each other, spinning or asleep") {
    Duration spin{};
    SUBCASE("spinning") { spin = 50us; }
    SUBCASE("asleep at once") { spin = 0us; }
    TestScheduler<> two(2, [&](SchedulerOptions& options) { options.spin_limit = spin; });
    constexpr std::uint64_t kRounds = 2000;
    std::uint64_t last = 0;
    two.run([&] {
        const Pid me = this_actor()->pid;
        const Pid echo = spawn_on(1, [me] {
            std::uint64_t number = 0;
            while (receive_number(number) && number < kRounds) send_number(me, number);
        });
        for (std::uint64_t i = 0; i < kRounds; ++i) {
            REQUIRE(send_number(echo, i));
            REQUIRE(receive_number(last));
            REQUIRE(last == i);
        }
        send_number(echo, kRounds);
        join(echo);
    });
    CHECK(last == kRounds - 1);
}

TEST_CASE("messages that reach nobody are dead letters") {
    TestScheduler<> two(2);
    two.run([&] {
        const Pid ended = spawn_here([] {});
        join(ended);
        OwnedParcel parcel = number_parcel(1);
        CHECK(scheduler().send(ended, parcel) == Sent::nobody);
        CHECK(parcel);  // still ours
        CHECK(scheduler().send(Pid{}, parcel) == Sent::nobody);
        CHECK(scheduler().dead_letters() == 0);

        const Pid reader_of_one = spawn_on(1, [] {
            std::uint64_t number = 0;
            receive_number(number);
        });
        std::uint64_t accepted = 0;
        for (std::uint64_t i = 0; i < 15; ++i) accepted += send_number(reader_of_one, i) ? 1 : 0;
        // However far we got before the actor ended: all but one are dead, at the latest when they are delivered.
        wait_until([&] { return scheduler().dead_letters() == accepted - 1; });
    });
}

TEST_CASE("every message is received or a dead letter, however it races with the ends of actors") {
    constexpr int kRounds = 150;
    TestScheduler<> three(3);
    atomic<std::uint64_t> received{0};
    std::uint64_t accepted = 0;
    std::uint64_t dead = 0;
    three.run([&] {
        for (int round = 0; round < kRounds; ++round) {
            const auto reader = [&received, round] {
                std::uint64_t number = 0;
                for (int i = 0; i < round % 7; ++i) {
                    if (receive_number(number)) received.fetch_add(1);
                }
            };
            const Pid pids[] = {spawn_shared(reader), spawn_on(1, reader), spawn_on(2, reader), spawn_here(reader)};
            for (int i = 0; i < 12; ++i) {
                for (const Pid pid : pids) accepted += send_number(pid, 1) ? 1 : 0;
            }
            for (const Pid pid : pids) join(pid);
        }
        wait_until([&] { return received.load() + scheduler().dead_letters() == accepted; });
        dead = scheduler().dead_letters();
    });
    CHECK(received.load() + dead == accepted);
}

TEST_CASE("messages to actors found by looking at the table are not lost, even when they were just made") {
    TestScheduler<> two(2);
    two.run([&] {
        atomic<bool> done{false};
        atomic<std::uint64_t> accepted{0};
        atomic<std::uint64_t> received{0};
        // Sends to everybody it can see, from the other worker.
        const Pid sender = spawn_on(1, [&] {
            while (!done.load()) {
                std::vector<Pid> pids;
                scheduler().table().for_each([&](const ActorSnapshot& actor) { pids.push_back(actor.pid); });
                for (const Pid pid : pids) {
                    if (pid.index > 1 && send_number(pid, 1)) accepted.fetch_add(1);
                }
            }
        });
        for (int i = 0; i < 20'000; ++i) {
            const Pid pid = spawn_here([&] {
                pass_turn();
                while (!this_actor()->mailbox.empty()) {
                    this_actor()->mailbox.pop();
                    received.fetch_add(1);
                }
            });
            if (i % 4 == 0) join(pid);
        }
        done.store(true);
        join(sender);
        wait_until([&] { return this_worker()->live_count() == 1; });
        wait_until([&] { return received.load() + scheduler().dead_letters() == accepted.load(); });
    });
}

// ---- the end --------------------------------------------------------------------------------------------------------

TEST_CASE("stop asks every parked actor of every worker to exit, and run_main waits for them") {
    constexpr int kActors = 200;
    atomic<int> asked{0};
    {
        TestScheduler<> three(3);
        three.run([&] {
            atomic<int> parked{0};
            for (unsigned i = 0; i < kActors; ++i) {
                spawn_on(i % 3, [&] {
                    parked.fetch_add(1);
                    if (park() == Wake::exit_requested) asked.fetch_add(1);
                });
            }
            wait_until([&] { return parked.load() == kActors; });
        });
        CHECK(three->abandoned() == 0);
        CHECK(!three->stuck());
    }
    CHECK(asked.load() == kActors);
}

TEST_CASE("actors that have not started when the scheduler stops never run") {
    int ran = 0;
    TestScheduler<VirtualDriver> alone;
    alone.run([&] {
        for (int i = 0; i < 50; ++i) {
            spawn_shared([&] { ++ran; });
            spawn_here([&] { ++ran; });
        }
    });
    CHECK(ran == 0);
    CHECK(alone->table().alive() == 0);
}

TEST_CASE("after stop nothing is spawned, and the actor stays with the caller") {
    TestScheduler<VirtualDriver> alone;
    alone.run([&] {
        scheduler().stop();
        for (const auto place : {Scheduler::Place::local, Scheduler::Place::shared, Scheduler::Place::on_worker}) {
            std::unique_ptr<Actor> actor = std::make_unique<NativeActor>([] {});
            CHECK(!scheduler().spawn(actor, place, 0));
            CHECK(actor);
        }
    });
}

TEST_CASE("an actor may take its time to clean up, with parks of its own") {
    TestScheduler<VirtualDriver> alone;
    bool cleaned_up = false;
    alone.run([&] {
        spawn_here([&] {
            CHECK(park() == Wake::exit_requested);
            CHECK(sleep_for(1ms) == Wake::timed_out);
            cleaned_up = true;
        });
        pass_turn();
    });
    CHECK(cleaned_up);
    CHECK(alone->abandoned() == 0);
}

TEST_CASE("an actor that parks again is asked three times within the stop timeout") {
    TestScheduler<VirtualDriver> alone(1, [](SchedulerOptions& options) { options.stop_timeout = 9s; });
    int asked = 0;
    Duration until_third{};
    alone.run([&] {
        spawn_here([&] {
            const Instant begin = this_worker()->driver().now();
            while (asked < 3) asked += park() == Wake::exit_requested;
            until_third = this_worker()->driver().now() - begin;
        });
        pass_turn();
    });
    CHECK(asked == 3);
    CHECK(alone->abandoned() == 0);
    CHECK(until_third >= 6s);
    CHECK(until_third < 9s);
}

TEST_CASE("an actor that refuses every request is given up, and the others still end") {
    const auto end = run_in_child([] {  // what was given up still has its stack: nothing may be destroyed
        auto& alone =
            *new TestScheduler<VirtualDriver>(1, [](SchedulerOptions& options) { options.stop_timeout = 3s; });
        int refused = 0;
        int ended = 0;
        alone.run([&] {
            spawn_here([&] {
                for (;;) refused += park() == Wake::exit_requested;
            });
            for (int i = 0; i < 5; ++i) {
                spawn_here([&] {
                    park();
                    ++ended;
                });
            }
            pass_turn();
        });
        if (refused != 3) _exit(1);
        if (ended != 5) _exit(2);
        if (alone->abandoned() != 1) _exit(3);
        if (alone->stuck()) _exit(4);
    });
    CHECK(end.signal == 0);
    CHECK(end.exit_code == 0);
}

TEST_CASE("a worker whose actor never parks is left behind") {
    const auto end = run_in_child([] {
        auto& two = *new TestScheduler<>(2, [](SchedulerOptions& options) { options.stop_timeout = 30ms; });
        two.run([&] {
            static atomic<bool> spinning{false};
            spawn_on(1, [] {
                spinning.store(true);
                for (;;) cpu_relax();
            });
            while (!spinning.load()) cpu_relax();
        });
        if (!two->stuck()) _exit(1);
        if (two->abandoned() != 1) _exit(2);
    });
    CHECK(end.signal == 0);
    CHECK(end.exit_code == 0);
}

TEST_CASE("a scheduler that never ran gives back its actors and their messages") {
    struct Witness final : Shared {
        explicit Witness(int& count) noexcept : alive(count) { ++alive; }
        ~Witness() override { --alive; }
        int& alive;
    };
    int alive = 0;
    {
        TestScheduler<VirtualDriver> never_run;
        auto witness = make_shared_ref<Witness>(alive);
        const Pid pid = spawn(*never_run, std::make_unique<NativeActor>([witness] {}), Scheduler::Place::shared);
        ParcelBuilder builder;
        builder.attach(make_shared_ref<Witness>(alive));
        OwnedParcel parcel = builder.finish();
        CHECK(never_run->send(pid, parcel) == Sent::yes);
        CHECK(cancel(*never_run, pid, Duration::zero()));
        CHECK(alive == 2);
    }
    CHECK(alive == 0);
}

// ---- under load -----------------------------------------------------------------------------------------------------

TEST_CASE("a tree of spawns over four workers reports every leaf to its root") {
    constexpr std::uint64_t kDepth = 9;
    struct Tree {
        static void grow(Pid parent, std::uint64_t depth) {
            if (depth == 0) {
                send_number(parent, 1);
                return;
            }
            const Pid me = this_actor()->pid;
            for (unsigned child = 0; child < 2; ++child) {
                const auto grow_child = [me, depth] { grow(me, depth - 1); };
                if (depth % 3 == 0) spawn_here(grow_child);
                else if (depth % 3 == 1) spawn_on((here() + child) % 4, grow_child);
                else spawn_shared(grow_child);
            }
            std::uint64_t sum = 0;
            for (int i = 0; i < 2; ++i) {
                std::uint64_t leaves = 0;
                if (!receive_number(leaves)) return;
                sum += leaves;
            }
            send_number(parent, sum);
        }
    };
    TestScheduler<> four(4);
    std::uint64_t leaves = 0;
    four.run([&] {
        for (int round = 0; round < 5; ++round) {
            const Pid me = this_actor()->pid;
            spawn_shared([me] { Tree::grow(me, kDepth); });
            REQUIRE(receive_number(leaves));
            REQUIRE(leaves == 1u << kDepth);
        }
    });
}

TEST_CASE("many senders on many workers: each one's messages arrive in order, none is lost") {
    constexpr std::uint64_t kSenders = 24;
    constexpr std::uint64_t kMessages = 300;
    TestScheduler<> four(4);
    std::uint64_t out_of_order = 0;
    std::uint64_t received = 0;
    four.run([&] {
        const Pid me = this_actor()->pid;
        for (std::uint64_t sender = 0; sender < kSenders; ++sender) {
            spawn_on(static_cast<unsigned>(sender % 4), [me, sender] {
                for (std::uint64_t i = 0; i < kMessages; ++i) {
                    send_number(me, sender << 32 | i);
                    if (i % 16 == sender % 16) pass_turn();
                    if (i % 100 == 50) sleep_for(20us);
                }
            });
        }
        std::vector<std::uint64_t> next(kSenders);
        while (received < kSenders * kMessages) {
            std::uint64_t number = 0;
            REQUIRE(receive_number(number));
            ++received;
            out_of_order += next[number >> 32]++ != (number & UINT32_MAX);
        }
    });
    CHECK(received == kSenders * kMessages);
    CHECK(out_of_order == 0);
}

TEST_CASE("exit requests from all sides end every actor exactly once") {
    constexpr int kActors = 300;
    TestScheduler<> three(3);
    atomic<int> ended{0};
    three.run([&] {
        std::vector<Pid> pids;
        for (int i = 0; i < kActors; ++i) {
            const auto victim = [&] {
                while (sleep_for(50us) != Wake::exit_requested) {}
                ended.fetch_add(1);
            };
            pids.push_back(i % 2 ? spawn_shared(victim) : spawn_on(static_cast<unsigned>(i % 3), victim));
        }
        const auto killer = [&pids] {
            for (const Pid pid : pids) {
                request_exit(pid);
                pass_turn();
            }
        };
        const Pid killers[] = {spawn_on(0, killer), spawn_on(1, killer), spawn_on(2, killer)};
        for (const Pid pid : pids) join(pid);
        for (const Pid pid : killers) join(pid);
    });
    // Some were asked before their first turn and never ran.
    CHECK(ended.load() <= kActors);
    CHECK(three->table().alive() == 0);
    CHECK(three->abandoned() == 0);
}

TEST_CASE("schedulers may come and go") {
    for (int round = 0; round < 30; ++round) {
        TestScheduler<> three(3);
        atomic<int> runs{0};
        three.run([&] {
            for (unsigned i = 0; i < 3; ++i) spawn_on(i, [&] { runs.fetch_add(1); });
            for (int i = 0; i < 3; ++i) spawn_shared([&] { runs.fetch_add(1); });
            if (round % 2) wait_until([&] { return runs.load() == 6; });
        });
        CHECK(runs.load() <= 6);
        CHECK(three->table().alive() == 0);
    }
}

namespace {
struct WitnessPost final : PostOf<WitnessPost> {
    void arrived(Worker&) noexcept { ++arrivals; }
    void lost(Scheduler&) noexcept { ++losses; }
    int arrivals = 0;
    int losses = 0;
};
}  // namespace

TEST_CASE("a post arrives while its worker runs; afterwards it learns that nobody is there") {
    TestScheduler<VirtualDriver> alone;
    WitnessPost early;
    alone.run([&] {
        this_worker()->post(early);
        pass_turn();
    });
    CHECK(early.arrivals == 1);
    CHECK(early.losses == 0);
    WitnessPost late;
    alone->worker(0)->post(late);
    CHECK(late.arrivals == 0);
    CHECK(late.losses == 1);
}
