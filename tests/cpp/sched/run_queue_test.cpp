#include "smarm/sched/run_queue.h"

#include <doctest/doctest.h>

using namespace smarm;

namespace {
struct IdleActor final : Actor {
    void body() noexcept override {}
};
}  // namespace

TEST_CASE("the actor that has waited longest comes first") {
    RunQueue queue;
    IdleActor actors[3];
    CHECK(queue.empty());
    for (auto& actor : actors) queue.push(actor);
    CHECK(queue.size() == 3);
    CHECK(queue.front() == &actors[0]);
    CHECK(&queue.pop() == &actors[0]);
    queue.push(actors[0]);
    CHECK(&queue.pop() == &actors[1]);
    CHECK(&queue.pop() == &actors[2]);
    CHECK(&queue.pop() == &actors[0]);
    CHECK(queue.empty());
    CHECK(queue.size() == 0);
    CHECK(queue.front() == nullptr);
}

TEST_CASE("an actor may be put in front, also of an empty queue") {
    RunQueue queue;
    IdleActor actors[3];
    queue.push_front(actors[1]);
    queue.push(actors[2]);
    queue.push_front(actors[0]);
    for (auto& actor : actors) CHECK(&queue.pop() == &actor);
    CHECK(queue.empty());
}

TEST_CASE("an actor may be taken from any place, and the others keep their order") {
    for (std::size_t position = 0; position < 3; ++position) {
        RunQueue queue;
        IdleActor actors[4];
        for (int i = 0; i < 3; ++i) queue.push(actors[i]);
        CHECK(&queue.take(position) == &actors[position]);
        queue.push(actors[3]);
        for (std::size_t i = 0; i < 4; ++i) {
            if (i != position) CHECK(&queue.pop() == &actors[i]);
        }
        CHECK(queue.empty());
    }
}
