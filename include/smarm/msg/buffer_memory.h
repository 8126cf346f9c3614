// buffer_memory.h: one stretch of bytes outside of every interpreter, that any number of buffers may lie in.
//
// What:    the bytes of Buffers: small ones from malloc, large ones (from kLarge bytes on) from a pool of mappings, or
//          the pages of a file. A subclass may lend memory of something else (interp/buffer_loan.h).
// Owner:   Ref-counted: freed exactly once, by whoever drops the last reference, on any thread, without an interpreter.
// Pool:    one for the process, kept in size classes (four to a doubling, so at most a fifth is unused address space).
//          What is freed stays there up to a limit, then goes back to the OS. A block is never given out with old
//          contents unless the caller asks for `Contents::unset`.
// Threads: any. Blocks: the pool's mutex, for a few instructions; mmap. Throws: no, nullptr says that there is no
//          memory.
// Counts:  buffer_statistics(), for people and for tests that prove that nothing was copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <sys/types.h>

#include "smarm/base/shared.h"

namespace smarm {

class BufferMemory : public Shared {
public:
    static constexpr std::size_t kLarge = 64 * 1024;
    static constexpr std::size_t kMostAlignment = std::size_t{1} << 30;

    enum class Contents : std::uint8_t { zero, unset };
    // Which way a file is mapped: shared and read-only, shared and writable, private and writable.
    enum class Access : std::uint8_t { read, write, copy };

    // `alignment` must be a power of two up to kMostAlignment. nullptr: no memory, or, as `over_limit` then says, more
    // than set_buffer_limit allows.
    static Ref<BufferMemory> allocate(std::size_t bytes, std::size_t alignment, Contents contents,
                                      bool* over_limit = nullptr) noexcept;
    // Maps `bytes` bytes (more than 0) of the open file; `offset` must be a multiple of the page size. nullptr: see
    // errno.
    static Ref<BufferMemory> map_file(int fd, off_t offset, std::size_t bytes, Access access) noexcept;

    std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

protected:
    BufferMemory(std::byte* data, std::size_t size) noexcept;
    ~BufferMemory() override;

private:
    std::byte* data_;
    std::size_t size_;
};

struct BufferStatistics {
    std::uint64_t live = 0;            // memories that exist, now
    std::uint64_t live_bytes = 0;      // theirs
    std::uint64_t pooled_bytes = 0;    // kept in the pool, now
    std::uint64_t allocated = 0;       // memories made, ever
    std::uint64_t pool_hits = 0;       // of these, large ones that the pool had
    std::uint64_t moved = 0;           // buffers that a receiver took out of a message, ever
    std::uint64_t payload_copies = 0;  // times that the runtime copied the bytes of a bytes-like object or buffer, ever
    std::uint64_t payload_bytes = 0;   // how many bytes those were
};

BufferStatistics buffer_statistics() noexcept;

// Counts one copy of a payload: what the runtime copies of bytes-like objects and buffers, be it for a message or not.
void count_payload_copy(std::size_t bytes) noexcept;
void count_buffer_move() noexcept;

// Sets how many bytes all memories that allocate() has made may have together; files and lent memory do not count.
void set_buffer_limit(std::size_t bytes) noexcept;
std::size_t buffer_limit() noexcept;

// Sets how many bytes the pool keeps, and frees what is above it.
void set_buffer_pool_limit(std::size_t bytes) noexcept;

}  // namespace smarm
