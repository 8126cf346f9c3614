#include "smarm/actor/actor_table.h"

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sched.h>

using namespace smarm;

namespace {

struct IdleActor final : Actor {
    void body() noexcept override {}
};

struct NumberedPost final : PostOf<NumberedPost> {
    explicit NumberedPost(int its_number) noexcept : number(its_number) {}
    void arrived(Worker&) noexcept {}
    void lost(Scheduler&) noexcept {}
    int number;
};

std::vector<int> numbers_of(MpscNode* chain) {
    std::vector<int> numbers;
    for (; chain; chain = chain->next) numbers.push_back(static_cast<NumberedPost*>(chain)->number);
    return numbers;
}

// The life of an actor of which the table sees no more than this.
void end_life(ActorTable& table, Actor& actor) {
    table.settle(actor, 0);
    table.release(actor);
}

}  // namespace

TEST_CASE("a fresh table knows nobody") {
    ActorTable table;
    ActorSnapshot seen;
    const Pid strangers[] = {Pid{}, Pid{0, 1}, Pid{ActorTable::kSegmentSlots, 1}, Pid{UINT32_MAX, UINT32_MAX}};
    for (const Pid pid : strangers) {
        CHECK(table.find_home(pid) == ActorTable::kNobody);
        CHECK(table.own(pid) == nullptr);
        CHECK(!table.look(pid, seen));
    }
    table.for_each([](const ActorSnapshot&) { FAIL("visited nobody"); });
    CHECK(table.alive() == 0);
}

TEST_CASE("an actor has no home, then one, then its pid is stale") {
    ActorTable table;
    IdleActor actor;
    REQUIRE(table.allocate(actor) == Allocated::yes);
    const Pid pid = actor.pid;
    CHECK(pid);
    CHECK(table.find_home(pid) == ActorTable::kUnstarted);
    CHECK(table.alive() == 1);

    CHECK(table.settle(actor, 3) == nullptr);
    CHECK(table.find_home(pid) == 3);
    CHECK(table.own(pid) == &actor);

    table.release(actor);
    CHECK(table.find_home(pid) == ActorTable::kNobody);
    CHECK(table.own(pid) == nullptr);
    ActorSnapshot seen;
    CHECK(!table.look(pid, seen));
    CHECK(table.alive() == 0);
}

TEST_CASE("a pid with the index of a living actor and another generation is nobody's") {
    ActorTable table;
    IdleActor actor;
    REQUIRE(table.allocate(actor) == Allocated::yes);
    table.settle(actor, 0);
    for (const std::uint32_t generation : {actor.pid.generation - 1, actor.pid.generation + 1, UINT32_MAX}) {
        const Pid other{actor.pid.index, generation};
        CHECK(table.find_home(other) == ActorTable::kNobody);
        CHECK(table.own(other) == nullptr);
        ActorSnapshot seen;
        CHECK(!table.look(other, seen));
    }
    table.release(actor);
}

TEST_CASE("a slot is used again, its pids never") {
    ActorTable table;
    std::set<std::uint64_t> seen;
    std::set<std::uint32_t> indices;
    for (int i = 0; i < 20'000; ++i) {
        IdleActor actor;
        REQUIRE(table.allocate(actor) == Allocated::yes);
        REQUIRE(seen.insert(actor.pid.bits()).second);
        indices.insert(actor.pid.index);
        end_life(table, actor);
    }
    CHECK(indices.size() == 1);
    for (const std::uint64_t bits : seen) REQUIRE(table.find_home(Pid::from_bits(bits)) == ActorTable::kNobody);
}

TEST_CASE("a table does not use the pids of the tables before it") {
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 10; ++i) {
        ActorTable table;
        for (const std::uint64_t bits : seen) CHECK(table.find_home(Pid::from_bits(bits)) == ActorTable::kNobody);
        for (int life = 0; life <= i; ++life) {
            IdleActor actor, other;
            REQUIRE(table.allocate(actor) == Allocated::yes);
            REQUIRE(table.allocate(other, 0) == Allocated::yes);
            CHECK(seen.insert(actor.pid.bits()).second);
            CHECK(seen.insert(other.pid.bits()).second);
            end_life(table, actor);
            if (life < i) table.release(other);
        }
    }
}

TEST_CASE("an actor that has its home from the start takes no early posts") {
    ActorTable table;
    IdleActor first, second;
    for (IdleActor* actor : {&first, &second}) {  // in a fresh slot and in one that was used
        REQUIRE(table.allocate(*actor, 2) == Allocated::yes);
        CHECK(table.find_home(actor->pid) == 2);
        NumberedPost post(1);
        CHECK(!table.post_early(actor->pid, post));
        table.release(*actor);
    }
    CHECK(first.pid.index == second.pid.index);
}

TEST_CASE("actors of several segments are all found and visited once, in index order") {
    ActorTable table;
    const std::size_t count = 2 * ActorTable::kSegmentSlots + 10;
    std::vector<std::unique_ptr<IdleActor>> actors(count);
    for (std::size_t i = 0; i < count; ++i) {
        actors[i] = std::make_unique<IdleActor>();
        REQUIRE(table.allocate(*actors[i]) == Allocated::yes);
        if (i % 3 == 0) table.settle(*actors[i], static_cast<int>(i % 5));
    }
    CHECK(table.alive() == count);
    std::vector<std::uint32_t> visited;
    table.for_each([&](const ActorSnapshot& actor) {
        CHECK(actor.home == table.find_home(actor.pid));
        visited.push_back(actor.pid.index);
    });
    CHECK(visited.size() == count);
    CHECK(std::is_sorted(visited.begin(), visited.end()));
    for (auto& actor : actors) end_life(table, *actor);
    table.for_each([](const ActorSnapshot&) { FAIL("visited an actor that ended"); });
}

TEST_CASE("posts that come before the actor has a home wait for it, oldest first") {
    ActorTable table;
    IdleActor actor;
    REQUIRE(table.allocate(actor) == Allocated::yes);
    NumberedPost first(1), second(2), third(3), late(4);
    CHECK(table.post_early(actor.pid, first));
    CHECK(table.post_early(actor.pid, second));
    CHECK(table.post_early(actor.pid, third));
    CHECK(numbers_of(table.settle(actor, 0)) == std::vector<int>{1, 2, 3});

    CHECK(!table.post_early(actor.pid, late));
    CHECK(table.find_home(actor.pid) == 0);
    const Pid stale = actor.pid;
    table.release(actor);
    CHECK(!table.post_early(stale, late));
}

TEST_CASE("the next actor of a slot takes early posts again") {
    ActorTable table;
    IdleActor first, second;
    REQUIRE(table.allocate(first) == Allocated::yes);
    end_life(table, first);
    REQUIRE(table.allocate(second) == Allocated::yes);
    REQUIRE(second.pid.index == first.pid.index);
    NumberedPost post(7);
    CHECK(table.post_early(second.pid, post));
    CHECK(numbers_of(table.settle(second, 1)) == std::vector<int>{7});
    table.release(second);
}

TEST_CASE("what is seen of an actor is a copy, which stays when the actor is gone") {
    ActorTable table;
    auto actor = std::make_unique<IdleActor>();
    actor->name = std::make_shared<std::string>("somebody");
    actor->parent = Pid{7, 7};
    actor->mailbox_limit = std::make_unique<MailboxLimit>(3, 0, OnMailboxFull::error);
    REQUIRE(table.allocate(*actor) == Allocated::yes);
    table.settle(*actor, 2);
    actor->state.store(ActorState::parked);
    actor->wait_reason.store(WaitReason::sleep);
    const Pid pid = actor->pid;
    ActorSnapshot seen;
    REQUIRE(table.look(pid, seen));
    table.release(*actor);
    actor.reset();
    CHECK(seen.pid == pid);
    CHECK(seen.home == 2);
    CHECK(seen.parent == Pid{7, 7});
    CHECK(*seen.name == "somebody");
    CHECK(seen.state == ActorState::parked);
    CHECK(seen.wait_reason == WaitReason::sleep);
    CHECK(seen.mailbox_limit == 3);
}

TEST_CASE("whoever goes through the actors may look at others, and end some, meanwhile") {
    ActorTable table;
    std::vector<std::unique_ptr<IdleActor>> actors(40);
    for (auto& actor : actors) {
        actor = std::make_unique<IdleActor>();
        REQUIRE(table.allocate(*actor) == Allocated::yes);
        table.settle(*actor, 0);
    }
    table.for_each([&](const ActorSnapshot& visited) {
        ActorSnapshot seen;
        CHECK(table.look(visited.pid, seen));  // would wait for ever for a lock that is held here
        table.release(*actors[visited.pid.index]);
    });
    CHECK(table.alive() == 0);
}

TEST_CASE("a worker finds its own actors, segment by segment") {
    ActorTable table;
    std::vector<std::unique_ptr<IdleActor>> actors(ActorTable::kSegmentSlots + 100);
    for (std::size_t i = 0; i < actors.size(); ++i) {
        actors[i] = std::make_unique<IdleActor>();
        REQUIRE(table.allocate(*actors[i]) == Allocated::yes);
        if (i % 2) table.settle(*actors[i], static_cast<int>(i % 3));
    }
    std::size_t found = 0;
    ActorTable::Own own;
    for (std::uint32_t index = 0; table.own_from(index, 1, own);) {
        found += own.count;
        for (std::size_t i = 0; i < own.count; ++i) CHECK(table.find_home(own.actors[i]->pid) == 1);
    }
    std::size_t expected = 0;
    for (std::size_t i = 0; i < actors.size(); ++i) expected += i % 2 && i % 3 == 1;
    CHECK(found == expected);
    for (auto& actor : actors) end_life(table, *actor);
}

TEST_CASE("threads may allocate, settle, release, look up and visit at the same time") {
    constexpr int kThreads = 3;
    constexpr int kLives = 3000;
    ActorTable table;
    atomic<bool> done{false};
    atomic<std::uint64_t> some_pid{0};

    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            std::mt19937 random(static_cast<unsigned>(thread));
            std::vector<std::unique_ptr<IdleActor>> mine;
            for (int i = 0; i < kLives; ++i) {
                auto actor = std::make_unique<IdleActor>();
                if (table.allocate(*actor) != Allocated::yes) std::abort();
                some_pid.store(actor->pid.bits(), memory_order_relaxed);
                actor->state.store(ActorState::ready, memory_order_relaxed);
                table.settle(*actor, thread);
                if (table.find_home(actor->pid) != thread || table.own(actor->pid) != actor.get()) std::abort();
                mine.push_back(std::move(actor));
                if (random() % 2) {
                    std::swap(mine[random() % mine.size()], mine.back());
                    const Pid pid = mine.back()->pid;
                    table.release(*mine.back());
                    if (table.find_home(pid) != ActorTable::kNobody) std::abort();
                    mine.pop_back();
                }
            }
            for (auto& actor : mine) table.release(*actor);
        });
    }
    std::thread visitor([&] {
        while (!done.load()) {
            table.for_each([](const ActorSnapshot& actor) {
                if (!actor.pid) std::abort();
            });
        }
    });
    std::thread looker([&] {
        while (!done.load()) {
            const Pid pid = Pid::from_bits(some_pid.load(memory_order_relaxed));
            ActorSnapshot seen;
            if (table.look(pid, seen) && seen.pid != pid) std::abort();
            table.find_home(pid);
        }
    });
    for (auto& thread : threads) thread.join();
    done.store(true);
    visitor.join();
    looker.join();
    CHECK(table.alive() == 0);
}

TEST_CASE("what one sender sends stays in order while the actor gets its home") {
    constexpr int kRounds = 300;
    constexpr int kPosts = 20;
    for (int round = 0; round < kRounds; ++round) {
        ActorTable table;
        IdleActor actor;
        REQUIRE(table.allocate(actor) == Allocated::yes);
        const Pid pid = actor.pid;
        MpscStack inbox;  // of the home worker
        std::vector<std::unique_ptr<NumberedPost>> posts;
        for (int i = 0; i < kPosts; ++i) posts.push_back(std::make_unique<NumberedPost>(i));

        atomic<int> sent{0};
        std::thread sender([&] {
            for (auto& post : posts) {
                while (table.find_home(pid) != ActorTable::kUnstarted || !table.post_early(pid, *post)) {
                    if (table.find_home(pid) == 0 && inbox.push(*post)) break;
                }
                sent.fetch_add(1);
            }
        });
        while (sent.load() < round % kPosts) cpu_relax();
        std::vector<int> received = numbers_of(table.settle(actor, 0));
        sender.join();
        for (int number : numbers_of(inbox.take_all())) received.push_back(number);

        REQUIRE(received.size() == kPosts);
        REQUIRE(std::is_sorted(received.begin(), received.end()));
        table.release(actor);
    }
}
