#include "smarm/wait/channel.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "../support/channels.h"
#include "../support/reactors.h"
#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

// ---- one worker -----------------------------------------------------------------------------------------------------

TEST_CASE("what was sent first is received first") {
    Alone alone;
    alone.run([] {
        Channel channel;
        Numbers numbers;
        for (std::uint64_t i = 0; i < 100; ++i) CHECK(send(channel, i) == Status::ok);
        CHECK(channel.size() == 100);
        for (std::uint64_t i = 0; i < 100; ++i) CHECK(receive(channel, numbers) == Status::ok);
        CHECK(std::is_sorted(numbers.begin(), numbers.end()));
        CHECK(channel.size() == 0);
    });
}

TEST_CASE("a receiver parks until something is sent; the first to come is served first") {
    Alone alone;
    alone.run([] {
        Channel channel;
        Numbers first, second;
        Actor* actor = nullptr;
        const Pid one = spawn_here([&] {
            actor = this_actor();
            receive(channel, first);
        });
        const Pid two = spawn_here([&] { receive(channel, second); });
        pass_turn();
        CHECK(actor->state.load() == ActorState::parked);
        CHECK(actor->wait_reason.load() == WaitReason::channel_receive);
        send(channel, 1);
        send(channel, 2);
        join(one);
        join(two);
        CHECK(first == Numbers{1});
        CHECK(second == Numbers{2});
    });
}

TEST_CASE("a full channel parks its senders, and lets them in one by one in the order in which they came") {
    Alone alone;
    alone.run([] {
        Channel channel(2);
        CHECK(channel.capacity() == 2);
        for (std::uint64_t i = 0; i < 10; ++i) {
            spawn_here([&, i] { CHECK(send(channel, i) == Status::ok); });
        }
        for (int turn = 0; turn < 20; ++turn) pass_turn();
        CHECK(channel.size() == 2);
        CHECK(this_worker()->live_count() == 1 + 8);
        Numbers numbers;
        while (numbers.size() < 10) {
            CHECK(receive(channel, numbers) == Status::ok);
            pass_turn();
            CHECK(channel.size() <= 2);
        }
        CHECK(std::is_sorted(numbers.begin(), numbers.end()));
    });
}

TEST_CASE("receive and send time out, never early, and leave the message with the sender") {
    Alone alone;
    alone.run([] {
        Channel channel(1);
        Numbers numbers;
        const Instant begin = this_worker()->driver().now();
        CHECK(receive(channel, numbers, in(10ms)) == Status::timed_out);
        CHECK(this_worker()->driver().now() - begin >= 10ms);
        CHECK(send(channel, 1, in(10ms)) == Status::ok);
        CHECK(send(channel, 2, in(10ms)) == Status::timed_out);
        CHECK(this_worker()->driver().now() - begin >= 20ms);
        CHECK(receive(channel, numbers) == Status::ok);
        CHECK(numbers == Numbers{1});
    });
}

TEST_CASE("what is there is taken whatever the deadline") {
    Alone alone;
    alone.run([] {
        Channel channel(1);
        Numbers numbers;
        CHECK(send(channel, 1, in(-1s)) == Status::ok);
        CHECK(receive(channel, numbers, in(-1s)) == Status::ok);
        CHECK(receive(channel, numbers, in(-1s)) == Status::timed_out);
    });
}

TEST_CASE("a message that comes at the deadline is received or stays for the next, but is not lost") {
    Alone alone;
    alone.run([] {
        Channel channel;
        Numbers first, second;
        Status status = Status::no_memory;
        Actor* waiter = nullptr;
        const Pid pid = spawn_here([&] {
            waiter = this_actor();
            status = receive(channel, first, in(1ms));
        });
        pass_turn();
        // Both happen before the waiter runs again: its timer (by sleeping beyond it) and a message.
        const Pid sender = spawn_here([&] {
            sleep_for(1ms);
            send(channel, 7);
        });
        join(sender);
        join(pid);
        CHECK(waiter);
        if (status == Status::timed_out) receive(channel, second, in(0ms));
        CHECK(first.size() + second.size() == 1);
    });
}

TEST_CASE("close lets receivers take what is left; parked ones and senders learn it at once") {
    Alone alone;
    alone.run([] {
        auto channel = make_shared_ref<Channel>();
        auto sender = make_shared_ref<SenderEnd>(channel);
        auto receiver = make_shared_ref<ReceiverEnd>(channel);
        Numbers numbers;
        Status parked = Status::ok;
        send(*channel, 1);
        send(*channel, 2);
        spawn_here([&] { parked = receive_all(*channel, numbers); });
        pass_turn();
        SUBCASE("by close") { sender->channel().close(); }
        SUBCASE("by dropping the last sender") { sender = nullptr; }
        CHECK(send(*channel, 3) == Status::closed);
        wait_until([&] { return this_worker()->live_count() == 1; });
        CHECK(parked == Status::closed);
        CHECK(numbers == Numbers{1, 2});
        CHECK(receive(*channel, numbers) == Status::closed);
        CHECK(receive(*channel, numbers, in(-1s)) == Status::closed);
    });
}

TEST_CASE("a receiver that goes away closes the channel for parked senders and drops what is queued") {
    Alone alone;
    alone.run([] {
        released.clear();
        Message::set_local_release(note_release);
        auto channel = make_shared_ref<Channel>(2);
        auto receiver = make_shared_ref<ReceiverEnd>(channel);
        Message one = local(1);
        Message two = local(2);
        channel->send(one);
        channel->send(two);
        Status parked = Status::ok;
        spawn_here([&] { parked = send(*channel, 3); });
        pass_turn();
        SUBCASE("by close") { receiver->close(); }
        SUBCASE("by dropping the last receiver") { receiver = nullptr; }
        CHECK(released == Numbers{1, 2});
        CHECK(channel->size() == 0);
        wait_until([&] { return this_worker()->live_count() == 1; });
        CHECK(parked == Status::closed);
        Numbers numbers;
        CHECK(receive(*channel, numbers) == Status::closed);
    });
}

TEST_CASE("an end is closed when its last holder is gone, not before") {
    Alone alone;
    alone.run([] {
        auto channel = make_shared_ref<Channel>();
        auto first = make_shared_ref<SenderEnd>(channel);
        auto second = first;
        first = nullptr;
        CHECK(send(*channel, 1) == Status::ok);
        second = nullptr;
        CHECK(send(*channel, 2) == Status::closed);
    });
}

TEST_CASE("releasing what was queued may use the channel that is being closed") {
    Alone alone;
    static Channel* target;
    alone.run([] {
        Message::set_local_release([](void*) {
            CHECK(send(*target, 1) == Status::closed);
            target->close();
        });
        auto channel = make_shared_ref<Channel>();
        target = channel.get();
        Message one = local(1);
        Message two = local(2);
        channel->send(one);
        channel->send(two);
        auto receiver = make_shared_ref<ReceiverEnd>(channel);
        receiver->close();
        CHECK(channel->size() == 0);
    });
}

TEST_CASE("an exit request ends a park in send and in receive") {
    Alone alone;
    alone.run([] {
        Channel channel(1);
        Numbers numbers;
        Status sending = Status::ok, receiving = Status::ok;
        const Pid receiver = spawn_here([&] { receiving = receive(channel, numbers); });
        pass_turn();
        request_exit(receiver);
        join(receiver);
        CHECK(receiving == Status::exit_requested);
        CHECK(send(channel, 1) == Status::ok);
        const Pid sender = spawn_here([&] { sending = send(channel, 2); });
        pass_turn();
        request_exit(sender);
        join(sender);
        CHECK(sending == Status::exit_requested);
        CHECK(receive(channel, numbers) == Status::ok);
        CHECK(numbers == Numbers{1});
        CHECK(channel.size() == 0);
    });
}

TEST_CASE("a wake-up whose receiver is asked to exit, or times out, goes to the next one") {
    Alone alone;
    alone.run([] {
        Channel channel;
        Numbers first, second;
        Status lost = Status::ok;
        const Pid one = spawn_here([&] { lost = receive(channel, first, in(1ms)); });
        const Pid two = spawn_here([&] { receive(channel, second); });
        pass_turn();
        send(channel, 5);  // wakes the first, which has not run yet
        SUBCASE("exit") {
            request_exit(one);
            join(one);
            CHECK(lost == Status::exit_requested);
            join(two);
            CHECK(second == Numbers{5});
        }
        SUBCASE("timeout") {
            // Our sleep ends after its deadline and before it runs only if it is not served first; either way one has
            // it.
            wait_until([&] { return first.size() + second.size() == 1; });
            send(channel, 6);
            join(one);
            join(two);
            CHECK(first.size() + second.size() == 2);
        }
    });
}

TEST_CASE("a wake-up whose sender is asked to exit goes to the next one") {
    Alone alone;
    alone.run([] {
        Channel channel(1);
        Numbers numbers;
        send(channel, 1);
        Status given_up = Status::ok;
        const Pid one = spawn_here([&] { given_up = send(channel, 2); });
        const Pid two = spawn_here([&] { CHECK(send(channel, 3) == Status::ok); });
        pass_turn();
        receive(channel, numbers);
        request_exit(one);
        join(one);
        join(two);
        CHECK(given_up == Status::exit_requested);
        receive(channel, numbers);
        CHECK(numbers == Numbers{1, 3});
    });
}

TEST_CASE("sharing converts the local objects that are queued, and nothing else") {
    Alone alone;
    alone.run([] {
        released.clear();
        Message::set_local_release(note_release);
        Channel channel;
        for (std::uint64_t i = 1; i <= 6; ++i) {
            Message message = i % 2 ? local(i) : parcel(i);
            channel.send(message);
        }
        int converted = 0;
        CHECK(!channel.shared());
        CHECK(channel.share([&](Message& message) {
            ++converted;
            message = parcel(reinterpret_cast<std::uintptr_t>(message.local_object()) / 8);
            return true;
        }));
        CHECK(channel.shared());
        CHECK(converted == 3);
        CHECK(channel.share([&](Message&) { return false; }));  // it is already
        Numbers numbers;
        while (numbers.size() < 6) receive(channel, numbers);
        CHECK(numbers == Numbers{1, 2, 3, 4, 5, 6});
        CHECK(released == Numbers{1, 3, 5});
    });
}

TEST_CASE("a channel whose content cannot be converted stays local and keeps it") {
    Alone alone;
    alone.run([] {
        Message::set_local_release(note_release);
        Channel channel;
        for (std::uint64_t i = 1; i <= 3; ++i) {
            Message message = local(i);
            channel.send(message);
        }
        int tries = 0;
        CHECK(!channel.share([&](Message&) { return ++tries < 2; }));
        CHECK(!channel.shared());
        CHECK(channel.size() == 3);
        for (std::uint64_t i = 1; i <= 3; ++i) {
            Message message;
            CHECK(channel.receive(message) == Status::ok);
            CHECK(reinterpret_cast<std::uintptr_t>(message.take_local()) / 8 == i);
        }
    });
}

// ---- several workers ------------------------------------------------------------------------------------------------

namespace {

struct Load {
    unsigned producers;
    unsigned consumers;
    std::size_t capacity;
};

}  // namespace

TEST_CASE("nothing is lost or doubled between many senders and receivers on all workers") {
    constexpr std::uint64_t kEach = 400;
    const Load loads[] = {{1, 1, 1}, {4, 4, 1}, {6, 2, 7}, {2, 6, Channel::kUnbounded}, {8, 1, Channel::kUnbounded}};
    for (const Load load : loads) {
        CAPTURE(load.producers);
        CAPTURE(load.consumers);
        CAPTURE(load.capacity);
        TestScheduler<> four(4, with_reactors);
        std::vector<Numbers> received(load.consumers);
        four.run([&] {
            auto channel = shared_channel(load.capacity);
            std::vector<Pid> pids;
            atomic<unsigned> producing{load.producers};
            for (unsigned i = 0; i < load.consumers; ++i) {
                pids.push_back(
                    spawn_on(i % 4, [&, i] { CHECK(receive_all(*channel, received[i]) == Status::closed); }));
            }
            for (unsigned i = 0; i < load.producers; ++i) {
                pids.push_back(spawn_on((i + 1) % 4, [&, i] {
                    for (std::uint64_t n = 0; n < kEach; ++n) CHECK(send(*channel, i * kEach + n) == Status::ok);
                    if (producing.fetch_sub(1) == 1) channel->close();
                }));
            }
            for (const Pid pid : pids) join(pid);
        });
        Numbers all;
        for (const Numbers& numbers : received) {
            // Each receiver sees each sender's messages in order.
            Numbers last(load.producers);
            for (const std::uint64_t number : numbers) {
                REQUIRE(last[number / kEach] <= number % kEach);
                last[number / kEach] = number % kEach;
            }
            all.insert(all.end(), numbers.begin(), numbers.end());
        }
        std::sort(all.begin(), all.end());
        REQUIRE(all.size() == load.producers * kEach);
        for (std::uint64_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == i);
    }
}

TEST_CASE("timeouts and exits on all sides lose no message and no wake-up") {
    constexpr std::uint64_t kMessages = 1500;
    TestScheduler<> four(4, with_reactors);
    atomic<std::uint64_t> received{0};
    four.run([&] {
        auto channel = shared_channel(2);
        atomic<std::uint64_t> sent{0};
        std::vector<Pid> pids;
        // Impatient ones: their waits end by timeout all the time.
        for (unsigned i = 0; i < 4; ++i) {
            pids.push_back(spawn_on(i, [&] {
                Numbers numbers;
                for (;;) {
                    const Status status = receive(*channel, numbers, in(20us));
                    if (status == Status::ok) received.fetch_add(1);
                    else if (status != Status::timed_out) return;
                }
            }));
        }
        for (unsigned i = 0; i < 4; ++i) {
            pids.push_back(spawn_on(i, [&] {
                while (sent.fetch_add(1) < kMessages) {
                    Status status = Status::timed_out;
                    while (status == Status::timed_out) status = send(*channel, 1, in(20us));
                    if (status != Status::ok) return;
                }
            }));
        }
        // Short-lived ones, which are asked to exit while they wait.
        for (int round = 0; round < 100; ++round) {
            pids.push_back(spawn_on(static_cast<unsigned>(round % 4), [&] {
                Numbers numbers;
                while (receive(*channel, numbers) == Status::ok) received.fetch_add(1);
            }));
            for (int turn = 0; turn < 10; ++turn) pass_turn();
            request_exit(pids.back());
        }
        wait_until([&] { return received.load() == kMessages; });
        channel->close();
        for (const Pid pid : pids) join(pid);
    });
    CHECK(received.load() == kMessages);
}

TEST_CASE("a channel that was used locally goes on across workers") {
    TestScheduler<> two(2, with_reactors);
    Numbers numbers;
    two.run([&] {
        auto channel = make_shared_ref<Channel>();
        for (std::uint64_t i = 0; i < 10; ++i) send(*channel, i);
        Numbers local_ones;
        const Pid local_receiver = spawn_here([&] {
            while (local_ones.size() < 15) receive(*channel, local_ones);
        });
        wait_until([&] { return local_ones.size() == 10; });
        CHECK(channel->share([](Message&) { return true; }));
        join(spawn_on(1, [&] {
            for (std::uint64_t i = 10; i < 15; ++i) send(*channel, i);
        }));
        join(local_receiver);
        const Pid remote = spawn_on(1, [&] { receive(*channel, numbers); });
        send(*channel, 99);
        join(remote);
        CHECK(local_ones.size() == 15);
    });
    CHECK(numbers == Numbers{99});
}

TEST_CASE("a receiver that another worker closes frees every parked sender") {
    TestScheduler<> three(3, with_reactors);
    atomic<int> closed{0};
    three.run([&] {
        auto channel = shared_channel(1);
        auto receiver = make_shared_ref<ReceiverEnd>(channel);
        std::vector<Pid> pids;
        for (unsigned i = 0; i < 60; ++i) {
            pids.push_back(spawn_on(i % 3, [&] {
                if (send(*channel, 1) == Status::closed) closed.fetch_add(1);
            }));
        }
        Numbers numbers;
        receive(*channel, numbers);
        pids.push_back(spawn_on(1, [&receiver] { receiver = nullptr; }));
        for (const Pid pid : pids) join(pid);
    });
    CHECK(closed.load() >= 58);  // one was received, one may have been queued
}
