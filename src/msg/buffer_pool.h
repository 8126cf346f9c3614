// buffer_pool.h: free mappings for large buffers, by size class.
//
// What:    take() gives a mapping of exactly `capacity` bytes, an old one if there is one; put() takes it back. Kept
//          are at most `limit` bytes; what would be above goes to the OS.
// Why:     a fresh mapping costs a page fault per 4 KiB, many times what the copy of a message would cost.
// Owner:   of the free mappings, for the life of the process. Threads: any; a mutex. Throws: no.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "smarm/base/sync.h"

namespace smarm {

class BufferPool {
public:
    static constexpr std::size_t kDefaultLimit = std::size_t{128} << 20;

    // Immortal: buffers may be freed when statics are destroyed.
    static BufferPool& instance() noexcept;

    // The capacity of a block for so many bytes: 2^n times 1, 1.25, 1.5 or 1.75.
    static std::size_t capacity_for(std::size_t bytes) noexcept;

    // nullptr: no memory. `used` says whether there is old data in it.
    std::byte* take(std::size_t capacity, bool& used) noexcept;
    void put(std::byte* block, std::size_t capacity) noexcept;
    void set_limit(std::size_t bytes) noexcept;

    std::size_t kept_bytes() const noexcept { return kept_.load(memory_order_relaxed); }
    std::uint64_t hits() const noexcept { return hits_.load(memory_order_relaxed); }

private:
    // Lies in the free block itself.
    struct Free {
        Free* next;
        std::size_t capacity;
    };
    static constexpr unsigned kClasses = 64 * 4;
    static unsigned class_of(std::size_t capacity) noexcept;
    Free* take_above(std::size_t limit) noexcept;

    std::mutex mutex_;  // guards what follows
    Free* free_[kClasses] = {};
    std::size_t limit_ = kDefaultLimit;
    // Relaxed: written under the mutex, read by others for statistics.
    atomic<std::size_t> kept_{0};
    atomic<std::uint64_t> hits_{0};
};

}  // namespace smarm
