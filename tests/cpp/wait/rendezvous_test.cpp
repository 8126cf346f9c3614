// Channels with capacity 0.
#include <algorithm>

#include <doctest/doctest.h>

#include "../support/channels.h"
#include "../support/reactors.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

TEST_CASE("a sender goes on when a receiver has taken its message, not before") {
    Alone alone;
    alone.run([] {
        Channel channel(0);
        Numbers numbers;
        bool sent = false;
        Actor* sender = nullptr;
        const Pid pid = spawn_here([&] {
            sender = this_actor();
            CHECK(send(channel, 7) == Status::ok);
            sent = true;
        });
        for (int turn = 0; turn < 5; ++turn) pass_turn();
        CHECK(!sent);
        CHECK(sender->wait_reason.load() == WaitReason::channel_send);
        CHECK(channel.size() == 0);
        CHECK(receive(channel, numbers) == Status::ok);
        join(pid);
        CHECK(sent);
        CHECK(numbers == Numbers{7});
    });
}

TEST_CASE("receivers that came first are served first, and so are senders") {
    Alone alone;
    alone.run([] {
        Channel channel(0);
        Numbers numbers;
        SUBCASE("receivers") {
            std::vector<Numbers> got(5);
            for (auto& mine : got) {
                spawn_here([&] { receive(channel, mine); });
            }
            pass_turn();
            for (std::uint64_t i = 0; i < 5; ++i) CHECK(send(channel, i) == Status::ok);
            for (std::uint64_t i = 0; i < 5; ++i) CHECK(got[i] == Numbers{i});
        }
        SUBCASE("senders") {
            for (std::uint64_t i = 0; i < 5; ++i) {
                spawn_here([&, i] { CHECK(send(channel, i) == Status::ok); });
            }
            pass_turn();
            for (std::uint64_t i = 0; i < 5; ++i) receive(channel, numbers);
            CHECK(numbers == Numbers{0, 1, 2, 3, 4});
        }
        wait_until([] { return this_worker()->live_count() == 1; });
    });
}

TEST_CASE("a sender and a receiver that give up leave nothing behind") {
    Alone alone;
    alone.run([] {
        Channel channel(0);
        Numbers numbers;
        CHECK(send(channel, 1, in(1ms)) == Status::timed_out);
        CHECK(receive(channel, numbers, in(1ms)) == Status::timed_out);
        CHECK(channel.try_receive(*std::make_unique<Message>()) == Status::timed_out);
        Status sending = Status::ok;
        const Pid sender = spawn_here([&] { sending = send(channel, 2); });
        pass_turn();
        request_exit(sender);
        join(sender);
        CHECK(sending == Status::exit_requested);
        const Pid late = spawn_here([&] { CHECK(send(channel, 3) == Status::ok); });
        CHECK(receive(channel, numbers, in(1s)) == Status::ok);
        join(late);
        CHECK(numbers == Numbers{3});
    });
}

TEST_CASE("an offer whose receiver is asked to exit goes to the next one") {
    Alone alone;
    alone.run([] {
        Channel channel(0);
        Numbers first, second;
        const Pid one = spawn_here([&] { CHECK(receive(channel, first) == Status::exit_requested); });
        const Pid two = spawn_here([&] { CHECK(receive(channel, second) == Status::ok); });
        pass_turn();
        const Pid sender = spawn_here([&] {
            const Pid victim = one;
            request_exit(victim);
            CHECK(send(channel, 5) == Status::ok);
        });
        join(sender);
        join(one);
        join(two);
        CHECK(second == Numbers{5});
    });
}

TEST_CASE("close frees everybody who waits; what was offered stays with its sender") {
    Alone alone;
    alone.run([] {
        auto channel = make_shared_ref<Channel>(0);
        auto receiver = make_shared_ref<ReceiverEnd>(channel);
        Status ended = Status::ok;
        Numbers numbers;
        SUBCASE("a sender") {
            spawn_here([&] { ended = send(*channel, 1); });
        }
        SUBCASE("a receiver") {
            spawn_here([&] { ended = receive(*channel, numbers); });
        }
        pass_turn();
        receiver->close();
        wait_until([] { return this_worker()->live_count() == 1; });
        CHECK(ended == Status::closed);
        CHECK(send(*channel, 1) == Status::closed);
        CHECK(receive(*channel, numbers) == Status::closed);
    });
}

TEST_CASE("a sender that waits with a local object converts it when the channel is shared") {
    Alone alone;
    alone.run([] {
        Message::set_local_release(note_release);
        Channel channel(0);
        Numbers numbers;
        Status first = Status::ok;
        const Pid sender = spawn_here([&] {
            Message message = local(4);
            first = channel.send(message);
            CHECK(message.take_local() == reinterpret_cast<void*>(32));
            message = parcel(4);
            CHECK(channel.send(message) == Status::ok);
        });
        pass_turn();
        CHECK(channel.share([](Message&) { return true; }));
        CHECK(receive(channel, numbers) == Status::ok);
        join(sender);
        CHECK(first == Status::must_convert);
        CHECK(numbers == Numbers{4});
    });
}

TEST_CASE("nothing is lost or doubled at a rendezvous of many, with timeouts on all sides") {
    constexpr std::uint64_t kEach = 300;
    TestScheduler<> three(3, with_reactors);
    std::vector<Numbers> received(3);
    three.run([&] {
        auto channel = shared_channel(0);
        atomic<unsigned> producing{3};
        std::vector<Pid> pids;
        for (unsigned i = 0; i < 3; ++i) {
            pids.push_back(spawn_on(i, [&, i] {
                for (;;) {
                    const Status status = receive(*channel, received[i], i == 0 ? in(50us) : kNever);
                    if (status == Status::closed) return;
                }
            }));
            pids.push_back(spawn_on(i, [&, i] {
                for (std::uint64_t n = 0; n < kEach; ++n) {
                    Status status = Status::timed_out;
                    while (status == Status::timed_out)
                        status = send(*channel, i * kEach + n, n % 2 ? in(50us) : kNever);
                    CHECK(status == Status::ok);
                }
                if (producing.fetch_sub(1) == 1) channel->close();
            }));
        }
        for (const Pid pid : pids) join(pid);
    });
    Numbers all;
    for (const Numbers& numbers : received) all.insert(all.end(), numbers.begin(), numbers.end());
    std::sort(all.begin(), all.end());
    REQUIRE(all.size() == 3 * kEach);
    for (std::uint64_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == i);
}
