// own_descriptor.h: the runtime's own descriptors are none of 0, 1 and 2.
//
// What:    a program may run with its standard streams closed; the next descriptors that are opened get their numbers,
//          and print() of a worker, which finds number 1 open, would write into it. Every descriptor that smarm opens
//          for itself goes through here.
// Threads: any. Errors: -1 with errno, and then `fd` is closed.
#pragma once

namespace smarm {

// Takes over what was just opened (-1: that failed), and returns it with a number above 2, closed on exec.
int as_own_descriptor(int fd) noexcept;

}  // namespace smarm
