#include "smarm/cpython/allocation_hook.h"

#include <Python.h>

#include <mutex>

#include "smarm/sched/preempt.h"

namespace smarm {
namespace {

// Written so that the usual case is a decrement and two jumps, with no stack frame: Python's integers come through
// here. What is rare has its own functions for that.
template <PyMemAllocatorDomain domain>
struct Counted {
    static inline PyMemAllocatorEx previous;

    static void* malloc(void* context, std::size_t size) {
        if (detail::budget_left()) [[likely]]
            return previous.malloc(context, size);
        return look_first(previous.malloc, context, size);
    }
    static void* calloc(void* context, std::size_t count, std::size_t size) {
        if (detail::budget_left()) [[likely]]
            return previous.calloc(context, count, size);
        return look_first(previous.calloc, context, count, size);
    }
    static void* realloc(void* context, void* memory, std::size_t size) {
        if (detail::budget_left()) [[likely]]
            return previous.realloc(context, memory, size);
        return look_first(previous.realloc, context, memory, size);
    }
    template <typename... Args>
    [[gnu::noinline, gnu::cold]] static void* look_first(void* (*allocate)(Args...), Args... args) {
        detail::budget_used_up();
        return allocate(args...);
    }
    static void install() {
        PyMem_GetAllocator(domain, &previous);
        // The old context stays, so that free can be the old function itself.
        PyMemAllocatorEx ours{previous.ctx, malloc, calloc, realloc, previous.free};
        PyMem_SetAllocator(domain, &ours);
    }
};

}  // namespace

void install_allocation_hook() noexcept {
    static std::once_flag once;
    std::call_once(once, [] {
        Counted<PYMEM_DOMAIN_OBJ>::install();
        Counted<PYMEM_DOMAIN_MEM>::install();
    });
}

}  // namespace smarm
