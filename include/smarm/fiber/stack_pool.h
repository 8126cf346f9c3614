// stack_pool.h: guarded stacks, carved from slabs, recycled warm.
//
// What:    take() gives a slot (see stack.h) whose guard faults; give() takes it back. Slots are carved from slabs of
//          reserved address space (src/fiber/slab.h) and kept: the most recently used one is given first, its pages
//          still warm. Beyond `warm_stacks` kept slots, and for one that ran deep, pages go back to the kernel on
//          give(), and page tables with release_tables(). Size classes: stack_bytes rounded up to a power of two, of
//          256 KiB at least.
// Deep:    told by the page right below deep_bytes being used; a frame that leaves all of that page untouched hides it
//          until the slot's next use. The rider area is dropped only with the whole slot.
// Guard:   MADV_GUARD_INSTALL (Linux 6.13), which costs no VMA; where the kernel refuses it, mprotect(PROT_NONE),
//          which costs two, and statistics() says so. Made once per slot (7 us for 1 MiB, 1 us for 64 KiB).
// Errors:  take() returns an empty Stack when the kernel has no memory or no mapping left; nothing else changes.
// Owner:   the pool owns all slabs and unmaps them in its destructor; every slot must have been given back (asserted).
// Threads: one pool per worker, used by that worker only; statistics() from any thread (relaxed counters).
//          Blocks: in the kernel's memory calls only. Throws: the constructor (bad_alloc).
// See:     tests/cpp/fiber/stack_pool_test.cpp
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "smarm/fiber/stack.h"

namespace smarm {

struct StackPoolOptions {
    std::size_t stack_bytes = 256 * 1024;       // slot size when take() is told none; guard and rider area included
    std::size_t slab_bytes = 64 * 1024 * 1024;  // address space reserved at first; then as much as there is, to 1 GiB
    std::size_t warm_stacks = 1024;             // free slots per size class whose pages stay resident
    std::size_t deep_bytes = 32 * 1024;         // a stack that ran deeper than this below top() gives its pages back
    bool allow_guard_install = true;            // false: mprotect guards (for tests of the fallback)
};

struct StackPoolStatistics {
    std::uint64_t in_use = 0;          // slots given out now
    std::uint64_t warm = 0;            // free slots with resident pages
    std::uint64_t cold = 0;            // free slots without
    std::uint64_t carved = 0;          // slots ever carved
    std::uint64_t reserved_bytes = 0;  // address space in slabs
    std::uint64_t trims = 0;           // slots whose pages went back to the kernel
    bool guard_costs_mapping = false;  // the mprotect fallback is in use
};

// The smallest and largest stack_bytes that take() accepts. The smallest slot is of 256 KiB: a fourth of it is guard.
inline constexpr std::size_t kMinStackBytes = 128 * 1024;
inline constexpr std::size_t kMaxStackBytes = 1024 * 1024 * 1024;

class StackPool {
public:
    explicit StackPool(StackPoolOptions options = {});
    ~StackPool();
    StackPool(const StackPool&) = delete;
    StackPool& operator=(const StackPool&) = delete;

    // Returns a stack whose slot has at least stack_bytes (0: the default), or an empty one when memory is out.
    // stack_bytes must be 0 or within [kMinStackBytes, kMaxStackBytes].
    Stack take(std::size_t stack_bytes = 0) noexcept;

    // Takes back a slot that nothing runs on and nothing points into any more.
    void give(Stack stack) noexcept;

    // Gives the pages of `stack` below `stack_pointer` back to the kernel; the flow suspended there stays intact.
    static void trim_below(const Stack& stack, const void* stack_pointer) noexcept;

    // The same if the flow that is suspended there ran deep_bytes deeper before. Returns whether it did. Cheap when
    // not.
    bool trim_if_deep(const Stack& stack, const void* stack_pointer) noexcept;

    // Gives back page tables of cold slots, a slab at a time; these get a new guard when they are used again. To be
    // called while nothing else is to be done. Returns whether there is more.
    bool release_tables() noexcept;

    StackPoolStatistics statistics() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace smarm
