#include "smarm/actor/mailbox_limit.h"
#include "smarm/sched/delivery.h"

#include <doctest/doctest.h>

#include <vector>

#include "../support/test_scheduler.h"
#include "smarm/sched/signals.h"

using namespace smarm;
using namespace smarm::testing;

namespace {

Pid spawn_limited(Scheduler::Place place, unsigned worker, std::uint32_t most, OnMailboxFull on_full,
                  std::function<void()> function, std::size_t most_bytes = 0) {
    std::unique_ptr<Actor> actor = std::make_unique<NativeActor>(std::move(function));
    actor->mailbox_limit = std::make_unique<MailboxLimit>(most, most_bytes, on_full);
    return scheduler().spawn(actor, place, worker);
}

Sent send_one(Pid pid, std::uint64_t number) {
    OwnedParcel parcel = number_parcel(number);
    return scheduler().send(pid, parcel);
}

Delivery deliver_one(Pid pid, std::uint64_t number) {
    return deliver_sent(*this_worker(), *scheduler().table().own(pid), Message(number_parcel(number)));
}

}  // namespace

TEST_CASE("what is under way counts: no more is accepted than the mailbox may hold") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        std::vector<std::uint64_t> got;
        const Pid pid = spawn_limited(Scheduler::Place::local, 0, 2, OnMailboxFull::error, [&] {
            std::uint64_t number = 0;
            while (got.size() < 3 && receive_number(number)) got.push_back(number);
        });
        // Through the inbox, which is drained when we let go.
        CHECK(send_one(pid, 1) == Sent::yes);
        CHECK(send_one(pid, 2) == Sent::yes);
        CHECK(send_one(pid, 3) == Sent::full);
        CHECK(deliver_one(pid, 3) == Delivery::full);
        wait_until([&] { return got.size() == 2; });
        CHECK(deliver_one(pid, 4) == Delivery::done);
        join(pid);
        CHECK(got == std::vector<std::uint64_t>{1, 2, 4});
        CHECK(send_one(pid, 5) == Sent::nobody);
        CHECK(scheduler().dead_letters() == 0);
    });
}

TEST_CASE("drop_newest accepts everything and counts what it drops") {
    TestScheduler<VirtualDriver> alone(1, [](SchedulerOptions& options) {
        options.dead_letter_reports = 2;
        options.report_dead_letters = [](const DeadLetterReport& report) {
            CHECK(report.why == DeadLetter::full);
            CHECK(report.last == (this_worker()->scheduler().dead_letters() == 2));
        };
    });
    alone.run([] {
        const Pid pid = spawn_limited(Scheduler::Place::local, 0, 1, OnMailboxFull::drop_newest, [] {
            std::uint64_t number = 0;
            while (number != 9 && receive_number(number)) {}
        });
        CHECK(deliver_one(pid, 1) == Delivery::done);
        CHECK(deliver_one(pid, 2) == Delivery::done);
        for (int i = 0; i < 3; ++i) CHECK(send_one(pid, 3) == Sent::yes);
        pass_turn();
        wait_until([&] { return scheduler().dead_letters() == 4; });
        CHECK(deliver_one(pid, 9) == Delivery::done);
        join(pid);
    });
}

TEST_CASE("a notice comes into a full mailbox") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        std::size_t waiting = 0;
        const Pid dead = spawn_here([] {});
        join(dead);
        const Pid pid = spawn_limited(Scheduler::Place::local, 0, 1, OnMailboxFull::error, [&] {
            Actor& self = *this_actor();
            CHECK(deliver_one(self.pid, 1) == Delivery::done);
            monitor(self, dead, make_monitor_ref());
            pass_turn();  // that it is gone comes through the inbox
            waiting = self.mailbox.size();
            CHECK(find_notice(self.mailbox.at(1)));
        });
        join(pid);
        CHECK(waiting == 2);
        CHECK(scheduler().dead_letters() == 1);  // the Down is no letter
    });
}

TEST_CASE("bytes are counted, where they wait and where they are under way") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const std::size_t one = number_parcel(0)->bytes();
        std::vector<std::uint64_t> got;
        const Pid pid = spawn_limited(
            Scheduler::Place::local, 0, 0, OnMailboxFull::error,
            [&] {
                std::uint64_t number = 0;
                while (got.size() < 3 && receive_number(number)) got.push_back(number);
            },
            2 * one + 1);
        CHECK(send_one(pid, 1) == Sent::yes);
        CHECK(deliver_one(pid, 2) == Delivery::done);
        CHECK(send_one(pid, 3) == Sent::full);
        CHECK(deliver_one(pid, 3) == Delivery::full);
        CHECK_FALSE(scheduler().table().own(pid)->mailbox_limit->lacks_places(scheduler().table().own(pid)->mailbox));
        wait_until([&] { return got.size() == 2; });
        CHECK(send_one(pid, 4) == Sent::yes);
        join(pid);
        CHECK(got == std::vector<std::uint64_t>{2, 1, 4});
    });
}

TEST_CASE("what notices weigh counts, and is given back when they are taken") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        const std::size_t one = number_parcel(0)->bytes();
        const Pid dead = spawn_here([] {});
        join(dead);
        const Pid pid = spawn_limited(
            Scheduler::Place::local, 0, 0, OnMailboxFull::error,
            [&] {
                Actor& self = *this_actor();
                monitor(self, dead, make_monitor_ref());
                wait_until([&] { return self.mailbox.size() == 1; });  // it comes through the inbox
                CHECK(self.mailbox.size() == 1);
                CHECK(deliver_one(self.pid, 1) == Delivery::full);
                self.take_message(0);
                CHECK(deliver_one(self.pid, 1) == Delivery::done);
                monitor(self, dead, make_monitor_ref());
                wait_until([&] { return self.mailbox.size() == 2; });  // it comes through the inbox
                self.take_message(1);                                  // from behind the other
                CHECK(deliver_one(self.pid, 2) == Delivery::full);
                self.take_message(0);
                CHECK(deliver_one(self.pid, 2) == Delivery::done);
                self.take_message(0);
            },
            one);
        join(pid);
    });
}

TEST_CASE("senders of all workers together keep the limit while the receiver takes") {
    constexpr std::uint64_t kEach = 3000;
    constexpr std::uint32_t kMost = 5;
    TestScheduler<> three(3);
    atomic<std::uint64_t> accepted{0}, received{0};
    atomic<std::size_t> most_seen{0};
    atomic<int> sending{3};
    three.run([&] {
        const Pid pid = spawn_limited(Scheduler::Place::on_worker, 1, kMost, OnMailboxFull::error, [&] {
            std::uint64_t number = 0;
            while (receive_number(number) && number != kEach) {
                received.fetch_add(1);
                const std::size_t waiting = this_actor()->mailbox.size();
                if (waiting > most_seen.load()) most_seen.store(waiting);
                pass_turn();
            }
        });
        std::vector<Pid> senders;
        for (unsigned i = 0; i < 3; ++i) {
            senders.push_back(spawn_on(i, [&, pid] {
                for (std::uint64_t n = 0; n < kEach; ++n) {
                    if (send_one(pid, n) == Sent::yes) accepted.fetch_add(1);
                    else pass_turn();
                }
                sending.fetch_sub(1);
            }));
        }
        for (const Pid sender : senders) join(sender);
        while (send_one(pid, kEach) == Sent::full) pass_turn();
        join(pid);
    });
    CHECK(received.load() == accepted.load());
    CHECK(most_seen.load() <= kMost);
}
