// stack.h: one actor's stack, as a value.
//
//   low                                                                                   high
//   | guard      | usable stack ...................... <- grows down | rider area, 16 KiB |
//   ^ guard()    ^ low()                                       top() ^                     ^ end()
//
// What:    addresses of one slot of a StackPool. top() is where execution starts. The rider area above it belongs to
//          whoever rides the actor (CPython's first data-stack chunk). top() lies kStackShare bytes into a page: the
//          first bytes of the stack and of the rider area share ONE page, which is all that a parked actor touches.
// Guard:   64 KiB, so that no frame of Python or its standard library steps over it; 1 MiB below stacks that are large
//          enough for native code, since OpenBLAS has frames of 541 KB. A single frame that is larger than the guard
//          and what is left of the stack together can still step over it.
// Owner:   nobody; the pool that gave the slot owns the memory.
#pragma once

#include <cstddef>

namespace smarm {

inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kRiderAreaBytes = 16 * 1024;
// Part of the shared page that is stack; the rest is the start of the rider area. A parked Python actor was measured
// at 790 bytes of stack, a Python frame stack of a shallow function at under 1 KiB.
inline constexpr std::size_t kStackShare = 1792;

// A slot of this size or more has room for native code that expects the stack of a thread.
inline constexpr std::size_t kNativeStackBytes = 8 * 1024 * 1024;

constexpr std::size_t guard_bytes(std::size_t slot_bytes) noexcept {
    return slot_bytes >= kNativeStackBytes ? 1024 * 1024 : 64 * 1024;
}

class Stack {
public:
    Stack() = default;
    Stack(std::byte* guard, std::size_t slot_bytes) noexcept : guard_(guard), slot_bytes_(slot_bytes) {}

    explicit operator bool() const noexcept { return guard_ != nullptr; }
    std::byte* guard() const noexcept { return guard_; }
    std::byte* low() const noexcept { return guard_ + guard_bytes(slot_bytes_); }
    std::byte* top() const noexcept { return end() - kRiderAreaBytes - (kPageBytes - kStackShare); }
    std::byte* rider_area() const noexcept { return top(); }
    std::byte* end() const noexcept { return guard_ + slot_bytes_; }
    // Bytes from low() to top().
    std::size_t usable_bytes() const noexcept { return static_cast<std::size_t>(top() - low()); }
    std::size_t slot_bytes() const noexcept { return slot_bytes_; }
    bool contains(const void* address) const noexcept { return address >= guard_ && address < guard_ + slot_bytes_; }

private:
    std::byte* guard_ = nullptr;
    std::size_t slot_bytes_ = 0;
};

}  // namespace smarm
