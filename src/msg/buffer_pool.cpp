#include "msg/buffer_pool.h"

#include <bit>
#include <new>
#include <sys/mman.h>

namespace smarm {

BufferPool& BufferPool::instance() noexcept {
    alignas(BufferPool) static std::byte place[sizeof(BufferPool)];
    static BufferPool* pool = new (place) BufferPool;
    return *pool;
}

std::size_t BufferPool::capacity_for(std::size_t bytes) noexcept {
    const std::size_t below = std::bit_floor(bytes);
    const std::size_t quarter = below / 4;
    return (bytes + quarter - 1) / quarter * quarter;
}

// The exponent and the two bits behind the highest one.
unsigned BufferPool::class_of(std::size_t capacity) noexcept {
    const auto exponent = static_cast<unsigned>(std::bit_width(capacity)) - 1;
    return exponent * 4 + static_cast<unsigned>(capacity >> (exponent - 2) & 3);
}

std::byte* BufferPool::take(std::size_t capacity, bool& used) noexcept {
    {
        std::lock_guard guard(mutex_);
        Free*& first = free_[class_of(capacity)];
        if (Free* block = first) {
            first = block->next;
            kept_.store(kept_bytes() - capacity, memory_order_relaxed);
            hits_.store(hits() + 1, memory_order_relaxed);
            used = true;
            return reinterpret_cast<std::byte*>(block);
        }
    }
    used = false;
    void* mapping = ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mapping == MAP_FAILED ? nullptr : static_cast<std::byte*>(mapping);
}

void BufferPool::put(std::byte* block, std::size_t capacity) noexcept {
    {
        std::lock_guard guard(mutex_);
        if (kept_bytes() <= limit_ && capacity <= limit_ - kept_bytes()) {
            Free*& first = free_[class_of(capacity)];
            first = new (block) Free{first, capacity};
            kept_.store(kept_bytes() + capacity, memory_order_relaxed);
            return;
        }
    }
    ::munmap(block, capacity);
}

// Takes blocks out, the largest first, until no more than `limit` bytes are left. The mutex is held.
BufferPool::Free* BufferPool::take_above(std::size_t limit) noexcept {
    Free* taken = nullptr;
    for (unsigned index = kClasses; index-- > 0;) {
        while (free_[index] && kept_bytes() > limit) {
            Free* block = free_[index];
            free_[index] = block->next;
            block->next = taken;
            taken = block;
            kept_.store(kept_bytes() - block->capacity, memory_order_relaxed);
        }
    }
    return taken;
}

void BufferPool::set_limit(std::size_t bytes) noexcept {
    Free* excess;
    {
        std::lock_guard guard(mutex_);
        limit_ = bytes;
        excess = take_above(bytes);
    }
    while (excess) {
        Free* next = excess->next;
        ::munmap(excess, excess->capacity);
        excess = next;
    }
}

}  // namespace smarm
