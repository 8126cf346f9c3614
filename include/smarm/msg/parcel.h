// parcel.h: one encoded value, in one native block that changes hands.
//
// What:    a Parcel is header + bytes in a single allocation, plus the native objects (channel ends, buffers, ...) that
//          the bytes refer to by position. Made by a ParcelBuilder, immutable afterwards. It is a Post, so sending it
//          to another worker allocates nothing more.
// Owner:   exactly one owner at a time, passed on as Owned<Parcel> (a unique_ptr); destroying it drops the attachments,
//          on any thread, without touching an interpreter.
// Moved:   an attachment that is a Cargo (cargo.h) has left its sender; give_back() returns those of a parcel that
//          could not be sent.
// Units:   size() in bytes, without header and attachments; bytes() with them. Threads: none of its own. Throws:
//          bad_alloc when building.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "smarm/base/shared.h"
#include "smarm/msg/post.h"

namespace smarm {

class Parcel final : public Post {
public:
    const std::byte* data() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
    std::size_t size() const noexcept { return size_; }
    const std::vector<Ref<Shared>>& attachments() const noexcept { return attachments_; }
    // How much memory it keeps, about.
    std::size_t bytes() const noexcept;
    // Returns what was moved into the parcel to its sender, on the sender's thread.
    void give_back() const noexcept;

    // The address (Pid::bits of an actor) while it travels; set by whoever posts it.
    std::uint64_t target = 0;

    struct Destroy {
        void operator()(Parcel* parcel) const noexcept;
    };

private:
    friend class ParcelBuilder;
    Parcel() noexcept;
    ~Parcel() = default;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;  // of its block, after the header
    std::vector<Ref<Shared>> attachments_;
};

using OwnedParcel = std::unique_ptr<Parcel, Parcel::Destroy>;

// Appends bytes and attachments; finish() turns what was written into a Parcel without copying it.
class ParcelBuilder {
public:
    ParcelBuilder() = default;
    ~ParcelBuilder();
    ParcelBuilder(const ParcelBuilder&) = delete;
    ParcelBuilder& operator=(const ParcelBuilder&) = delete;

    // Returns room for `bytes` more bytes at the end and counts them as written. Throws std::bad_alloc.
    std::byte* append(std::size_t bytes) {
        if (bytes > capacity_ - size_ || !block_) grow(bytes);
        std::byte* room = block_ + sizeof(Parcel) + size_;
        size_ += bytes;
        return room;
    }
    // Returns the position of the attachment.
    std::uint32_t attach(Ref<Shared> object);
    std::size_t size() const noexcept { return size_; }
    // Returns what was moved into it to its sender.
    void give_back() const noexcept;
    OwnedParcel finish();

private:
    void grow(std::size_t bytes);
    std::byte* block_ = nullptr;  // room for the header, then the bytes
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
    std::vector<Ref<Shared>> attachments_;
};

}  // namespace smarm
