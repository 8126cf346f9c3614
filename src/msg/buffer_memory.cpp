#include "smarm/msg/buffer_memory.h"

#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

#include "msg/buffer_pool.h"
#include "smarm/base/assert.h"

namespace smarm {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kMostBytes = PTRDIFF_MAX / 4;

// Relaxed, all of them: they are read for people, one by one.
struct Counters {
    atomic<std::uint64_t> live{0}, live_bytes{0}, allocated{0}, moved{0}, payload_copies{0}, payload_bytes{0};
};
Counters counters;

// What allocate() has given out, and how much that may be. Relaxed: each change is complete in itself.
atomic<std::size_t> claimed{0};
atomic<std::size_t> limit{SIZE_MAX};

bool claim(std::size_t bytes) noexcept {
    const std::size_t most = limit.load(memory_order_relaxed);
    const std::size_t before = claimed.fetch_add(bytes, memory_order_relaxed);
    if (before <= most && bytes <= most - before) return true;
    claimed.fetch_sub(bytes, memory_order_relaxed);
    return false;
}
void unclaim(std::size_t bytes) noexcept { claimed.fetch_sub(bytes, memory_order_relaxed); }

void add(atomic<std::uint64_t>& counter, std::uint64_t n) noexcept { counter.fetch_add(n, memory_order_relaxed); }
void subtract(atomic<std::uint64_t>& counter, std::uint64_t n) noexcept { counter.fetch_sub(n, memory_order_relaxed); }
std::uint64_t read(const atomic<std::uint64_t>& counter) noexcept { return counter.load(memory_order_relaxed); }

class SmallMemory final : public BufferMemory {
public:
    SmallMemory(std::byte* block, std::size_t size) noexcept : BufferMemory(block, size) {}
    ~SmallMemory() override {
        std::free(data());
        unclaim(size());
    }
};

class PooledMemory final : public BufferMemory {
public:
    PooledMemory(std::byte* block, std::size_t size, std::size_t capacity) noexcept
        : BufferMemory(block, size), capacity_(capacity) {}
    ~PooledMemory() override {
        BufferPool::instance().put(data(), capacity_);
        unclaim(size());
    }

private:
    std::size_t capacity_;
};

class MappedMemory : public BufferMemory {
public:
    MappedMemory(std::byte* data, std::size_t size, std::byte* mapping, std::size_t mapped) noexcept
        : BufferMemory(data, size), mapping_(mapping), mapped_(mapped) {}
    ~MappedMemory() override { ::munmap(mapping_, mapped_); }

private:
    std::byte* mapping_;
    std::size_t mapped_;
};

class AlignedMemory final : public MappedMemory {
public:
    using MappedMemory::MappedMemory;
    ~AlignedMemory() override { unclaim(size()); }
};

std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept { return (bytes + unit - 1) & ~(unit - 1); }

Ref<BufferMemory> allocate_small(std::size_t bytes, std::size_t alignment, bool zeroed) noexcept {
    // Never empty, so that also an empty buffer has an address.
    const std::size_t room = round_up(bytes ? bytes : 1, alignment);
    auto* block = static_cast<std::byte*>(std::aligned_alloc(alignment, room));
    if (!block) return nullptr;
    if (zeroed) std::memset(block, 0, bytes);
    auto* memory = new (std::nothrow) SmallMemory(block, bytes);
    if (!memory) std::free(block);
    return Ref<BufferMemory>::adopt(memory);
}

Ref<BufferMemory> allocate_pooled(std::size_t bytes, bool zeroed) noexcept {
    const std::size_t capacity = BufferPool::capacity_for(bytes);
    bool used = false;
    std::byte* block = BufferPool::instance().take(capacity, used);
    if (!block) return nullptr;
    if (zeroed && used) std::memset(block, 0, bytes);
    auto* memory = new (std::nothrow) PooledMemory(block, bytes, capacity);
    if (!memory) BufferPool::instance().put(block, capacity);
    return Ref<BufferMemory>::adopt(memory);
}

// Alignment beyond a page: a mapping of its own, from which the aligned part is used.
Ref<BufferMemory> allocate_aligned(std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t mapped = round_up(bytes + alignment, kPage);
    void* mapping = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return nullptr;
    auto* start = static_cast<std::byte*>(mapping);
    const auto address = reinterpret_cast<std::uintptr_t>(mapping);
    auto* memory =
        new (std::nothrow) AlignedMemory(start + (round_up(address, alignment) - address), bytes, start, mapped);
    if (!memory) ::munmap(mapping, mapped);
    return Ref<BufferMemory>::adopt(memory);
}

}  // namespace

BufferMemory::BufferMemory(std::byte* data, std::size_t size) noexcept : data_(data), size_(size) {
    add(counters.allocated, 1);
    add(counters.live, 1);
    add(counters.live_bytes, size);
}

BufferMemory::~BufferMemory() {
    subtract(counters.live, 1);
    subtract(counters.live_bytes, size_);
}

Ref<BufferMemory> BufferMemory::allocate(std::size_t bytes, std::size_t alignment, Contents contents,
                                         bool* over_limit) noexcept {
    SMARM_ASSERT(std::has_single_bit(alignment) && alignment <= kMostAlignment, "this is no alignment for a buffer");
    if (over_limit) *over_limit = false;
    if (bytes > kMostBytes) return nullptr;
    if (!claim(bytes)) {
        if (over_limit) *over_limit = true;
        return nullptr;
    }
    const bool zeroed = contents == Contents::zero;
    auto memory = alignment > kPage ? allocate_aligned(bytes, alignment)
                  : bytes < kLarge  ? allocate_small(bytes, alignment, zeroed)
                                    : allocate_pooled(bytes, zeroed);
    if (!memory) unclaim(bytes);
    return memory;
}

Ref<BufferMemory> BufferMemory::map_file(int fd, off_t offset, std::size_t bytes, Access access) noexcept {
    const int protection = access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE;
    const int kind = access == Access::copy ? MAP_PRIVATE : MAP_SHARED;
    void* mapping = ::mmap(nullptr, bytes, protection, kind, fd, offset);
    if (mapping == MAP_FAILED) return nullptr;
    auto* start = static_cast<std::byte*>(mapping);
    auto* memory = new (std::nothrow) MappedMemory(start, bytes, start, bytes);
    if (!memory) ::munmap(mapping, bytes);
    return Ref<BufferMemory>::adopt(memory);
}

BufferStatistics buffer_statistics() noexcept {
    BufferStatistics seen;
    seen.live = read(counters.live);
    seen.live_bytes = read(counters.live_bytes);
    seen.pooled_bytes = BufferPool::instance().kept_bytes();
    seen.allocated = read(counters.allocated);
    seen.pool_hits = BufferPool::instance().hits();
    seen.moved = read(counters.moved);
    seen.payload_copies = read(counters.payload_copies);
    seen.payload_bytes = read(counters.payload_bytes);
    return seen;
}

void count_payload_copy(std::size_t bytes) noexcept {
    add(counters.payload_copies, 1);
    add(counters.payload_bytes, bytes);
}

void count_buffer_move() noexcept { add(counters.moved, 1); }

void set_buffer_limit(std::size_t bytes) noexcept { limit.store(bytes, memory_order_relaxed); }
std::size_t buffer_limit() noexcept { return limit.load(memory_order_relaxed); }

void set_buffer_pool_limit(std::size_t bytes) noexcept { BufferPool::instance().set_limit(bytes); }

}  // namespace smarm
