#include "smarm/actor/registry.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "smarm/base/sync.h"

using namespace smarm;

namespace {
constexpr Pid kFirst{1, 1};
constexpr Pid kSecond{2, 1};
}  // namespace

TEST_CASE("a name finds the pid that it was given to, until it is removed") {
    Registry names;
    CHECK(!names.find("a"));
    CHECK(names.add("a", kFirst));
    CHECK(names.find("a") == kFirst);
    CHECK(names.remove("a"));
    CHECK(!names.remove("a"));
    CHECK(!names.find("a"));
}

TEST_CASE("a name that is taken stays where it is") {
    Registry names;
    CHECK(names.add("a", kFirst));
    CHECK(!names.add("a", kSecond));
    CHECK(!names.add("a", kFirst));
    CHECK(names.find("a") == kFirst);
}

TEST_CASE("a pid may have several names, and loses all of them at once") {
    Registry names;
    for (const char* name : {"a", "b", "c"}) CHECK(names.add(name, kFirst));
    CHECK(names.add("d", kSecond));
    std::vector<std::string> own = names.names_of(kFirst);
    std::sort(own.begin(), own.end());
    CHECK(own == std::vector<std::string>{"a", "b", "c"});
    names.drop_all(kFirst);
    CHECK(names.names_of(kFirst).empty());
    CHECK(names.names() == std::vector<std::string>{"d"});
    CHECK(names.add("a", kSecond));
}

TEST_CASE("a name is any text") {
    Registry names;
    const std::string odd("\0 \xf0\x9f\x8c\xb1", 6);
    CHECK(names.add(odd, kFirst));
    CHECK(names.find(odd) == kFirst);
    CHECK(!names.find(std::string(1, '\0')));
}

TEST_CASE("of many threads that want a name one gets it") {
    constexpr int kThreads = 4;
    constexpr int kNames = 1000;
    Registry names;
    atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] {
            for (int name = 0; name < kNames; ++name) taken += names.add(std::to_string(name), Pid{i, 1});
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(taken.load() == kNames);
    CHECK(names.names().size() == kNames);
}
