#include "smarm/wait/join_state.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/reactors.h"
#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

using Alone = TestScheduler<VirtualDriver>;

Instant in(Duration duration) { return deadline_after(this_worker()->driver().now(), duration); }

}  // namespace

TEST_CASE("join waits for the end, and gives the same answer again and again") {
    Alone alone;
    alone.run([] {
        JoinState state(false);
        CHECK(state.kind() == OutcomeKind::running);
        std::vector<Status> joined;
        for (int i = 0; i < 3; ++i) {
            spawn_here([&] { joined.push_back(state.join(kNever)); });
        }
        pass_turn();
        CHECK(joined.empty());
        state.finish(OutcomeKind::returned, Message(number_parcel(7)));
        wait_until([&] { return joined.size() == 3; });
        for (const Status status : joined) CHECK(status == Status::ok);
        for (int i = 0; i < 2; ++i) {
            CHECK(state.join(in(-1s)) == Status::ok);
            CHECK(state.kind() == OutcomeKind::returned);
            CHECK(number_in(state.value().parcel()) == 7);
        }
    });
}

TEST_CASE("join times out, and can be asked again") {
    Alone alone;
    alone.run([] {
        JoinState state(false);
        const Instant begin = this_worker()->driver().now();
        CHECK(state.join(in(5ms)) == Status::timed_out);
        CHECK(this_worker()->driver().now() - begin >= 5ms);
        CHECK(state.join(in(-1s)) == Status::timed_out);
        state.finish(OutcomeKind::killed, Message());
        CHECK(state.join(in(-1s)) == Status::ok);
    });
}

TEST_CASE("an exit request ends a join, even when the awaited actor ends at the same time") {
    Alone alone;
    alone.run([] {
        JoinState state(false);
        Status status = Status::ok;
        const Pid pid = spawn_here([&] { status = state.join(kNever); });
        pass_turn();
        SUBCASE("alone") { request_exit(pid); }
        SUBCASE("with the end") {
            state.finish(OutcomeKind::killed, Message());
            request_exit(pid);
        }
        join(pid);
        CHECK(status == Status::exit_requested);
        if (state.kind() == OutcomeKind::running) state.finish(OutcomeKind::killed, Message());
    });
}

TEST_CASE("a failure is reported exactly when handle and actor are gone and nobody saw it") {
    enum class Event { observed, dropped, failed };
    using enum Event;
    struct Case {
        std::vector<Event> events;
        int reports;
    };
    const Case cases[] = {
        {{failed, dropped}, 1},
        {{dropped, failed}, 1},
        {{failed}, 0},
        {{dropped}, 0},
        {{observed, failed, dropped}, 0},
        {{failed, observed, dropped}, 0},
        {{failed, dropped, observed}, 1},
        {{observed, dropped}, 0},
    };
    for (const Case& each : cases) {
        JoinState state(true);
        int reports = 0;
        for (const Event event : each.events) {
            switch (event) {
                case observed: state.mark_observed(); break;
                case dropped: reports += state.drop_handle(); break;
                case failed: reports += state.mark_failed(); break;
            }
        }
        CHECK(reports == each.reports);
    }
}

TEST_CASE("handle and actor that end at the same time on two workers make one report") {
    TestScheduler<> two(2, with_reactors);
    two.run([] {
        for (int round = 0; round < 500; ++round) {
            JoinState state(true);
            atomic<int> reports{0};
            atomic<int> ready{0};
            const Pid pid = spawn_on(1, [&] {
                ready.fetch_add(1);
                while (ready.load() < 2) cpu_relax();
                reports.fetch_add(state.mark_failed());
            });
            ready.fetch_add(1);
            while (ready.load() < 2) cpu_relax();
            reports.fetch_add(state.drop_handle());
            join(pid);
            REQUIRE(reports.load() == 1);
        }
    });
}

TEST_CASE("joiners on every worker learn the end of an actor of any worker") {
    constexpr unsigned kTargets = 100;
    TestScheduler<> four(4, with_reactors);
    atomic<unsigned> joined{0};
    four.run([&] {
        std::vector<Pid> pids;
        for (unsigned i = 0; i < kTargets; ++i) {
            auto state = make_shared_ref<JoinState>(true);
            for (unsigned worker = 0; worker < 4; ++worker) {
                pids.push_back(spawn_on(worker, [&, state, i] {
                    if (state->join(kNever) != Status::ok) return;
                    if (number_in(state->value().parcel()) == i) joined.fetch_add(1);
                }));
            }
            pids.push_back(spawn_on(i % 4, [state, i] {
                if (i % 3) pass_turn();
                state->finish(OutcomeKind::returned, Message(number_parcel(i)));
            }));
        }
        for (const Pid pid : pids) join(pid);
    });
    CHECK(joined.load() == 4 * kTargets);
}
