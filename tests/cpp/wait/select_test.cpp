#include "smarm/wait/select.h"

#include <algorithm>
#include <array>
#include <memory>

#include <doctest/doctest.h>
#include <unistd.h>

#include "../support/channels.h"
#include "../support/reactors.h"
#include "smarm/wait/select_sources.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

// Selects over channels. Returns the index, or -1; *status says how, *numbers gets what came.
int select_from(const std::vector<Channel*>& channels, Numbers& numbers, Status& status, Instant deadline = kNever) {
    std::vector<std::unique_ptr<ChannelSource>> sources;
    std::vector<SelectSource*> order;
    for (Channel* channel : channels) {
        sources.push_back(std::make_unique<ChannelSource>(*channel, *this_actor()));
        order.push_back(sources.back().get());
    }
    const Selected selected = select(order, deadline);
    status = selected.status;
    for (std::size_t i = 0; i < sources.size(); ++i) {
        if (sources[i].get() != selected.source) continue;
        if (sources[i]->status == Status::ok) numbers.push_back(number_of(std::move(sources[i]->message)));
        else status = sources[i]->status;
        return static_cast<int>(i);
    }
    return -1;
}

struct Pipe {
    std::array<int, 2> ends{-1, -1};
    Pipe() { SMARM_ASSERT(pipe(ends.data()) == 0, "no pipe"); }
    ~Pipe() {
        for (int end : ends) close(end);
    }
};

}  // namespace

TEST_CASE("select takes what is there, and nothing from the others") {
    Alone alone;
    alone.run([] {
        Channel empty, full;
        Numbers numbers;
        Status status{};
        send(full, 1);
        send(full, 2);
        CHECK(select_from({&empty, &full}, numbers, status) == 1);
        CHECK(status == Status::ok);
        CHECK(numbers == Numbers{1});
        CHECK(full.size() == 1);
    });
}

TEST_CASE("select parks until the first of several sends, and says so") {
    Alone alone;
    alone.run([] {
        Channel one, two;
        Numbers numbers;
        Status status{};
        int chosen = -1;
        Actor* actor = nullptr;
        const Pid pid = spawn_here([&] {
            actor = this_actor();
            chosen = select_from({&one, &two}, numbers, status);
        });
        pass_turn();
        CHECK(actor->state.load() == ActorState::parked);
        CHECK(actor->wait_reason.load() == WaitReason::select);
        send(two, 9);
        join(pid);
        CHECK(chosen == 1);
        CHECK(numbers == Numbers{9});
        send(one, 1);  // nobody waits there any more
        CHECK(one.size() == 1);
    });
}

TEST_CASE("select times out, never early, and takes what is there whatever the deadline") {
    Alone alone;
    alone.run([] {
        Channel one, two;
        Numbers numbers;
        Status status{};
        const Instant begin = this_worker()->driver().now();
        CHECK(select_from({&one, &two}, numbers, status, in(10ms)) == -1);
        CHECK(status == Status::timed_out);
        CHECK(this_worker()->driver().now() - begin >= 10ms);
        send(one, 1);
        CHECK(select_from({&one, &two}, numbers, status, in(-1s)) == 0);
    });
}

TEST_CASE("of sources that always have something each is served its share, wherever it stands") {
    Alone alone;
    alone.run([] {
        Channel a, b, never, c;
        Numbers numbers;
        Status status{};
        std::array<int, 4> times{};
        constexpr int kRounds = 3000;
        for (int i = 0; i < kRounds; ++i) {
            for (Channel* channel : {&a, &b, &c}) send(*channel, 1);
        }
        for (int i = 0; i < kRounds; ++i)
            ++times[static_cast<std::size_t>(select_from({&a, &b, &never, &c}, numbers, status))];
        CHECK(times[2] == 0);
        for (int share : {times[0], times[1], times[3]}) {
            CHECK(share > kRounds / 3 - 200);  // 7 standard deviations
            CHECK(share < kRounds / 3 + 200);
        }
    });
}

TEST_CASE("when several have something at once, the others' wake-ups go to who waits there") {
    Alone alone;
    alone.run([] {
        Channel one, two;
        Numbers selected, first, second;
        Status status{};
        const Pid selecting = spawn_here([&] { select_from({&one, &two}, selected, status); });
        pass_turn();
        const Pid on_one = spawn_here([&] { receive(one, first); });
        const Pid on_two = spawn_here([&] { receive(two, second); });
        pass_turn();
        // Both wake the selecting actor, which came first; it can use one.
        send(one, 1);
        send(two, 2);
        join(selecting);
        CHECK(selected.size() == 1);
        (selected == Numbers{1} ? one : two).close();
        join(on_one);
        join(on_two);
        CHECK(first.size() + second.size() == 1);
    });
}

TEST_CASE("a select that is asked to exit, or times out, passes its wake-up on and leaves no waiter behind") {
    Alone alone;
    alone.run([] {
        Channel one, two;
        Numbers lost, got;
        Status status{};
        const Pid selecting = spawn_here([&] { select_from({&one, &two}, lost, status, in(1s)); });
        const Pid receiver = spawn_here([&] { receive(two, got); });
        pass_turn();
        SUBCASE("woken, then asked") {
            send(two, 5);
            request_exit(selecting);
        }
        SUBCASE("asked") {
            request_exit(selecting);
            join(selecting);
            send(two, 5);
        }
        join(selecting);
        join(receiver);
        CHECK(status == Status::exit_requested);
        CHECK(got == Numbers{5});
        CHECK(lost.empty());
    });
}

TEST_CASE("a channel that is closed meanwhile decides the select") {
    Alone alone;
    alone.run([] {
        Channel one, two;
        Numbers numbers;
        Status status{};
        int chosen = -1;
        const Pid pid = spawn_here([&] { chosen = select_from({&one, &two}, numbers, status); });
        pass_turn();
        two.close();
        join(pid);
        CHECK(chosen == 1);
        CHECK(status == Status::closed);
        send(one, 1);
        one.close();
        CHECK(select_from({&one}, numbers, status) == 0);
        CHECK(status == Status::ok);  // what is left comes first
    });
}

TEST_CASE("the same channel may be there twice, and a rendezvous is as good as any") {
    Alone alone;
    alone.run([] {
        Channel channel, meeting(0);
        Numbers numbers;
        Status status{};
        const Pid pid = spawn_here([&] { select_from({&channel, &meeting, &channel}, numbers, status); });
        pass_turn();
        const Pid sender = spawn_here([&] { CHECK(send(meeting, 3) == Status::ok); });
        join(pid);
        join(sender);
        CHECK(numbers == Numbers{3});
    });
}

TEST_CASE("select hears the mailbox, and only when it is one of the sources") {
    Alone alone;
    alone.run([] {
        Channel channel;
        std::uint64_t message = 0;
        const Pid listening = spawn_here([&] {
            MailboxSource mailbox(*this_actor());
            ChannelSource source(channel, *this_actor());
            std::array<SelectSource*, 2> sources{&source, &mailbox};
            CHECK(select(sources, kNever).source == &mailbox);
            message = number_of(std::move(mailbox.message));
        });
        Numbers numbers;
        Status status{};
        Actor* deaf = nullptr;
        const Pid other = spawn_here([&] {
            deaf = this_actor();
            select_from({&channel}, numbers, status);
        });
        pass_turn();
        send_number(listening, 4);
        send_number(other, 5);
        join(listening);
        CHECK(message == 4);
        CHECK(deaf->state.load() == ActorState::parked);
        CHECK(deaf->mailbox.size() == 1);
        send(channel, 1);
        join(other);
    });
}

TEST_CASE("the earliest of several moments comes first, before or after the deadline") {
    Alone alone;
    alone.run([] {
        const Instant now = this_worker()->driver().now();
        TimeSource late(now + 20ms), soon(now + 5ms);
        std::array<SelectSource*, 2> sources{&late, &soon};
        CHECK(select(sources, in(1s)).source == &soon);
        CHECK(this_worker()->driver().now() >= now + 5ms);
        std::array<SelectSource*, 1> only{&late};
        CHECK(select(only, in(1ms)).status == Status::timed_out);
        CHECK(select(only, kNever).source == &late);
        CHECK(this_worker()->driver().now() >= now + 20ms);
    });
}

TEST_CASE("select waits for descriptors, and learns of their closing") {
    TestScheduler<> real(1, with_reactors);
    real.run([] {
        Pipe quiet, busy;
        Channel channel;
        FdSource first(quiet.ends[0], Interest::read), second(busy.ends[0], Interest::read);
        ChannelSource third(channel, *this_actor());
        std::array<SelectSource*, 3> sources{&first, &second, &third};
        CHECK(select(sources, in(1ms)).status == Status::timed_out);
        const Pid writer = spawn_here([&] { CHECK(write(busy.ends[1], "x", 1) == 1); });
        CHECK(select(sources, kNever).source == &second);
        CHECK(second.end.status == FdStatus::ready);
        join(writer);
        FdSource writable(busy.ends[1], Interest::write);
        std::array<SelectSource*, 1> room{&writable};
        CHECK(select(room, kNever).source == &writable);

        const int doomed = dup(quiet.ends[0]);
        FdSource closing(doomed, Interest::read);
        std::array<SelectSource*, 2> last{&closing, &third};
        const Pid closer = spawn_here([&] { CHECK(close_fd(doomed, nullptr) == 0); });
        CHECK(select(last, kNever).source == &closing);
        CHECK(closing.end.status == FdStatus::closed);
        join(closer);
        FdSource gone(doomed, Interest::read), none(-1, Interest::read);
        for (FdSource* source : {&gone, &none}) {
            std::array<SelectSource*, 1> bad{source};
            CHECK(select(bad, kNever).source == source);
            CHECK(source->end.error == EBADF);
        }
    });
}

TEST_CASE("selects on all workers, with exits and timeouts, lose no message and no wake-up") {
    constexpr std::uint64_t kMessages = 1200;
    constexpr unsigned kChannels = 4;
    TestScheduler<> four(4, with_reactors);
    atomic<std::uint64_t> received{0};
    four.run([&] {
        std::vector<Ref<Channel>> channels;
        std::vector<Channel*> all;
        for (unsigned i = 0; i < kChannels; ++i) {
            channels.push_back(shared_channel(i));  // one is a rendezvous
            all.push_back(channels.back().get());
        }
        std::vector<Pid> pids;
        atomic<unsigned> producing{kChannels};
        const auto take = [&](Instant deadline) {
            Numbers numbers;
            Status status{};
            select_from(all, numbers, status, deadline);
            received.fetch_add(numbers.size());
            return status;
        };
        for (unsigned i = 0; i < 4; ++i) {
            pids.push_back(spawn_on(i, [&, i] {
                while (received.load() < kMessages) {
                    if (take(i % 2 ? in(50us) : in(5ms)) == Status::closed) return;
                }
            }));
            pids.push_back(spawn_on((i + 1) % 4, [&, i] {
                for (std::uint64_t n = 0; n < kMessages / kChannels; ++n) CHECK(send(*channels[i], n) == Status::ok);
                producing.fetch_sub(1);
            }));
        }
        // Plain receivers beside them, and short-lived selects that are asked to exit.
        pids.push_back(spawn_on(2, [&] {
            Numbers numbers;
            while (receive(*all[3], numbers) == Status::ok) received.fetch_add(1);
        }));
        for (int round = 0; round < 60; ++round) {
            pids.push_back(spawn_on(static_cast<unsigned>(round % 4), [&] {
                while (take(kNever) == Status::ok) {}
            }));
            for (int turn = 0; turn < 10; ++turn) pass_turn();
            request_exit(pids.back());
        }
        wait_until([&] { return producing.load() == 0 && received.load() == kMessages; });
        for (Channel* channel : all) channel->close();
        for (const Pid pid : pids) join(pid);
    });
    CHECK(received.load() == kMessages);
}
