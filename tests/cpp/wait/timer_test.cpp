#include "smarm/wait/timer.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

using Alone = TestScheduler<VirtualDriver>;

Ref<MessageTimer> once(Pid target, std::uint64_t number, Duration delay) {
    auto timer = make_shared_ref<MessageTimer>(target, Message(number_parcel(number)));
    timer->arm(from_now(delay));
    return timer;
}

Ref<MessageTimer> every(Duration period, Pid target, std::uint64_t number) {
    auto timer = make_shared_ref<MessageTimer>(target, number_parcel(number), period);
    timer->arm(from_now(period));
    return timer;
}

std::uint64_t next_number() {
    std::uint64_t number = 0;
    REQUIRE(receive_number(number));
    return number;
}

}  // namespace

TEST_CASE("timers send their messages in the order of their deadlines, even when nobody keeps them") {
    Alone alone;
    alone.run([] {
        const Pid self = this_actor()->pid;
        once(self, 3, 30ms);
        once(self, 1, 10ms);
        once(self, 2, 20ms);
        const Instant begin = this_worker()->driver().now();
        for (std::uint64_t i = 1; i <= 3; ++i) CHECK(next_number() == i);
        CHECK(this_worker()->driver().now() - begin >= 30ms);
    });
}

TEST_CASE("cancel returns the time left, and nothing when the timer is over") {
    Alone alone;
    alone.run([] {
        const Pid self = this_actor()->pid;
        auto cancelled = once(self, 1, 1h);
        sleep_for(1min);
        const auto left = cancelled->cancel();
        REQUIRE(left);
        CHECK(*left <= 59min);
        CHECK(*left >= 58min);
        CHECK_FALSE(cancelled->cancel());
        auto fired = once(self, 2, 1ms);
        CHECK(next_number() == 2);
        CHECK_FALSE(fired->cancel());
        CHECK(this_worker()->timers().size() == 0);
    });
}

TEST_CASE("a message to an actor that has ended is a dead letter; an interval ends with its target") {
    Alone alone;
    alone.run([] {
        const Pid gone = spawn_here([] {});
        join(gone);
        const auto before = scheduler().dead_letters();
        auto message = once(gone, 1, 1ms);
        auto interval = every(1ms, gone, 2);
        sleep_for(10ms);
        CHECK(scheduler().dead_letters() == before + 1);
        CHECK_FALSE(message->armed());
        CHECK_FALSE(interval->armed());
        CHECK_FALSE(interval->cancel());
    });
}

TEST_CASE("an interval keeps to its grid, and sends what it missed once") {
    Alone alone;
    alone.run([] {
        const Instant begin = this_worker()->driver().now();
        auto interval = every(10ms, this_actor()->pid, 7);
        const auto tick = [&] {
            CHECK(next_number() == 7);
            return this_worker()->driver().now() - begin;
        };
        for (int i = 1; i <= 3; ++i) {
            const Duration at = tick();
            CHECK(at >= i * 10ms);
            CHECK(at < i * 10ms + 1ms);
        }
        // The worker is held up: the clock runs, nothing expires.
        static_cast<VirtualDriver&>(this_worker()->driver()).wait(begin + 65ms);
        tick();
        CHECK(this_actor()->mailbox.empty());
        const Duration next = tick();
        CHECK(next >= 70ms);
        CHECK(next < 71ms);
        REQUIRE(interval->cancel());
        sleep_for(1s);
        CHECK(this_actor()->mailbox.empty());
    });
}

TEST_CASE("a timer is cancelled from another worker, and its message does not come") {
    TestScheduler<> workers(2);
    workers.run([] {
        auto timer = once(this_actor()->pid, 1, 1h);
        auto interval = every(1h, this_actor()->pid, 1);
        join(spawn_on(1, [timer, interval] {
            CHECK(timer->cancel());
            CHECK_FALSE(timer->cancel());
            CHECK(interval->cancel());
        }));
        wait_until([] { return this_worker()->timers().size() == 0; });
        CHECK(this_actor()->mailbox.empty());
    });
}

TEST_CASE("cancel and fire race: either a time is returned or the message comes") {
    TestScheduler<> workers(2);
    workers.run([] {
        std::size_t sent = 0;
        atomic<std::size_t> cancelled{0};
        constexpr std::size_t kTimers = 2000;
        std::vector<Ref<MessageTimer>> timers;
        for (std::size_t i = 0; i < kTimers; ++i) timers.push_back(once(this_actor()->pid, i, Duration(i * 2000)));
        const Pid canceller = spawn_on(1, [&] {
            for (auto& timer : timers) cancelled += timer->cancel().has_value();
        });
        join(canceller);
        wait_until([&] { return this_worker()->timers().size() == 0; });
        for (std::uint64_t number = 0; !this_actor()->mailbox.empty(); ++sent) REQUIRE(receive_number(number));
        CHECK(sent + cancelled == kTimers);
    });
}

TEST_CASE("timers that are armed when their worker ends free what they have") {
    Alone alone;
    Ref<MessageTimer> kept;
    alone.run([&] {
        for (int i = 0; i < 1000; ++i) once(this_actor()->pid, 1, std::chrono::hours(i));
        kept = every(1s, this_actor()->pid, 2);
        auto never = make_shared_ref<MessageTimer>(this_actor()->pid, Message(number_parcel(1)));
        never->arm(kNever);
    });
    CHECK_FALSE(kept->armed());
}
