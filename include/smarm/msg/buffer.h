// buffer.h: bytes with one owner, that moves; and where such bytes are at the moment.
//
// What:    Buffer        a range of a BufferMemory, as a move-only value; frozen: never changes again, may be shared
//          BufferHolder  a place that owns a buffer, or has given it away: what a Python object refers to
//          BufferCargo   a buffer on its way in a parcel
// States:  of a holder: holding -> moved (take) -> holding (put_back: the parcel did not leave). Users are those who
//          can reach the bytes: the object itself, its slices, views exported from them. A buffer that is not frozen
//          may leave only when there is one user, the one who sends it.
// Account: how many buffers and bytes an actor holds; frozen ones count for each who holds them.
// Threads: a holder belongs to one interpreter, except add_user and drop_user (a view may be released by any thread)
//          and its destruction. A Buffer and a BufferCargo go from thread to thread with their owner.
// Throws:  no. Not: any protection of the bytes of a shared file mapping from other processes.
#pragma once

#include "smarm/base/assert.h"
#include "smarm/msg/buffer_memory.h"
#include "smarm/msg/cargo.h"

namespace smarm {

class Buffer {
public:
    Buffer() = default;
    // The whole memory.
    explicit Buffer(Ref<BufferMemory> memory, bool frozen = false) noexcept
        : memory_(std::move(memory)), size_(memory_->size()), frozen_(frozen) {}
    Buffer(Buffer&& other) noexcept = default;
    Buffer& operator=(Buffer&& other) noexcept = default;

    explicit operator bool() const noexcept { return static_cast<bool>(memory_); }
    std::byte* data() const noexcept { return memory_->data() + offset_; }
    std::size_t size() const noexcept { return size_; }
    bool frozen() const noexcept { return frozen_; }
    BufferMemory& memory() const noexcept { return *memory_; }

    void freeze() noexcept { frozen_ = true; }
    // Keeps the `size` bytes from `offset` on; they must lie inside.
    void narrow(std::size_t offset, std::size_t size) noexcept {
        SMARM_ASSERT(offset <= size_ && size <= size_ - offset, "a part that is not inside of the buffer");
        offset_ += offset;
        size_ = size;
    }
    // Keeps the first `at` bytes and returns the others.
    Buffer split_off(std::size_t at) noexcept {
        Buffer rest = alias();
        rest.narrow(at, size_ - at);
        size_ = at;
        return rest;
    }
    // Another buffer of the same bytes; must be frozen.
    Buffer share() const noexcept {
        SMARM_ASSERT(frozen_, "only a frozen buffer can be shared");
        return alias();
    }

private:
    Buffer alias() const noexcept {
        Buffer other;
        other.memory_ = memory_;
        other.offset_ = offset_;
        other.size_ = size_;
        other.frozen_ = frozen_;
        return other;
    }
    Ref<BufferMemory> memory_;
    std::size_t offset_ = 0;
    std::size_t size_ = 0;
    bool frozen_ = false;
};

// Relaxed: written on one worker (or by a pool thread of its interpreter), read by others for statistics.
struct BufferAccount final : Shared {
    atomic<std::uint64_t> buffers{0};
    atomic<std::uint64_t> bytes{0};
};

class BufferHolder final : public Shared {
public:
    // `account` may be empty: nobody's.
    BufferHolder(Buffer buffer, Ref<BufferAccount> account) noexcept : account_(std::move(account)) {
        put_back(std::move(buffer));
    }
    ~BufferHolder() override {
        if (buffer_) take();
    }

    bool moved() const noexcept { return !buffer_; }
    // Must not be moved.
    Buffer& buffer() noexcept { return buffer_; }

    // Acquire and release: whoever finds that it is the only user sees what the others wrote into the bytes.
    std::uint32_t users() const noexcept { return users_.load(memory_order_acquire); }
    void add_user() noexcept { users_.fetch_add(1, memory_order_relaxed); }
    void drop_user() noexcept { users_.fetch_sub(1, memory_order_release); }

    Buffer take() noexcept;
    void put_back(Buffer buffer) noexcept;

private:
    Buffer buffer_;
    Ref<BufferAccount> account_;
    atomic<std::uint32_t> users_{0};
};

class BufferCargo final : public Cargo {
public:
    // `from` may be empty: then giving it back frees it.
    BufferCargo(Buffer buffer, Ref<BufferHolder> from) noexcept : buffer_(std::move(buffer)), from_(std::move(from)) {}

    // Returns the buffer, or an empty one when it has been taken already.
    Buffer take() noexcept;
    void give_back() noexcept override;
    std::size_t payload_bytes() const noexcept override { return buffer_.size(); }

private:
    Buffer buffer_;
    Ref<BufferHolder> from_;
};

// A frozen buffer in a parcel: any number of receivers may share it.
struct FrozenBuffer final : Shared {
    explicit FrozenBuffer(Buffer its_buffer) noexcept : buffer(std::move(its_buffer)) {}
    std::size_t payload_bytes() const noexcept override { return buffer.size(); }
    const Buffer buffer;
};

}  // namespace smarm
