#include "smarm/msg/buffer_memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <unistd.h>

#include <doctest/doctest.h>

#include "msg/buffer_pool.h"

using namespace smarm;

namespace {

using Contents = BufferMemory::Contents;
using Access = BufferMemory::Access;

bool all_zero(const BufferMemory& memory) {
    return std::all_of(memory.data(), memory.data() + memory.size(),
                       [](std::byte byte) { return byte == std::byte{0}; });
}

// The pool is the process's: each test leaves it as it found it.
struct PoolLimit {
    explicit PoolLimit(std::size_t bytes) {
        set_buffer_pool_limit(0);
        set_buffer_pool_limit(bytes);
    }
    ~PoolLimit() {
        set_buffer_pool_limit(0);
        set_buffer_pool_limit(BufferPool::kDefaultLimit);
    }
};

}  // namespace

TEST_CASE("what is allocated stays within the limit") {
    const std::size_t now = BufferMemory::kLarge;
    auto held = BufferMemory::allocate(now, 64, Contents::zero);
    bool over = true;
    for (const std::size_t alignment : {std::size_t{64}, std::size_t{1} << 16}) {
        set_buffer_limit(now + 1000);
        CHECK(buffer_limit() == now + 1000);
        auto fits = BufferMemory::allocate(1000, alignment, Contents::zero, &over);
        CHECK(fits);
        CHECK(!over);
        CHECK(!BufferMemory::allocate(1, alignment, Contents::zero, &over));
        CHECK(over);
        fits = nullptr;
        CHECK(BufferMemory::allocate(1000, alignment, Contents::unset, &over));
        CHECK(!over);
        CHECK(!BufferMemory::allocate(std::size_t{1} << 60, alignment, Contents::zero, &over));
        CHECK(over);
    }
    set_buffer_limit(SIZE_MAX);
    CHECK(!BufferMemory::allocate(std::size_t{1} << 60, 64, Contents::zero, &over));
    CHECK(!over);
}

TEST_CASE("memory has the size and alignment that was asked for") {
    for (std::size_t bytes :
         {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, BufferMemory::kLarge - 1,
          BufferMemory::kLarge, BufferMemory::kLarge + 1, std::size_t{3} << 20}) {
        for (std::size_t alignment = 16; alignment <= std::size_t{2} << 20; alignment *= 2) {
            auto memory = BufferMemory::allocate(bytes, alignment, Contents::zero);
            REQUIRE(memory);
            CHECK(memory->size() == bytes);
            REQUIRE(memory->data());
            CHECK(reinterpret_cast<std::uintptr_t>(memory->data()) % alignment == 0);
            CHECK(all_zero(*memory));
            std::fill_n(memory->data(), bytes, std::byte{0xff});
        }
    }
}

TEST_CASE("memory that cannot be had is nullptr") {
    CHECK(!BufferMemory::allocate(SIZE_MAX, 64, Contents::zero));
    CHECK(!BufferMemory::allocate(PTRDIFF_MAX, 64, Contents::unset));
    CHECK(!BufferMemory::allocate(std::size_t{1} << 60, 64, Contents::zero));
    CHECK(!BufferMemory::allocate(std::size_t{1} << 60, 1 << 20, Contents::zero));
}

TEST_CASE("large memory comes back from the pool, without what was in it") {
    PoolLimit limit(16 << 20);
    const auto hits = buffer_statistics().pool_hits;
    auto first = BufferMemory::allocate(1 << 20, 64, Contents::zero);
    const std::byte* place = first->data();
    std::fill_n(first->data(), first->size(), std::byte{1});
    first = nullptr;
    CHECK(buffer_statistics().pooled_bytes == 1 << 20);
    auto second = BufferMemory::allocate((1 << 20) - 5000, 64, Contents::zero);
    CHECK(second->data() == place);
    CHECK(all_zero(*second));
    CHECK(buffer_statistics().pool_hits == hits + 1);
    CHECK(buffer_statistics().pooled_bytes == 0);
}

TEST_CASE("the pool keeps no more than its limit, and lets go when it shrinks") {
    PoolLimit limit(2 << 20);
    {
        Ref<BufferMemory> many[5];
        for (auto& memory : many) memory = BufferMemory::allocate(1 << 20, 64, Contents::unset);
    }
    CHECK(buffer_statistics().pooled_bytes == 2 << 20);
    set_buffer_pool_limit(1 << 20);
    CHECK(buffer_statistics().pooled_bytes == 1 << 20);
    set_buffer_pool_limit(0);
    CHECK(buffer_statistics().pooled_bytes == 0);
    BufferMemory::allocate(1 << 20, 64, Contents::unset);
    CHECK(buffer_statistics().pooled_bytes == 0);
}

TEST_CASE("a size class is at least as large as asked for, and at most a quarter larger") {
    for (std::size_t bytes = BufferMemory::kLarge; bytes < std::size_t{1} << 40; bytes += bytes / 7 + 1) {
        const std::size_t capacity = BufferPool::capacity_for(bytes);
        CHECK(capacity >= bytes);
        CHECK(capacity <= bytes + bytes / 4);
        CHECK(capacity % 4096 == 0);
        CHECK(BufferPool::capacity_for(capacity) == capacity);
    }
}

TEST_CASE("what lives is counted") {
    const BufferStatistics before = buffer_statistics();
    auto memory = BufferMemory::allocate(1000, 64, Contents::zero);
    CHECK(buffer_statistics().live == before.live + 1);
    CHECK(buffer_statistics().live_bytes == before.live_bytes + 1000);
    CHECK(buffer_statistics().allocated == before.allocated + 1);
    memory = nullptr;
    CHECK(buffer_statistics().live == before.live);
    CHECK(buffer_statistics().live_bytes == before.live_bytes);
    count_payload_copy(7);
    CHECK(buffer_statistics().payload_copies == before.payload_copies + 1);
    CHECK(buffer_statistics().payload_bytes == before.payload_bytes + 7);
}

TEST_CASE("a file is mapped shared or private") {
    std::FILE* file = std::tmpfile();
    REQUIRE(file);
    REQUIRE(std::fputs("some text", file) >= 0);
    REQUIRE(std::fflush(file) == 0);
    const int fd = ::fileno(file);
    auto ours = BufferMemory::map_file(fd, 0, 9, Access::copy);
    auto shared = BufferMemory::map_file(fd, 0, 9, Access::write);
    auto seen = BufferMemory::map_file(fd, 0, 9, Access::read);
    REQUIRE((ours && shared && seen));
    ours->data()[0] = std::byte{'h'};
    CHECK(seen->data()[0] == std::byte{'s'});
    shared->data()[0] = std::byte{'t'};
    CHECK(seen->data()[0] == std::byte{'t'});
    CHECK(ours->data()[0] == std::byte{'h'});
    CHECK(!BufferMemory::map_file(-1, 0, 9, Access::read));
    CHECK(!BufferMemory::map_file(fd, 1, 9, Access::read));
    std::fclose(file);
}
