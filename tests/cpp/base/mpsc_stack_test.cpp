#include "smarm/base/mpsc_stack.h"

#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace smarm;

namespace {

struct Note : MpscNode {
    int producer = 0;
    int number = 0;
};

std::vector<int> numbers(MpscNode* chain) {
    std::vector<int> found;
    for (; chain; chain = chain->next) found.push_back(static_cast<Note*>(chain)->number);
    return found;
}

struct Producers {
    static constexpr int kProducers = 4, kEach = 50'000;
    std::vector<std::unique_ptr<Note[]>> notes;
    std::vector<std::thread> threads;
    std::vector<int> refused = std::vector<int>(kProducers, 0);

    explicit Producers(MpscStack& stack) {
        for (int producer = 0; producer < kProducers; ++producer) notes.push_back(std::make_unique<Note[]>(kEach));
        for (int producer = 0; producer < kProducers; ++producer)
            threads.emplace_back([this, &stack, producer] { push_all(stack, producer); });
    }
    void push_all(MpscStack& stack, int producer) {
        for (int i = 0; i < kEach; ++i) {
            Note& note = notes[static_cast<std::size_t>(producer)][static_cast<std::size_t>(i)];
            note.producer = producer;
            note.number = i;
            if (!stack.push(note)) ++refused[static_cast<std::size_t>(producer)];
        }
    }
    void join() {
        for (std::thread& thread : threads) thread.join();
    }
};

}  // namespace

TEST_CASE("take_all gives everything, oldest first, and leaves the stack empty") {
    MpscStack stack;
    CHECK(stack.empty());
    CHECK(stack.take_all() == nullptr);
    Note notes[3];
    for (int i = 0; i < 3; ++i) {
        notes[i].number = i;
        CHECK(stack.push(notes[i]));
    }
    CHECK_FALSE(stack.empty());
    CHECK(numbers(stack.take_all()) == std::vector{0, 1, 2});
    CHECK(stack.empty());
    CHECK(stack.take_all() == nullptr);
}

TEST_CASE("a closed stack refuses pushes and gave out what it had; reopened it accepts again") {
    MpscStack stack;
    Note before, during, after;
    stack.push(before);
    CHECK(stack.close() == &before);
    CHECK(stack.empty());
    CHECK_FALSE(stack.push(during));
    CHECK(during.next == nullptr);
    stack.reopen();
    CHECK(stack.push(after));
    CHECK(stack.take_all() == &after);
}

TEST_CASE("closing a closed stack gives nothing") {
    MpscStack stack;
    CHECK(stack.close() == nullptr);
    CHECK(stack.close() == nullptr);
}

TEST_CASE("of many producers nothing is lost or doubled, and each one's order is kept") {
    MpscStack stack;
    Producers producers(stack);
    std::vector<int> next(Producers::kProducers, 0);
    for (int taken = 0; taken < Producers::kProducers * Producers::kEach;) {
        for (MpscNode* node = stack.take_all(); node; ++taken) {
            const Note& note = *static_cast<Note*>(node);
            node = node->next;
            REQUIRE(note.number == next[static_cast<std::size_t>(note.producer)]++);
        }
    }
    producers.join();
    CHECK(stack.empty());
}

TEST_CASE("each push into a stack that is being closed is either given out or refused") {
    MpscStack stack;
    Producers producers(stack);
    int taken = 0;
    for (; taken < 1000;) taken += static_cast<int>(numbers(stack.take_all()).size());
    taken += static_cast<int>(numbers(stack.close()).size());
    producers.join();
    for (int refused : producers.refused) taken += refused;
    CHECK(taken == Producers::kProducers * Producers::kEach);
    CHECK(stack.empty());
}
