#include "smarm/sched/signals.h"

#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

Ref<ExitReason> reason(ExitKind kind) { return ExitReason::plain(kind); }

struct Seen {
    Notice::Kind kind;
    MonitorRef ref;
    Pid pid;
    std::optional<ExitKind> reason;
};

// Takes the oldest message of the running actor, which must be a notice.
Seen next_notice() {
    Mailbox& mailbox = this_actor()->mailbox;
    while (mailbox.empty()) this_worker()->park(WaitReason::message);
    const Message message = mailbox.pop();
    const Notice* notice = find_notice(message);
    REQUIRE(notice);
    return {notice->kind, notice->ref, notice->pid,
            notice->reason ? std::optional(notice->reason->kind()) : std::nullopt};
}

Pid spawn_watched(std::function<void()> body, Instant limit) {
    std::unique_ptr<Actor> actor = std::make_unique<NativeActor>(std::move(body));
    return scheduler().spawn(actor, Scheduler::Place::local, 0,
                             [limit](Actor& child) { watch_child(*this_actor(), child, limit); });
}

bool ask_to_end(Pid pid, ExitKind kind) { return send_exit(this_actor()->pid, pid, reason(kind), Duration::zero()); }

}  // namespace

TEST_CASE("a monitor tells the end once, with its reason; a stale pid gives noproc") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const Pid other = spawn_here([] { park(); });
        const MonitorRef ref = make_monitor_ref();
        monitor(*this_actor(), other, ref);
        CHECK(ask_to_end(other, ExitKind::shutdown));
        const Seen down = next_notice();
        CHECK(down.kind == Notice::Kind::down);
        CHECK(down.ref == ref);
        CHECK(down.pid == other);
        join(other);
        const MonitorRef late = make_monitor_ref();
        monitor(*this_actor(), other, late);
        const Seen nobody = next_notice();
        CHECK(nobody.ref == late);
        CHECK(nobody.reason == ExitKind::noproc);
        CHECK(this_actor()->mailbox.empty());
        CHECK(!ask_to_end(other, ExitKind::killed));
    });
}

TEST_CASE("after demonitor nothing is told") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const Pid other = spawn_here([] { park(); });
        const MonitorRef ref = make_monitor_ref();
        monitor(*this_actor(), other, ref);
        CHECK(demonitor(*this_actor(), ref));
        CHECK(!demonitor(*this_actor(), ref));
        ask_to_end(other, ExitKind::killed);
        join(other);
        CHECK(this_actor()->mailbox.empty());
    });
}

TEST_CASE("a link asks the other side to end, or tells it when it traps exits") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const Pid first = spawn_here([] {
            park();
            this_actor()->exit_reason = this_actor()->requests.cause();
        });
        const Pid second = spawn_here([&] {
            link(*this_actor(), first);
            CHECK(park() == Wake::exit_requested);
        });
        relations_of(*this_actor()).trap_exit = true;
        pass_turn();
        link(*this_actor(), second);
        ask_to_end(first, ExitKind::killed);
        join(second);
        const Seen exit = next_notice();
        CHECK(exit.kind == Notice::Kind::exit);
        CHECK(exit.pid == second);
    });
}

TEST_CASE("kill acts at every park, other exits once") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        int refusals = 0;
        const Pid stubborn = spawn_here([&] {
            while (park() == Wake::exit_requested && ++refusals < 3) {}
        });
        pass_turn();
        ask_to_end(stubborn, ExitKind::shutdown);
        wait_until([&] { return refusals == 1; });
        pass_turn();
        CHECK(refusals == 1);
        ask_to_end(stubborn, ExitKind::killed);
        join(stubborn);
        CHECK(refusals == 3);
    });
}

TEST_CASE("a parent is told of its child's end, and before that of its being late") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const Pid quick = spawn_watched([] {}, kNever);
        const Seen ended = next_notice();
        CHECK(ended.kind == Notice::Kind::child_ended);
        CHECK(ended.pid == quick);
        CHECK(ended.reason == ExitKind::normal);

        const Pid slow = spawn_watched([] { sleep_for(20ms); }, from_now(10ms));
        const Seen late = next_notice();
        CHECK(late.kind == Notice::Kind::child_late);
        CHECK(late.pid == slow);
        CHECK(!late.reason);
        CHECK(next_notice().kind == Notice::Kind::child_ended);
    });
}

TEST_CASE("the time limit of a child dies with the child, and with the parent") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        spawn_watched([] {}, from_now(1h));
        CHECK(next_notice().kind == Notice::Kind::child_ended);
        CHECK(this_worker()->timers().size() == 0);
        const Pid parent = spawn_here([] {
            spawn_watched([] { park(); }, from_now(1h));
            pass_turn();
        });
        join(parent);
        CHECK(this_worker()->timers().size() == 0);
    });
}

TEST_CASE("signals overtake a full mailbox") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        bool asked = false;
        const Pid busy = spawn_here([&] { asked = park() == Wake::exit_requested; });
        pass_turn();
        for (std::uint64_t i = 0; i < 100'000; ++i) send_number(busy, i);
        ask_to_end(busy, ExitKind::shutdown);
        join(busy);
        CHECK(asked);
    });
}
