#include "smarm/msg/mailbox.h"

#include <cstdint>
#include <deque>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "../support/child.h"
#include "smarm/base/sanitizer.h"

using namespace smarm;
using smarm::testing::run_in_child;

namespace {

// Local objects that are only numbers: 8 * (number + 1), never followed.
std::vector<std::uint64_t> released;
void note_release(void* object) { released.push_back(reinterpret_cast<std::uintptr_t>(object) / 8 - 1); }

Message number(std::uint64_t value) {
    Message::set_local_release(note_release);
    return Message::local(reinterpret_cast<void*>((value + 1) * 8));
}
std::uint64_t value_of(Message message) { return reinterpret_cast<std::uintptr_t>(message.take_local()) / 8 - 1; }

}  // namespace

static_assert(sizeof(Mailbox) == 32, "an idle actor pays for this");

TEST_CASE("messages come out in the order in which they went in, however push and pop alternate") {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        Mailbox mailbox;
        std::deque<std::uint64_t> expected;
        std::uint64_t next = 0;
        for (int step = 0; step < 2000; ++step) {
            // Long runs of either kind, so that the ring grows, empties and wraps around.
            const bool push = random() % 16 < 4 + static_cast<unsigned>(round % 10);
            if (push) {
                REQUIRE(mailbox.push(number(next)));
                expected.push_back(next++);
            } else if (!mailbox.empty()) {
                REQUIRE(value_of(mailbox.pop()) == expected.front());
                expected.pop_front();
            }
            REQUIRE(mailbox.size() == expected.size());
            if (!expected.empty()) {
                const std::size_t position = random() % expected.size();
                auto* object = mailbox.at(position).local_object();
                REQUIRE(reinterpret_cast<std::uintptr_t>(object) / 8 - 1 == expected[position]);
            }
        }
        mailbox.clear();
    }
}

TEST_CASE("clear drops every message, oldest first, and says how many") {
    Mailbox mailbox;
    for (std::uint64_t i = 0; i < 9; ++i) REQUIRE(mailbox.push(number(i)));
    CHECK(value_of(mailbox.pop()) == 0);
    released.clear();
    CHECK(mailbox.clear() == 8);
    CHECK(released == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(mailbox.empty());
    CHECK(mailbox.clear() == 0);
    REQUIRE(mailbox.push(number(42)));
    CHECK(value_of(mailbox.pop()) == 42);
}

TEST_CASE("a mailbox that dies releases its messages") {
    released.clear();
    {
        Mailbox mailbox;
        REQUIRE(mailbox.push(number(5)));
        REQUIRE(mailbox.push(number(6)));
    }
    CHECK(released == std::vector<std::uint64_t>{5, 6});
}

TEST_CASE("what a release pushes into the mailbox that is being cleared is dropped, too") {
    static Mailbox* target;
    static int left;
    Mailbox mailbox;
    target = &mailbox;
    left = 20;
    Message::set_local_release([](void*) {
        // More than fits, so that the ring grows under clear().
        for (int i = 0; i < 3 && left > 0; ++i, --left) target->push(Message::local(reinterpret_cast<void*>(8)));
    });
    mailbox.push(Message::local(reinterpret_cast<void*>(8)));
    CHECK(mailbox.clear() == 21);
    CHECK(mailbox.empty());
}

TEST_CASE("taking from an empty mailbox is a bug that is reported") {
    const auto end = run_in_child([] {
        Mailbox mailbox;
        mailbox.pop();
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.said("pop from an empty mailbox"));
}

#if !defined(SMARM_ADDRESS_SANITIZER) && \
    !defined(SMARM_THREAD_SANITIZER)  // they need more address space than any limit
TEST_CASE("without memory push leaves the message with the caller and the mailbox as it was") {
    const auto end = run_in_child([] {
        Mailbox mailbox;
        std::uint64_t pushed = 0;
        while (pushed < 1000) mailbox.push(number(pushed++));
        const rlimit limit{32 << 20, 32 << 20};
        setrlimit(RLIMIT_AS, &limit);
        for (;; ++pushed) {
            Message message = number(pushed);
            if (mailbox.push(std::move(message))) continue;
            if (value_of(std::move(message)) != pushed) _exit(1);
            break;
        }
        if (mailbox.size() != pushed) _exit(2);
        for (std::uint64_t i = 0; i < pushed; ++i) {
            if (value_of(mailbox.pop()) != i) _exit(3);
        }
        if (!mailbox.push(number(1))) _exit(4);
    });
    CHECK(end.signal == 0);
    CHECK(end.exit_code == 0);
}
#endif
