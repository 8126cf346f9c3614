// parcel_memory.h: the memory of small parcels, kept by whoever frees them.
//
// Why:     a parcel is made on one thread and freed on another. malloc takes the lock of an arena for each of them
//          then, which both threads want: a third of the time of a busy channel between two workers went into waiting
//          for it.
// What:    each thread keeps up to two batches of free blocks, all of kParcelBlockBytes. A thread that only frees hands
//          its batches to a shared store, one that only makes parcels takes them from there: once in kParcelBatch
//          parcels.
// Owner:   a block is its taker's. What a thread keeps goes back to malloc when it ends. At most kParcelBatches batches
//          are stored.
// Threads: any; nobody ever waits (also in a forked child: a store that is in use is passed by). Throws: nothing.
// With the address sanitizer every block is malloc's, so that it sees who uses one that was freed.
// See:     tests/cpp/msg/parcel_memory_test.cpp
#pragma once

#include <cstddef>

namespace smarm {

inline constexpr std::size_t kParcelBlockBytes = 192;
inline constexpr std::size_t kParcelBatch = 64;
inline constexpr std::size_t kParcelBatches = 128;

// Returns kParcelBlockBytes bytes, aligned for any type, or nullptr when memory is out.
void* take_parcel_block() noexcept;
void give_parcel_block(void* block) noexcept;

}  // namespace smarm
