#include "smarm/sched/timer_queue.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "../support/child.h"

using namespace smarm;
using smarm::testing::run_in_child;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kTick{1 << 16};
const Instant kOrigin{seconds(1000)};

// A timer that writes its id into a log and then does what it was told.
struct Timer : TimerNode {
    Timer(int number, std::vector<int>& log) : TimerNode(fired), id(number), fired_ids(log) {}
    static void fired(TimerNode& node) {
        auto& self = static_cast<Timer&>(node);
        self.fired_ids.push_back(self.id);
        if (self.then) self.then(self);
    }
    const int id;
    std::vector<int>& fired_ids;
    void (*then)(Timer&) = nullptr;
};

struct Fixture {
    std::vector<int> fired;
    TimerQueue queue{kOrigin};
    std::deque<Timer> timers;
    Timer& at(Duration after_origin) {
        Timer& timer = timers.emplace_back(static_cast<int>(timers.size()), fired);
        queue.arm(timer, kOrigin + after_origin);
        return timer;
    }
    std::size_t expire(Duration after_origin) { return queue.expire(kOrigin + after_origin); }
};

// The contract, written down naively: (tick, order of arming) is the order of firing.
class Model {
public:
    using Key = std::pair<std::uint64_t, std::uint64_t>;
    static std::uint64_t ticks(Duration after_origin) { return static_cast<std::uint64_t>(after_origin / kTick); }

    Key arm(Duration after_origin, std::size_t id) {
        const std::uint64_t tick = after_origin <= now_ ? ticks(now_) : ticks(after_origin + kTick - Duration(1));
        const Key key{tick, ++armed_};
        armed_ids_.emplace(key, id);
        return key;
    }
    void cancel(Key key, std::size_t id) { armed_ids_.erase({key, id}); }
    std::vector<std::size_t> expire(Duration after_origin) {
        now_ = after_origin;
        std::vector<std::size_t> fired;
        while (!armed_ids_.empty() && armed_ids_.begin()->first.first <= ticks(now_)) {
            fired.push_back(armed_ids_.begin()->second);
            armed_ids_.erase(armed_ids_.begin());
        }
        return fired;
    }
    std::size_t size() const { return armed_ids_.size(); }

private:
    std::set<std::pair<Key, std::size_t>> armed_ids_;
    Duration now_{};
    std::uint64_t armed_ = 0;
};

// A timer without a history of its own: there are a million of them.
struct Counted : TimerNode {
    Counted() : TimerNode([](TimerNode& node) { log->push_back(static_cast<Counted*>(&node)); }) {}
    static inline std::vector<Counted*>* log = nullptr;
    Model::Key key;
};

}  // namespace

TEST_CASE("a timer fires once, not before its deadline and at most a tick after it") {
    for (std::int64_t offset : {1, 65535, 65536, 65537, 1'000'000, 123'456'789}) {
        Fixture fixture;
        const Duration deadline(offset);
        Timer& timer = fixture.at(deadline);
        CHECK(fixture.expire(deadline - Duration(1)) == 0);
        CHECK(timer.armed());
        CHECK(fixture.expire(deadline + kTick - Duration(1)) == 1);
        CHECK_FALSE(timer.armed());
        CHECK(fixture.expire(seconds(10)) == 0);
    }
}

TEST_CASE_FIXTURE(Fixture, "a deadline in the past fires at the next expire") {
    expire(seconds(5));
    at(seconds(3));
    at(-seconds(2000));
    at(seconds(5));
    CHECK(queue.next_deadline() <= kOrigin + seconds(5));
    CHECK(expire(seconds(5)) == 3);
    CHECK(fired == std::vector{0, 1, 2});
}

TEST_CASE_FIXTURE(Fixture, "timers fire in the order of their ticks, and within one in the order of arming") {
    at(seconds(3600));
    at(milliseconds(5));
    at(milliseconds(1));
    at(milliseconds(5));
    at(seconds(3600));
    expire(milliseconds(2));
    at(milliseconds(5));  // armed later and closer by, same tick as 1 and 3
    expire(milliseconds(4));
    at(milliseconds(5));
    expire(seconds(3599));
    at(seconds(3600));
    CHECK(expire(seconds(4000)) == 3);
    CHECK(fired == std::vector{2, 1, 3, 5, 6, 0, 4, 7});
}

TEST_CASE_FIXTURE(Fixture, "a cancelled timer does not fire, and may be armed anew") {
    Timer &a = at(milliseconds(1)), &b = at(milliseconds(1)), &c = at(milliseconds(1));
    queue.cancel(b);
    queue.cancel(b);
    CHECK(queue.size() == 2);
    queue.arm(b, kOrigin + seconds(1));
    queue.cancel(a);
    expire(milliseconds(2));
    CHECK(fired == std::vector{c.id});
    expire(seconds(2));
    CHECK(fired == std::vector{c.id, b.id});
    CHECK(queue.size() == 0);
    CHECK(queue.next_deadline() == kNever);
}

TEST_CASE_FIXTURE(Fixture, "a firing timer may cancel another one that is due at the same time") {
    static Fixture* fixture;
    fixture = this;
    at(milliseconds(1)).then = [](Timer&) {
        fixture->queue.cancel(fixture->timers[1]);  // of the same tick
        fixture->queue.cancel(fixture->timers[3]);  // of a later one, due as well
    };
    at(milliseconds(1));
    at(milliseconds(1));
    at(milliseconds(2));
    CHECK(expire(seconds(1)) == 2);
    CHECK(fired == std::vector{0, 2});
}

TEST_CASE_FIXTURE(Fixture, "a firing timer that arms itself for now or the past fires again at the next expire only") {
    static Fixture* fixture;
    fixture = this;
    at(milliseconds(1)).then = [](Timer& self) { fixture->queue.arm(self, kOrigin + milliseconds(1)); };
    for (int round = 1; round <= 3; ++round) CHECK(expire(milliseconds(10)) == 1);
    timers[0].then = [](Timer& self) { fixture->queue.arm(self, kOrigin + milliseconds(10)); };
    CHECK(expire(milliseconds(10)) == 1);
    timers[0].then = nullptr;
    CHECK(expire(milliseconds(10)) == 1);
    CHECK(fired.size() == 5);
}

TEST_CASE_FIXTURE(Fixture, "a firing timer may arm itself for later") {
    static Fixture* fixture;
    fixture = this;
    at(milliseconds(1)).then = [](Timer& self) { fixture->queue.arm(self, self.deadline() + milliseconds(1)); };
    for (int now = 1; now <= 100; ++now) expire(milliseconds(now) + kTick);
    CHECK(fired.size() == 100);
    queue.cancel(timers[0]);
}

TEST_CASE("a firing timer may end its own life") {
    struct Suicidal : TimerNode {
        explicit Suicidal(int& dead)
            : TimerNode([](TimerNode& node) { delete static_cast<Suicidal*>(&node); }), deaths(dead) {}
        ~Suicidal() { ++deaths; }
        int& deaths;
    };
    int deaths = 0;
    TimerQueue queue(kOrigin);
    for (int i = 0; i < 10; ++i) queue.arm(*std::make_unique<Suicidal>(deaths).release(), kOrigin + milliseconds(i));
    queue.expire(kOrigin + seconds(1));
    CHECK(deaths == 10);
}

TEST_CASE_FIXTURE(Fixture, "deadlines at every level's edges are kept, alone and together") {
    std::vector<Duration> deadlines;
    for (int level = 0; level < 7; ++level) {
        const Duration span = kTick * (std::int64_t{1} << (6 * level));
        for (std::int64_t slots : {1, 2, 63, 64})
            for (Duration offset : {-kTick, Duration(-1), Duration(0), Duration(1), kTick})
                deadlines.push_back(span * slots + offset + kTick);
    }
    for (Duration deadline : deadlines) {
        at(deadline);
        Fixture alone;
        alone.at(deadline);
        REQUIRE(alone.expire(deadline - Duration(1)) == 0);
        REQUIRE(alone.expire(deadline + kTick - Duration(1)) == 1);
    }
    std::sort(deadlines.begin(), deadlines.end());
    auto up_to = [&](Duration time) {
        return std::upper_bound(deadlines.begin(), deadlines.end(), time) - deadlines.begin();
    };
    for (Duration deadline : deadlines) {
        expire(deadline);
        REQUIRE(static_cast<std::ptrdiff_t>(fired.size()) <= up_to(deadline));
        REQUIRE(static_cast<std::ptrdiff_t>(fired.size()) >= up_to(deadline - kTick));
    }
    expire(deadlines.back() + kTick);
    CHECK(fired.size() == deadlines.size());
}

TEST_CASE_FIXTURE(Fixture, "who sleeps until next_deadline again and again fires everything in time") {
    std::mt19937_64 random(4);
    std::vector<Duration> deadlines;
    for (int i = 0; i < 2000; ++i) {
        deadlines.emplace_back(static_cast<Duration::rep>(random() >> (random() % 30 + 15)));
        at(deadlines.back());
    }
    std::sort(deadlines.begin(), deadlines.end());
    std::size_t wakes = 0;
    while (queue.size() != 0) {
        const Instant until = queue.next_deadline();
        // Not later than the end of the earliest deadline's tick.
        REQUIRE(until < kOrigin + deadlines[fired.size()] + kTick);
        queue.expire(until);
        for (std::size_t i = 0; i < fired.size(); ++i) REQUIRE(kOrigin + deadlines[i] <= until);
        REQUIRE(++wakes < 2000 * 9);
    }
    CHECK(queue.next_deadline() == kNever);
}

TEST_CASE_FIXTURE(Fixture, "next_deadline is exact for what is near, however far the clock has come") {
    for (std::int64_t ticks : {0, 63, 64, 1000, 4095, 4096, 1'000'000}) {
        expire(kTick * ticks);
        Timer& timer = at(kTick * (ticks + 1));
        CHECK(queue.next_deadline() == timer.deadline());
        queue.cancel(timer);
    }
}

TEST_CASE("a timer armed for never does not fire and does not shorten the sleep") {
    for (Instant origin : {Instant(), kOrigin}) {
        TimerQueue queue(origin);
        TimerNode never([](TimerNode&) { FAIL("never has come"); });
        queue.arm(never, kNever);
        CHECK(queue.next_deadline() > origin + std::chrono::hours(24 * 365));
        CHECK(queue.expire(origin + std::chrono::hours(24 * 365 * 200)) == 0);
        CHECK(queue.next_deadline() > origin + std::chrono::hours(24 * 365 * 200));
        queue.cancel(never);
    }
}

TEST_CASE_FIXTURE(Fixture, "ending a long sleep costs no step per tick") {
    at(std::chrono::hours(24 * 365 * 100));
    CHECK(expire(std::chrono::hours(24 * 365 * 101)) == 1);
}

TEST_CASE("a million timers, armed, cancelled and expired at random, behave as the model") {
    constexpr std::size_t kTimers = 1'000'000;
    const unsigned seed = 5;
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<Counted*> fired;
    Counted::log = &fired;
    Model model;
    TimerQueue queue(kOrigin);
    auto timers = std::make_unique<Counted[]>(kTimers);
    Duration now{};

    auto arm = [&](std::size_t id) {
        // All magnitudes from below a tick to days, many of them on the same few ticks.
        Duration deadline = now + Duration(static_cast<Duration::rep>(random() >> (random() % 40 + 17)));
        if (random() % 8 == 0) deadline -= milliseconds(100);
        if (random() % 4 == 0) deadline = Duration(deadline.count() & ~((Duration::rep{1} << 22) - 1));
        if (deadline < Duration(0)) deadline = Duration(0);
        queue.arm(timers[id], kOrigin + deadline);
        timers[id].key = model.arm(deadline, id);
    };
    auto expire = [&] {
        fired.clear();
        const std::vector<std::size_t> expected = model.expire(now);
        REQUIRE(queue.expire(kOrigin + now) == expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(fired[i] == &timers[expected[i]]);
        REQUIRE(queue.size() == model.size());
    };

    for (std::size_t id = 0; id < kTimers; ++id) arm(id);
    CHECK(queue.size() == kTimers);
    for (int round = 0; round < 300; ++round) {
        for (int i = 0; i < 2000; ++i) {
            const std::size_t id = random() % kTimers;
            if (timers[id].armed()) {
                queue.cancel(timers[id]);
                model.cancel(timers[id].key, id);
            } else {
                arm(id);
            }
        }
        now += Duration(static_cast<Duration::rep>(random() >> (random() % 36 + 22)));
        expire();
    }
    now += std::chrono::hours(24 * 365);
    expire();
    while (queue.size() != 0) {
        now = queue.next_deadline() - kOrigin;
        expire();
    }
}

TEST_CASE("misuse is an assertion failure") {
    CHECK(run_in_child([] {
              TimerQueue queue(kOrigin);
              TimerNode node([](TimerNode&) {});
              queue.arm(node, kOrigin);
              queue.arm(node, kOrigin);
          }).said("armed only once"));
    CHECK(run_in_child([] {
              TimerQueue queue(kOrigin);
              TimerNode node([](TimerNode&) {});
              queue.arm(node, kOrigin);
          }).said("died while it was armed"));
    CHECK(run_in_child([] {
              TimerNode node([](TimerNode&) {});
              TimerQueue queue(kOrigin);
              queue.arm(node, kOrigin);
          }).said("died with armed timers"));
    CHECK(run_in_child([] {
              TimerQueue queue(kOrigin);
              queue.expire(kOrigin + seconds(2));
              queue.expire(kOrigin + seconds(1));
          }).said("clock went back"));
}
