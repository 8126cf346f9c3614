// overflow.h: says which actor ran out of stack, before the process dies of it.
//
// What:    Python code gets a RecursionError in time; C code that recurses on its own runs into the guard below its
//          actor's stack (see fiber/stack.h). OverflowWatch has a handler of SIGSEGV that recognises this, writes the
//          actor and its Python traceback to standard error, and then lets happen what would have happened:
//          faulthandler, a core, the end. Other faults go there at once. The handler needs a stack of its own, which
//          AlternateStack gives to a thread.
// Not:     recovery: the C frames hold who knows what.
// Owner:   one OverflowWatch per process at a time, one AlternateStack per worker's thread, as long as it runs actors.
//          What the program or faulthandler installs meanwhile stays.
// Threads: OverflowWatch any; AlternateStack: made and destroyed on its thread. Throws: no.
// Errors:  without memory for the alternate stack, or when sigaction fails, nothing is reported.
#pragma once

#include <csignal>

namespace smarm {

class OverflowWatch {
public:
    OverflowWatch() noexcept;
    ~OverflowWatch();
    OverflowWatch(const OverflowWatch&) = delete;
    OverflowWatch& operator=(const OverflowWatch&) = delete;
};

class AlternateStack {
public:
    AlternateStack() noexcept;
    ~AlternateStack();
    AlternateStack(const AlternateStack&) = delete;
    AlternateStack& operator=(const AlternateStack&) = delete;

private:
    void* memory_ = nullptr;
    stack_t previous_ = {};
};

}  // namespace smarm
