// data_stack.h: puts an actor's first CPython data-stack chunk into its own stack slot.
//
// What:    CPython keeps Python frames in 16 KiB chunks that it gets from the object arena allocator. While a rider
//          area is armed on this thread, the next request of that size is answered with it, so that a parked actor's
//          frames and the first bytes of its C stack share one page (see fiber/stack.h). Everything else, and every
//          free of an address outside of our slabs, goes to the allocator that was there before.
// Owner:   the slot's pool; CPython gives the chunk back in PyThreadState_Delete, which must come before the slot is
//          reused.
// Threads: arm and disarm: the worker's own thread; the hook runs on any. Installed once per process, never removed.
#pragma once

#include <cstddef>

namespace smarm {

// Installs the arena allocator hook; later calls do nothing.
void install_data_stack_hook() noexcept;

// Answers the next chunk request of this thread with `rider_area`; nullptr disarms.
void arm_data_stack(std::byte* rider_area) noexcept;

}  // namespace smarm
