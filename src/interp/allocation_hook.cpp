#include "smarm/interp/allocation_hook.h"

#include <Python.h>

#include <mutex>

#include "smarm/sched/preempt.h"

namespace smarm {
namespace {

template <PyMemAllocatorDomain domain>
struct Counted {
    static inline PyMemAllocatorEx previous;

    static void* malloc(void* context, std::size_t size) {
        count_allocation();
        return previous.malloc(context, size);
    }
    static void* calloc(void* context, std::size_t count, std::size_t size) {
        count_allocation();
        return previous.calloc(context, count, size);
    }
    static void* realloc(void* context, void* memory, std::size_t size) {
        count_allocation();
        return previous.realloc(context, memory, size);
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
