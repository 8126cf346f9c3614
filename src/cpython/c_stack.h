// c_stack.h: the return addresses on the calling thread's C stack.
//
// Threads: any. Cost: microseconds, by the depth. Takes no lock but, before glibc 2.35, the loader's.
#pragma once

#include <cstdint>

#include <unwind.h>

namespace smarm {

// Where the instructions of a function or of a library lie.
struct CodeRange {
    std::uintptr_t first = 0;
    std::uintptr_t bytes = 0;

    bool contains(std::uintptr_t address) const noexcept { return address - first < bytes; }
};

// Whether `is_one` says so of an address in the calling instruction of one of the frames, the innermost first.
// SAFETY: an actor's stack ends in smarm_start, whose return address is undefined to an unwinder (context_x86_64.S), a
//         thread's in its own first function; the unwinder reads no further. A function without unwind information ends
//         the walk early.
template <typename Predicate>
bool any_caller(Predicate is_one) noexcept {
    struct Walk {
        Predicate& is_one;
        bool seen;
    } walk{is_one, false};
    _Unwind_Backtrace(
        [](_Unwind_Context* context, void* argument) {
            Walk& walk = *static_cast<Walk*>(argument);
            walk.seen = walk.is_one(static_cast<std::uintptr_t>(_Unwind_GetIP(context)) - 1);
            return walk.seen ? _URC_END_OF_STACK : _URC_NO_REASON;
        },
        &walk);
    return walk.seen;
}

}  // namespace smarm
