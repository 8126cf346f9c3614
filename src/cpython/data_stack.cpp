#include "smarm/cpython/data_stack.h"

#include <Python.h>

#include <cstdint>
#include <mutex>

#include "smarm/fiber/stack.h"

namespace smarm {
namespace {

PyObjectArenaAllocator previous;
thread_local std::byte* armed __attribute__((tls_model("initial-exec"))) = nullptr;

// Arenas and ordinary chunks come from mmap, page-aligned; a rider area starts kStackShare bytes into a page.
bool is_rider_area(const void* address) noexcept {
    return reinterpret_cast<std::uintptr_t>(address) % kPageBytes == kStackShare;
}

void* allocate(void*, std::size_t size) {
    if (armed && size == kRiderAreaBytes) {
        std::byte* area = armed;
        armed = nullptr;
        return area;
    }
    return previous.alloc(previous.ctx, size);
}

void release(void*, void* address, std::size_t size) {
    // SAFETY: a rider area belongs to its stack slot; the pool reuses it after the thread state is deleted.
    if (size == kRiderAreaBytes && is_rider_area(address)) return;
    previous.free(previous.ctx, address, size);
}

}  // namespace

void install_data_stack_hook() noexcept {
    static std::once_flag once;
    std::call_once(once, [] {
        PyObject_GetArenaAllocator(&previous);
        PyObjectArenaAllocator ours{nullptr, allocate, release};
        PyObject_SetArenaAllocator(&ours);
    });
}

void arm_data_stack(std::byte* rider_area) noexcept { armed = rider_area; }

}  // namespace smarm
