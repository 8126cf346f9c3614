// The C++ core with fibers for threads: one seed, one interleaving; a failure names the seed (run it alone with
// SMARM_SIM_SEED).
#include <doctest/doctest.h>

#include <cstdlib>

#include "sim/threads.h"
#include "smarm/base/mpsc_stack.h"
#include "smarm/sched/idle.h"
#include "smarm/wait/mutex.h"
#include "support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;

namespace {

// ---- running --------------------------------------------------------------------------------------------------------

class SimulatedDriver final : public Driver {
public:
    Instant now() noexcept override { return sim::now(); }
    bool poll() noexcept override { return false; }
    void wait(Instant until) noexcept override {
        sim::wait_for([this] { return woken_; }, until);
        woken_ = false;
    }
    void wake() noexcept override {
        sim::point();
        woken_ = true;
    }
    bool is_watching() const noexcept override { return false; }

private:
    bool woken_ = false;
};

using Core = TestScheduler<SimulatedDriver>;

void small(SchedulerOptions& options) {
    options.spin_limit = Duration::zero();
    options.monitor.enabled = false;  // a real thread
    options.stacks.stack_bytes = kMinStackBytes;
    options.stacks.slab_bytes = 8 * kMinStackBytes;
}

// Runs `body` once for each of `seeds` seeds, or for the one that SMARM_SIM_SEED names.
void explore_all(std::uint64_t seeds, const std::function<void()>& body) {
    std::uint64_t first = 0;
    if (const char* only = std::getenv("SMARM_SIM_SEED")) {
        first = std::strtoull(only, nullptr, 10);
        seeds = 1;
    }
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        INFO("SMARM_SIM_SEED=", seed);
        REQUIRE(sim::explore(seed, body) == sim::Outcome::finished);
    }
}

// Whether one of the first thousand seeds ends in a deadlock.
bool finds_deadlock(const std::function<void()>& body) {
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        if (sim::explore(seed, body) == sim::Outcome::deadlocked) return true;
    }
    return false;
}

void answer(Pid to, std::uint64_t number) { REQUIRE(send_number(to, number)); }

std::uint64_t expect_number() {
    std::uint64_t number = 0;
    REQUIRE(receive_number(number));
    return number;
}

}  // namespace

// ---- the inbox ------------------------------------------------------------------------------------------------------

TEST_CASE("every node pushed to an inbox is taken or refused, each producer's in order") {
    struct Node : MpscNode {
        int producer = 0;
        int number = 0;
    };
    explore_all(40'000, [] {
        MpscStack stack;
        Node nodes[2][3];
        int taken[2] = {0, 0};
        int refused = 0;
        const auto take = [&](MpscNode* node) {
            while (node) {
                auto& it = *static_cast<Node*>(std::exchange(node, node->next));
                CHECK(it.number == taken[it.producer]++);
            }
        };
        int ended = 0;
        const auto produce = [&](int producer) {
            for (int i = 0; i < 3; ++i) {
                Node& node = nodes[producer][i];
                node.producer = producer;
                node.number = i;
                if (!stack.push(node)) ++refused;
            }
            ++ended;
        };
        sim::Thread one([&] { produce(0); });
        sim::Thread two([&] { produce(1); });
        for (int i = 0; i < 2; ++i) {
            sim::point();
            take(stack.take_all());
        }
        take(stack.close());
        one.join();
        two.join();
        take(stack.close());
        REQUIRE(ended == 2);
        CHECK(taken[0] + taken[1] + refused == 6);
    });
}

// ---- park, wake, idle -----------------------------------------------------------------------------------------------

TEST_CASE("a message from another worker wakes an actor and its sleeping worker") {
    explore_all(15'000, [] {
        Core(2, small).run([] {
            const Pid me = this_actor()->pid;
            const Pid other = spawn_on(1, [me] {
                for (std::uint64_t i = 0; i < 3; ++i) {
                    CHECK(expect_number() == i);
                    answer(me, i);
                }
            });
            answer(other, 0);
            CHECK(expect_number() == 0);
            answer(other, 1);
            answer(other, 2);
            CHECK(expect_number() == 1);
            CHECK(expect_number() == 2);
        });
    });
}

TEST_CASE("a lock that workers share has one holder and forgets no waiter") {
    explore_all(15'000, [] {
        Core(2, small).run([] {
            const Pid me = this_actor()->pid;
            auto lock = make_shared_ref<Mutex>();
            lock->share();
            int inside = 0;
            int entered = 0;
            const auto work = [&, me] {
                for (int i = 0; i < 2; ++i) {
                    REQUIRE(lock->acquire(kNever) == Status::ok);
                    CHECK(++inside == 1);
                    sim::point();
                    ++entered;
                    --inside;
                    REQUIRE(lock->release());
                }
                answer(me, 0);
            };
            for (const unsigned worker : {0u, 1u, 1u}) spawn_on(worker, work);
            for (int i = 0; i < 3; ++i) expect_number();
            CHECK(entered == 6);
        });
    });
}

TEST_CASE("actors of the shared queue are taken, whoever sleeps or has not been started") {
    explore_all(15'000, [] {
        Core(3, small).run([] {
            const Pid me = this_actor()->pid;
            for (std::uint64_t i = 1; i <= 3; ++i) {
                const Pid child = spawn_shared([me] { answer(me, expect_number()); });
                answer(child, i);
            }
            std::uint64_t sum = 0;
            for (int i = 0; i < 3; ++i) sum += expect_number();
            CHECK(sum == 6);
        });
    });
}

// ---- timers ---------------------------------------------------------------------------------------------------------

TEST_CASE("a timed wait ends by its message or its deadline, and the message is not lost") {
    explore_all(15'000, [] {
        Core(2, small).run([] {
            const Pid me = this_actor()->pid;
            const Pid other = spawn_on(1, [me] {
                Mailbox& mailbox = this_actor()->mailbox;
                const Instant deadline = from_now(std::chrono::milliseconds(1));
                Wake wake = Wake::woken;
                while (mailbox.empty() && wake == Wake::woken)
                    wake = told(this_worker()->park(WaitReason::message, deadline));
                CHECK((wake == Wake::timed_out || !mailbox.empty()));
                CHECK(expect_number() == 7);
                answer(me, 1);
            });
            if (sim::chance(2)) sleep_for(std::chrono::milliseconds(1));
            answer(other, 7);
            CHECK(expect_number() == 1);
        });
    });
}

// ---- exit and shutdown ----------------------------------------------------------------------------------------------

TEST_CASE("shutdown ends every actor, parked, about to park, unstarted or asked to exit before") {
    explore_all(15'000, [] {
        Core core(3, small);
        int unwound = 0;
        core.run([&] {
            const auto waits = [&] {
                while (park() != Wake::exit_requested) {}
                ++unwound;
            };
            const Pid first = spawn_on(1, waits);
            spawn_here(waits);
            spawn_shared(waits);
            if (sim::chance(2)) request_exit(first);
            if (sim::chance(2)) sleep_for(std::chrono::milliseconds(1));
        });
        CHECK(core->table().alive() == 0);
        CHECK(core->abandoned() == 0);
        CHECK(unwound <= 3);
    });
}

// ---- links ----------------------------------------------------------------------------------------------------------

namespace {

// What an actor takes the running actor's link with `other` for.
enum class View : std::uint8_t { unknown, none, linked, unlinking };
View view_of(Pid other) {
    const auto& relations = this_actor()->relations;
    if (!relations || !relations->links.contains(other)) return View::none;
    return relations->links.at(other) == 0 ? View::linked : View::unlinking;
}

void let_arrive() { sleep_for(std::chrono::seconds(1)); }  // everything is faster than that

// Links or unlinks. Returns whether it was a link.
bool link_or_unlink(Pid other) {
    const bool links = sim::chance(2);
    if (links) link(*this_actor(), other);
    else unlink(*this_actor(), other);
    return links;
}

}  // namespace

TEST_CASE("both ends of a link agree once nothing is under way, however links and unlinks cross") {
    explore_all(15'000, [] {
        Pid ends[2];  // the ends may still look at these when the main actor has ended
        View views[2] = {};
        Core core(3, small);
        core.run([&] {
            const auto end = [&](int me) {
                return [&, me] {
                    while (!ends[1 - me]) pass_turn();
                    for (int i = 0; i < 4; ++i) {
                        link_or_unlink(ends[1 - me]);
                        if (sim::chance(2)) pass_turn();
                    }
                    let_arrive();
                    views[me] = view_of(ends[1 - me]);
                    while (views[1 - me] == View::unknown) let_arrive();
                };
            };
            ends[0] = spawn_on(1, end(0));
            ends[1] = spawn_on(2, end(1));
            while (views[0] == View::unknown || views[1] == View::unknown) let_arrive();
            CHECK(views[0] == views[1]);
            CHECK(views[0] != View::unlinking);
        });
    });
}

TEST_CASE("who is linked is told the end once, who has unlinked is not, whatever crosses it") {
    explore_all(15'000, [] {
        Core core(2, small);
        core.run([&] {
            const Pid other = spawn_on(1, [] {
                while (!sim::chance(3)) pass_turn();
                this_actor()->exit_reason = ExitReason::plain(ExitKind::shutdown);
            });
            bool linked = false;
            for (int i = 0; i < 4; ++i) {
                if (sim::chance(2)) pass_turn();
                linked = link_or_unlink(other);
                // What has arrived before an unlink came in time.
                if (!linked && this_actor()->requests.pending()) this_worker()->take_request();
            }
            int told = 0;
            for (int i = 0; i < 3; ++i) told += sleep_for(std::chrono::seconds(1)) == Wake::exit_requested;
            CHECK(told == (linked ? 1 : 0));
            CHECK(view_of(other) == View::none);
        });
    });
}

TEST_CASE("what one actor sends another arrives in order: messages, signals and its end") {
    explore_all(10'000, [] {
        Core core(2, small);
        core.run([&] {
            const Pid boss = this_actor()->pid;
            const MonitorRef ref = make_monitor_ref();
            const Pid other = spawn_on(1, [boss] {
                for (std::uint64_t number = 0; number < 3; ++number) {
                    REQUIRE(send_number(boss, number));
                    if (sim::chance(2)) pass_turn();
                }
            });
            monitor(*this_actor(), other, ref);
            for (std::uint64_t number = 0; number < 3; ++number) CHECK(expect_number() == number);
            while (this_actor()->mailbox.empty()) this_worker()->park(WaitReason::message);
            const Message down = this_actor()->mailbox.pop();
            REQUIRE(find_notice(down));
            CHECK(find_notice(down)->ref == ref);
        });
    });
}

// ---- what the search finds ------------------------------------------------------------------------------------------

namespace {

// A worker of nothing but its inbox: with `planted`, it looks there before it says that it sleeps.
void post_and_sleep(bool planted) {
    MpscStack inbox;
    MpscNode node;
    Idle idle(Duration::zero());
    SimulatedDriver driver;
    sim::Thread poster([&] {
        inbox.push(node);
        if (idle.wake_up()) driver.wake();
    });
    while (!inbox.take_all()) {
        const bool had_work = planted && !inbox.empty();
        idle.sleep([&] { return planted ? had_work : !inbox.empty(); }, [&] { driver.wait(kNever); });
    }
    poster.join();
}

// Two workers of nothing but the shared queue: whoever puts something there wakes one that is free, as
// Scheduler::find_runner. With `planted`, it chooses before.
void offer_and_sleep(bool planted) {
    atomic<int> shared{0};
    atomic<int> asleep{0};
    atomic<int> taken{0};
    Idle idle[2] = {Idle(Duration::zero()), Idle(Duration::zero())};
    SimulatedDriver drivers[2];
    const auto choose = [&]() -> int {
        if (asleep.load() > 0)
            for (int i = 0; i < 2; ++i)
                if (idle[i].is_asleep()) return i;
        return -1;
    };
    const auto work = [&](int i) {
        while (taken.load() == 0) {
            if (shared.load() > 0) {
                if (shared.exchange(0) > 0) taken.store(1);
                continue;
            }
            asleep.fetch_add(1);
            idle[i].sleep([&] { return shared.load() > 0 || taken.load() > 0; }, [&] { drivers[i].wait(kNever); });
            asleep.fetch_sub(1);
        }
        const int other = 1 - i;  // so that both end
        if (idle[other].wake_up()) drivers[other].wake();
    };
    sim::Thread second([&] { work(1); });
    sim::Thread offers([&] {
        const int before = planted ? choose() : -1;
        shared.fetch_add(1);
        const int chosen = planted ? before : choose();
        if (chosen >= 0 && idle[chosen].wake_up()) drivers[chosen].wake();
    });
    work(0);
    offers.join();
    second.join();
}

// Worker::wake_remote and deliver_actor in small: with `planted`, the flag is cleared after the actor has looked.
void wake_remote_twice(bool planted) {
    atomic<bool> posted{false};
    int condition = 0;
    int posts = 0;
    sim::Thread waker([&] {
        for (int i = 0; i < 2; ++i) {
            sim::point();
            ++condition;
            if (!posted.exchange(true)) ++posts;
        }
    });
    for (int seen = 0; seen < 2;) {
        sim::wait_for([&] { return posts > 0; });
        --posts;
        if (!planted) posted.exchange(false);
        seen = condition;
        sim::point();
        if (planted) posted.exchange(false);
    }
    waker.join();
}

}  // namespace

TEST_CASE("a worker that looks before it says that it sleeps is found; the right order is not") {
    CHECK(finds_deadlock([] { post_and_sleep(true); }));
    explore_all(5'000, [] { post_and_sleep(false); });
}

TEST_CASE("whoever looks for a free worker before there is something for it is found; the right order is not") {
    CHECK(finds_deadlock([] { offer_and_sleep(true); }));
    explore_all(5'000, [] { offer_and_sleep(false); });
}

TEST_CASE("a wake-up flag that is cleared too late is found; the right order is not") {
    CHECK(finds_deadlock([] { wake_remote_twice(true); }));
    explore_all(5'000, [] { wake_remote_twice(false); });
}
