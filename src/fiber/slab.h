// slab.h: a stretch of address space, cut into slots of one size for stacks.
//
//   addresses    |    slot 0                   |    slot 1                   | ...
//                | guard | ........... <- top 0| guard | ........... <- top 1|
//   table pages  ... -------|                |-------|                |-------|         2 MiB of addresses each
//
// What:    reserves (MAP_NORESERVE, MADV_NOHUGEPAGE), guards slots, and gives page tables back. Page tables are memory,
//          too: one page of them maps 2 MiB of addresses. So slots end in the middle of what a page of them maps: of
//          slots of 2 MiB and more each needs one, for its top and for the guard above, which is the next slot's.
// Slots:   bare (no guard, no page; also those never used) -> used, by open() -> idle, by close(): its pages have been
//          dropped, its guard is still there -> used, or bare by release_tables().
// Guard:   see stack_pool.h. by_mapping: with mprotect.
// Owner:   of the mapping, until it is destroyed. Threads: one. Throws: reserve (bad_alloc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace smarm {

class Slab {
public:
    // Returns a slab of `slots` slots, all bare, or nothing when the kernel has no address space or no mapping left.
    static std::optional<Slab> reserve(std::size_t slot_bytes, std::size_t slots);
    Slab(Slab&& other) noexcept
        : mapping_(std::exchange(other.mapping_, nullptr)),
          mapping_bytes_(other.mapping_bytes_),
          start_(other.start_),
          slot_bytes_(other.slot_bytes_),
          slots_(std::move(other.slots_)) {}
    Slab& operator=(Slab&&) = delete;
    ~Slab();

    std::byte* start() const noexcept { return start_; }
    std::byte* slot(std::size_t index) const noexcept { return start_ + index * slot_bytes_; }
    std::size_t slots() const noexcept { return slots_.size(); }

    // Gives the slot its guard, unless it has it. False: the kernel has no memory or no mapping for it (errno).
    bool open(std::byte* slot, bool by_mapping) noexcept;

    // The slot's pages have been dropped and nobody uses it.
    void close(std::byte* slot) noexcept;

    // Gives back the page tables that only idle and bare slots need, with the guards of these slots. The kernel does it
    // since Linux 6.14 (CONFIG_PT_RECLAIM); before, the tables stay. Slots with guards by mapping must not be in the
    // slab.
    void release_tables() noexcept;

    bool marked = false;  // for the owner: it is in a list of slabs to look at

private:
    enum class State : std::uint8_t { bare, used, idle };

    Slab(std::byte* mapping, std::size_t mapping_bytes, std::size_t slot_bytes, std::vector<State>&& states) noexcept;
    State& state(const std::byte* slot) noexcept {
        return slots_[static_cast<std::size_t>(slot - start_) / slot_bytes_];
    }
    void release(std::size_t first, std::size_t last) noexcept;

    std::byte* mapping_;
    std::size_t mapping_bytes_;
    std::byte* start_;
    std::size_t slot_bytes_;
    std::vector<State> slots_;
};

}  // namespace smarm
