#include "slab.h"

#include <algorithm>
#include <cerrno>

#include <sys/mman.h>

#include "smarm/base/assert.h"
#include "smarm/fiber/stack.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

namespace smarm {
namespace {

constexpr std::size_t kTableSpan = 2 * 1024 * 1024;  // of addresses, that one page of page tables maps

std::byte* align_up(std::byte* address, std::size_t alignment) noexcept {
    return reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(address) + alignment - 1) & ~(alignment - 1));
}

}  // namespace

std::optional<Slab> Slab::reserve(std::size_t slot_bytes, std::size_t slots) {
    const std::size_t bytes = slot_bytes * slots + kTableSpan;
    std::vector<State> states(slots, State::bare);  // may throw, so it comes before the mapping
    void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return std::nullopt;
    // One huge page would back eight stacks of which each needs one small page. Fails where there are none: fine.
    madvise(mapping, bytes, MADV_NOHUGEPAGE);
    return Slab(static_cast<std::byte*>(mapping), bytes, slot_bytes, std::move(states));
}

Slab::Slab(std::byte* mapping, std::size_t mapping_bytes, std::size_t slot_bytes, std::vector<State>&& states) noexcept
    : mapping_(mapping),
      mapping_bytes_(mapping_bytes),
      start_(align_up(mapping + kTableSpan / 2, kTableSpan) - kTableSpan / 2),
      slot_bytes_(slot_bytes),
      slots_(std::move(states)) {}

Slab::~Slab() {
    if (mapping_) munmap(mapping_, mapping_bytes_);
}

bool Slab::open(std::byte* slot, bool by_mapping) noexcept {
    State& now = state(slot);
    SMARM_ASSERT(now != State::used, "a stack's slot was opened twice");
    if (now == State::bare) {
        const std::size_t bytes = guard_bytes(slot_bytes_);
        if ((by_mapping ? mprotect(slot, bytes, PROT_NONE) : madvise(slot, bytes, MADV_GUARD_INSTALL)) != 0)
            return false;
    }
    now = State::used;
    return true;
}

void Slab::close(std::byte* slot) noexcept { state(slot) = State::idle; }

void Slab::release_tables() noexcept {
    for (std::size_t first = 0; first < slots_.size(); ++first) {
        std::size_t last = first;  // behind it
        bool any_idle = false;
        while (last < slots_.size() && slots_[last] != State::used) any_idle |= slots_[last++] == State::idle;
        if (any_idle) release(first, last);
        first = last;
    }
}

// The slots of [first, last) are idle or bare. A slot alone shares all of its table pages with its neighbours.
void Slab::release(std::size_t first, std::size_t last) noexcept {
    std::byte* const from = slot(first);
    const auto bytes = static_cast<std::size_t>(slot(last) - from);
    if (last - first < 2 || align_up(from, kTableSpan) + kTableSpan > from + bytes) return;
    if (madvise(from, bytes, MADV_GUARD_REMOVE) != 0) return;
    madvise(from, bytes, MADV_DONTNEED);
    std::fill(slots_.begin() + static_cast<std::ptrdiff_t>(first), slots_.begin() + static_cast<std::ptrdiff_t>(last),
              State::bare);
}

}  // namespace smarm
