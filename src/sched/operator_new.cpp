// The allocation functions of a program whose native actors are preempted by their allocations: see sched/preempt.h. In
// no library of ours: a program that wants it compiles this file in.
#include <cstdlib>
#include <new>

#include "smarm/sched/preempt.h"

namespace {

void* allocate(std::size_t size, std::size_t alignment) noexcept {
    smarm::count_allocation();
    if (size == 0) size = 1;
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return std::malloc(size);
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
    for (;;) {
        if (void* memory = allocate(size, alignment)) return memory;
        const std::new_handler handler = std::get_new_handler();
        if (!handler) throw std::bad_alloc();
        handler();
    }
}

}  // namespace

// The array forms of the standard library end up in these, and so do its nothrow forms; but those of the address
// sanitizer do not, and a delete expression cannot tell which new made an object: so the nothrow form is here too.
void* operator new(std::size_t size) { return allocate_or_throw(size, 0); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    try {
        return allocate_or_throw(size, 0);
    } catch (...) {
        return nullptr;
    }
}
void* operator new(std::size_t size, std::align_val_t alignment) {
    return allocate_or_throw(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
