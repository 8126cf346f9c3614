// allocation_hook.h: CPython's object allocator counts what actors allocate.
//
// What:    wraps the `obj` and `mem` domains (PyMem_SetAllocator): each malloc, calloc and realloc is an allocation in
//          the sense of sched/preempt.h; free goes to the old allocator without a detour. Whatever was there before
//          (pymalloc, mimalloc, malloc, debug hooks, tracemalloc) does the work.
// Cost:    about one nanosecond per allocation; measured in docs/explanation/internals/preemption.md.
// Not:     the `raw` domain, whose calls come without the GIL, and objects from free lists, which are no allocations.
// Threads: install once per process, with the main interpreter attached and before other workers run; never removed.
#pragma once

namespace smarm {

void install_allocation_hook() noexcept;

}  // namespace smarm
