#include "cpython/thread_bound_code.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "cpython/c_stack.h"

namespace smarm {

atomic<std::size_t> thread_bound_count{0};

namespace {

constexpr std::array<std::string_view, 9> kHarmless = {
    "libpython",   "ld-linux",         "libc.", "libc-", "libstdc++.", "libgcc_s.", "_multiarray_umath.",
    "libopenblas", "libscipy_openblas"};

constexpr std::size_t kMostBound = 4096;
CodeRange bound[kMostBound];  // those below thread_bound_count do not change

}  // namespace

bool binds_no_thread(const dl_phdr_info& object) noexcept {
    const std::string_view path = object.dlpi_name ? object.dlpi_name : "";
    const std::string_view name = path.substr(path.rfind('/') + 1);
    return name.empty() ||  // the program
           std::ranges::any_of(kHarmless, [name](std::string_view beginning) { return name.starts_with(beginning); });
}

void note_thread_bound(const dl_phdr_info& object) noexcept {
    std::size_t count = thread_bound_count.load(memory_order_relaxed);
    for (int i = 0; i < object.dlpi_phnum && count < kMostBound; ++i) {
        const ElfW(Phdr) & part = object.dlpi_phdr[i];
        if (part.p_type == PT_LOAD && part.p_flags & PF_X)
            bound[count++] = {object.dlpi_addr + part.p_vaddr, part.p_memsz};
    }
    // Release pairs with the acquire in in_thread_bound_code.
    thread_bound_count.store(count, memory_order_release);
}

bool in_thread_bound_code() noexcept {
    const std::size_t count = thread_bound_count.load(memory_order_acquire);
    if (count == 0) return false;
    return any_caller([count](std::uintptr_t address) {
        return std::any_of(bound, bound + count, [address](const CodeRange& range) { return range.contains(address); });
    });
}

}  // namespace smarm
