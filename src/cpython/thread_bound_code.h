// thread_bound_code.h: code of shared objects whose thread_local variables do not ride the switch (tls_blocks.h).
//
// What:    such a library believes that what it calls returns before it is called again on this thread, and keeps what
//          it does in thread_local variables: scipy's callbacks, greenlet, the GIL's count of PyO3. An actor that is
//          inside of one must not be made to give its worker away; where it parks itself, that is its program's doing.
// Not:     the program, Python, the C and C++ runtime, smarm; numpy's core: its variables are caches and scratch space,
//          used up before any Python code runs, and most of numpy's functions are called through it; OpenBLAS, which
//          calls nobody.
// Threads: note_thread_bound: one at a time; others any.
#pragma once

#include <cstddef>

#include <link.h>

#include "smarm/base/sync.h"

namespace smarm {

// How many ranges of such code the process has.
extern atomic<std::size_t> thread_bound_count;

// Whether it is one of those, told by its name.
bool binds_no_thread(const dl_phdr_info& object) noexcept;

// `object` has thread_local variables that do not ride, and is none of those.
void note_thread_bound(const dl_phdr_info& object) noexcept;

// Whether the calling thread's C stack returns into such code. Cost: a walk (c_stack.h), nothing while there is none.
bool in_thread_bound_code() noexcept;

}  // namespace smarm
