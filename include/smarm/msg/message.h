// message.h: one message where it waits: a local object by reference, or a parcel.
//
// What:    a move-only word. A local object (for Python: an immutable PyObject*) may only be looked at and released on
//          the worker that made it; a parcel may cross workers.
// Owner:   the Message; its destructor frees a parcel and gives a local object to the release function of the layer
//          above (set_local_release), which must run on the owning worker.
// Size:    8 bytes: bit 0 of the address tells which. Both kinds are at least 8-aligned.
#pragma once

#include <cstdint>
#include <utility>

#include "smarm/base/assert.h"
#include "smarm/msg/parcel.h"

namespace smarm {

class Message {
public:
    using LocalRelease = void (*)(void* object);
    // Sets how local objects are released. Once, before the first local message.
    static void set_local_release(LocalRelease release) noexcept { local_release_ = release; }
    using LocalBytes = std::size_t (*)(void* object) noexcept;
    // Sets how the memory of local objects is counted; likewise.
    static void set_local_bytes(LocalBytes bytes) noexcept { local_bytes_ = bytes; }

    Message() = default;
    static Message local(void* object) noexcept { return Message(reinterpret_cast<std::uintptr_t>(object)); }
    explicit Message(OwnedParcel parcel) noexcept
        : word_(reinterpret_cast<std::uintptr_t>(parcel.release()) | kParcel) {}
    Message(Message&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
    Message& operator=(Message&& other) noexcept {
        std::swap(word_, other.word_);
        return *this;
    }
    ~Message() {
        if (word_) destroy();
    }

    explicit operator bool() const noexcept { return word_ != 0; }
    bool is_parcel() const noexcept { return word_ & kParcel; }
    // How much memory it keeps, about. On the owning worker when it is a local object; must not be empty.
    std::size_t bytes() const noexcept;

    // Gives up the local object; must not be a parcel.
    void* take_local() noexcept { return reinterpret_cast<void*>(std::exchange(word_, 0)); }
    // Gives up the parcel; must be one.
    OwnedParcel take_parcel() noexcept {
        // SAFETY: bit 0 was set on a malloc'd, hence aligned, address.
        return OwnedParcel(reinterpret_cast<Parcel*>(std::exchange(word_, 0) & ~kParcel));
    }
    // Returns what was moved into the message to its sender, on the sender's thread: it could not be sent.
    void give_back() const noexcept {
        if (is_parcel()) parcel().give_back();
    }
    const Parcel& parcel() const noexcept { return *reinterpret_cast<const Parcel*>(word_ & ~kParcel); }
    void* local_object() const noexcept { return reinterpret_cast<void*>(word_); }

private:
    static constexpr std::uintptr_t kParcel = 1;
    explicit Message(std::uintptr_t word) noexcept : word_(word) {}
    void destroy() noexcept;

    static LocalRelease local_release_;
    static LocalBytes local_bytes_;
    std::uintptr_t word_ = 0;
};

}  // namespace smarm
