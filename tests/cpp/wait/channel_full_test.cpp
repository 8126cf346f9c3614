// What a full channel does, and what a close can say. See also channel_test.cpp.
#include <doctest/doctest.h>

#include "../support/channels.h"
#include "../support/reactors.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

TEST_CASE("a full channel with drop_oldest keeps the newest, counts the others and never parks its sender") {
    Alone alone;
    alone.run([] {
        released.clear();
        Message::set_local_release(note_release);
        Channel channel(2, OnFull::drop_oldest);
        for (std::uint64_t i = 1; i <= 5; ++i) {
            Message message = local(i);
            CHECK(channel.send(message, in(-1s)) == Status::ok);
            CHECK(!message);
        }
        CHECK(released == Numbers{1, 2, 3});
        CHECK(channel.size() == 2);
        CHECK(channel.dropped() == 3);
        for (std::uint64_t i = 4; i <= 5; ++i) {
            Message message;
            CHECK(channel.receive(message) == Status::ok);
            CHECK(message.take_local() == reinterpret_cast<void*>(i * 8));
        }
    });
}

TEST_CASE("a full channel with drop_newest keeps the oldest and counts the others") {
    Alone alone;
    alone.run([] {
        Channel channel(2, OnFull::drop_newest);
        Numbers numbers;
        for (std::uint64_t i = 1; i <= 5; ++i) CHECK(send(channel, i) == Status::ok);
        CHECK(channel.size() == 2);
        CHECK(channel.dropped() == 3);
        receive(channel, numbers);
        CHECK(send(channel, 6) == Status::ok);
        channel.close();
        receive_all(channel, numbers);
        CHECK(numbers == Numbers{1, 2, 6});
    });
}

TEST_CASE("a full channel with error gives the message back") {
    Alone alone;
    alone.run([] {
        Channel channel(1, OnFull::error);
        Numbers numbers;
        CHECK(send(channel, 1) == Status::ok);
        CHECK(send(channel, 2) == Status::full);
        CHECK(channel.dropped() == 0);
        receive(channel, numbers);
        CHECK(send(channel, 3) == Status::ok);
        channel.close();
        CHECK(send(channel, 4) == Status::closed);  // also when it is full
    });
}

TEST_CASE("a dropped message may use the channel that dropped it") {
    Alone alone;
    static Channel* target;
    alone.run([] {
        Message::set_local_release([](void* object) {
            if (object == reinterpret_cast<void*>(8)) send(*target, 77);
        });
        Channel channel(2, OnFull::drop_oldest);
        target = &channel;
        for (std::uint64_t i = 1; i <= 3; ++i) {
            Message message = local(i);
            CHECK(channel.send(message) == Status::ok);
        }
        CHECK(channel.size() == 2);
        CHECK(channel.dropped() == 2);
        Message message;
        channel.receive(message);
        CHECK(message.take_local() == reinterpret_cast<void*>(24));
    });
}

TEST_CASE("a shared channel drops nothing for a message that it cannot take") {
    Alone alone;
    alone.run([] {
        Message::set_local_release(note_release);
        for (OnFull on_full : {OnFull::drop_oldest, OnFull::drop_newest}) {
            auto channel = shared_channel(1, on_full);
            CHECK(send(*channel, 1) == Status::ok);
            Message message = local(2);
            CHECK(channel->send(message) == Status::must_convert);
            CHECK(channel->dropped() == 0);
            Numbers numbers;
            receive(*channel, numbers);
            CHECK(numbers == Numbers{1});
        }
    });
}

TEST_CASE("what is dropped and what is received is all there was, across workers") {
    constexpr std::uint64_t kEach = 2000;
    for (OnFull on_full : {OnFull::drop_oldest, OnFull::drop_newest}) {
        TestScheduler<> three(3, with_reactors);
        Numbers numbers;
        std::uint64_t dropped = 0;
        three.run([&] {
            auto channel = shared_channel(8, on_full);
            const Pid receiver = spawn_on(0, [&] { receive_all(*channel, numbers); });
            const Pid one = spawn_on(1, [&] {
                for (std::uint64_t i = 0; i < kEach; ++i) CHECK(send(*channel, i) == Status::ok);
            });
            const Pid two = spawn_on(2, [&] {
                for (std::uint64_t i = 0; i < kEach; ++i) CHECK(send(*channel, i) == Status::ok);
            });
            join(one);
            join(two);
            channel->close();
            join(receiver);
            dropped = channel->dropped();
        });
        CHECK(numbers.size() + dropped == 2 * kEach);
    }
}

TEST_CASE("the first close gives the cause, and dropping an end gives none") {
    Alone alone;
    alone.run([] {
        auto channel = make_shared_ref<Channel>();
        auto sender = make_shared_ref<SenderEnd>(channel);
        auto receiver = make_shared_ref<ReceiverEnd>(channel);
        const auto cause = ExitReason::plain(ExitKind::shutdown);
        CHECK(!channel->closed());
        SUBCASE("by the sender") {
            channel->close(cause);
            receiver->close(ExitReason::plain(ExitKind::killed));
            CHECK(channel->cause().get() == cause.get());
        }
        SUBCASE("by the receiver") {
            receiver->close(cause);
            channel->close();
            CHECK(channel->cause().get() == cause.get());
        }
        SUBCASE("without") {
            sender = nullptr;
            channel->close(cause);
            CHECK(!channel->cause());
        }
        CHECK(channel->closed());
    });
}
