#include "smarm/base/shared.h"

#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace smarm;

namespace {

struct Counted : Shared {
    explicit Counted(int& dead) : deaths(dead) {}
    ~Counted() override { ++deaths; }
    int& deaths;
    int value = 0;
};
struct Derived : Counted {
    using Counted::Counted;
};

}  // namespace

TEST_CASE("an object lives as long as its last reference") {
    int deaths = 0;
    Ref<Counted> first = make_shared_ref<Counted>(deaths);
    {
        Ref<Counted> second = first;
        CHECK(second.get() == first.get());
        first = nullptr;
        CHECK_FALSE(first);
        CHECK(deaths == 0);
    }
    CHECK(deaths == 1);
}

TEST_CASE("moving a reference leaves the other one empty and counts nothing") {
    int deaths = 0;
    Ref<Derived> derived = make_shared_ref<Derived>(deaths);
    Ref<Counted> base = std::move(derived);
    CHECK_FALSE(derived);  // NOLINT: a moved-from Ref is empty, this is the promise
    Ref<Counted> moved = std::move(base);
    CHECK(deaths == 0);
    moved = Ref<Counted>();
    CHECK(deaths == 1);
}

TEST_CASE("assigning a reference drops the old object, also when it is the same") {
    int deaths = 0;
    Ref<Counted> a = make_shared_ref<Counted>(deaths), b = make_shared_ref<Counted>(deaths);
    a = b;
    CHECK(deaths == 1);
    const Ref<Counted>& same = a;
    a = same;
    b = nullptr;
    CHECK(deaths == 1);
    CHECK(a->value == 0);
    a = nullptr;
    CHECK(deaths == 2);
}

TEST_CASE("adopt takes a reference over, share adds one, release gives one away") {
    int deaths = 0;
    auto* object = new Counted(deaths);
    Ref<Counted> adopted = Ref<Counted>::adopt(object);
    {
        Ref<Counted> shared = Ref<Counted>::share(object);
        CHECK(&*shared == object);
    }
    CHECK(deaths == 0);
    CHECK(adopted.release() == object);
    CHECK_FALSE(adopted);
    CHECK(deaths == 0);
    object->drop_reference();
    CHECK(deaths == 1);
    CHECK_FALSE(Ref<Counted>::share(nullptr));
}

TEST_CASE("the destructor sees what every thread wrote, and runs once") {
    constexpr int kThreads = 4;
    struct Gathered : Shared {
        explicit Gathered(int& total) : sum(total) {}
        ~Gathered() override {
            for (int part : parts) sum += part;  // plain reads: TSan checks that the drops order them
        }
        int& sum;
        int parts[kThreads] = {};
    };
    for (int round = 0; round < 200; ++round) {
        int sum = 0;
        {
            std::vector<std::thread> threads;
            Ref<Gathered> object = make_shared_ref<Gathered>(sum);
            for (int i = 0; i < kThreads; ++i)
                threads.emplace_back([i, mine = object]() mutable {
                    mine->parts[i] = 1;
                    for (int copies = 0; copies < 100; ++copies) Ref<Gathered> another = mine;
                    mine = nullptr;
                });
            object = nullptr;
            for (std::thread& thread : threads) thread.join();
        }
        REQUIRE(sum == kThreads);
    }
}
