// process_memory.h: the memory of this process as the kernel counts it.
//
// What:    bytes of resident pages, and of the page tables that map them: a stack that is parked costs both.
// Threads: any. Blocks, throws: no. Costs some system calls, 20 us. Errors: zeroes when /proc cannot be read.
#pragma once

#include <cstdint>

namespace smarm {

struct ProcessMemory {
    std::uint64_t resident_bytes = 0;
    std::uint64_t page_table_bytes = 0;
};

ProcessMemory process_memory() noexcept;

}  // namespace smarm
