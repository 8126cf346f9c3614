#include "smarm/msg/buffer.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include <doctest/doctest.h>

#include "smarm/msg/parcel.h"

using namespace smarm;

namespace {

using Contents = BufferMemory::Contents;

Buffer make_buffer(std::size_t bytes) {
    auto memory = BufferMemory::allocate(bytes, 64, Contents::zero);
    REQUIRE(memory);
    return Buffer(std::move(memory));
}

std::uint64_t live() { return buffer_statistics().live; }

}  // namespace

TEST_CASE("a split buffer is two ranges of one memory, which lives as long as either") {
    const auto before = live();
    Buffer first = make_buffer(100);
    std::byte* start = first.data();
    Buffer second = first.split_off(40);
    CHECK(first.size() == 40);
    CHECK(first.data() == start);
    CHECK(second.size() == 60);
    CHECK(second.data() == start + 40);
    CHECK(live() == before + 1);
    first = Buffer();
    CHECK(live() == before + 1);
    second = Buffer();
    CHECK(live() == before);
}

TEST_CASE("a buffer splits at both of its ends") {
    Buffer all = make_buffer(8);
    Buffer none = all.split_off(8);
    CHECK(all.size() == 8);
    CHECK(none.size() == 0);
    Buffer rest = all.split_off(0);
    CHECK(all.size() == 0);
    CHECK(rest.size() == 8);
}

TEST_CASE("a moved buffer is empty") {
    Buffer one = make_buffer(8);
    Buffer other = std::move(one);
    CHECK(!one);
    CHECK(other.size() == 8);
}

TEST_CASE("a frozen buffer and what is shared of it have the same bytes") {
    Buffer one = make_buffer(16);
    one.freeze();
    Buffer other = one.share();
    CHECK(other.frozen());
    CHECK(other.data() == one.data());
    other.narrow(4, 8);
    CHECK(other.data() == one.data() + 4);
    CHECK(one.size() == 16);
}

TEST_CASE("a holder gives its buffer away, and gets it back when it could not be sent") {
    auto account = make_shared_ref<BufferAccount>();
    auto holder = make_shared_ref<BufferHolder>(make_buffer(10), account);
    CHECK(account->buffers == 1);
    CHECK(account->bytes == 10);
    auto cargo = make_shared_ref<BufferCargo>(holder->take(), holder);
    CHECK(holder->moved());
    CHECK(account->buffers == 0);
    CHECK(account->bytes == 0);
    cargo->give_back();
    CHECK(!holder->moved());
    CHECK(holder->buffer().size() == 10);
    CHECK(account->bytes == 10);
    CHECK(!cargo->take());
}

TEST_CASE("an account is settled when the last holder goes, also when its actor went first") {
    auto account = make_shared_ref<BufferAccount>();
    auto one = make_shared_ref<BufferHolder>(make_buffer(10), account);
    auto other = make_shared_ref<BufferHolder>(make_buffer(20), account);
    CHECK(account->bytes == 30);
    one = nullptr;
    CHECK(account->buffers == 1);
    CHECK(account->bytes == 20);
    other = nullptr;
    CHECK(account->bytes == 0);
}

TEST_CASE("cargo is taken once") {
    const auto moved = buffer_statistics().moved;
    BufferCargo cargo(make_buffer(10), nullptr);
    Buffer taken = cargo.take();
    CHECK(taken.size() == 10);
    CHECK(!cargo.take());
    CHECK(buffer_statistics().moved == moved + 1);
}

TEST_CASE("cargo that was taken cannot be given back") {
    auto holder = make_shared_ref<BufferHolder>(make_buffer(10), nullptr);
    auto cargo = make_shared_ref<BufferCargo>(holder->take(), holder);
    Buffer taken = cargo->take();
    cargo->give_back();
    CHECK(holder->moved());
}

TEST_CASE("a parcel gives back all that was moved into it, and frees what nobody takes") {
    const auto before = live();
    auto one = make_shared_ref<BufferHolder>(make_buffer(10), nullptr);
    auto other = make_shared_ref<BufferHolder>(make_buffer(20), nullptr);
    ParcelBuilder builder;
    builder.attach(make_shared_ref<BufferCargo>(one->take(), one));
    builder.attach(make_shared_ref<FrozenBuffer>(make_buffer(5)));
    builder.attach(make_shared_ref<BufferCargo>(other->take(), other));
    OwnedParcel parcel = builder.finish();
    parcel->give_back();
    CHECK(one->buffer().size() == 10);
    CHECK(other->buffer().size() == 20);
    parcel = nullptr;
    CHECK(live() == before + 2);

    ParcelBuilder second;
    second.attach(make_shared_ref<BufferCargo>(one->take(), one));
    parcel = second.finish();
    std::thread elsewhere([&] { parcel = nullptr; });
    elsewhere.join();
    CHECK(one->moved());
    CHECK(live() == before + 1);
}

TEST_CASE("a builder gives back what was moved into it") {
    auto holder = make_shared_ref<BufferHolder>(make_buffer(10), nullptr);
    ParcelBuilder builder;
    builder.attach(make_shared_ref<BufferCargo>(holder->take(), holder));
    builder.give_back();
    CHECK(!holder->moved());
}

TEST_CASE("users are counted, from any thread") {
    auto holder = make_shared_ref<BufferHolder>(make_buffer(10), nullptr);
    holder->add_user();
    holder->add_user();
    std::thread elsewhere([&] {
        holder->buffer().data()[3] = std::byte{7};
        holder->drop_user();
    });
    while (holder->users() != 1) std::this_thread::yield();
    CHECK(holder->buffer().data()[3] == std::byte{7});
    elsewhere.join();
}

TEST_CASE("buffers go round between threads and are each freed once") {
    const auto before = live();
    constexpr int kThreads = 4;
    std::vector<std::thread> threads;
    for (int index = 0; index < kThreads; ++index) {
        threads.emplace_back([index] {
            for (int round = 0; round < 200; ++round) {
                Buffer first = Buffer(BufferMemory::allocate(BufferMemory::kLarge + 100, 64, Contents::zero));
                Buffer second = first.split_off(100);
                std::fill_n(second.data(), second.size(), std::byte(index));
                std::thread other([mine = std::move(first)]() mutable { mine = Buffer(); });
                other.join();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(live() == before);
}
