// safe_read.h: reading memory of this process that may be gone.
//
// What:    for those who look at running actors from outside: the kernel does the reading (process_vm_readv on
//          ourselves), so that a stale pointer is a false instead of a SIGSEGV. What is read while somebody writes it
//          may be torn.
// Threads: any; also in signal handlers. Blocks, allocates, throws: no. Costs a system call.
#pragma once

#include <cstddef>

namespace smarm {

// Copies `size` bytes. False: they cannot be read, and *into is undefined.
bool safe_read(const void* address, void* into, std::size_t size) noexcept;

}  // namespace smarm
