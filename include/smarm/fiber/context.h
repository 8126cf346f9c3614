// context.h: a suspended flow of execution, and the switch between two.
//
// What:    Context is where a flow stopped: its stack pointer and its C++ exception state. prepare() makes a fresh one
//          that will call entry(argument) on a stack; switch_context(from, to) suspends the caller in `from` and
//          continues `to`. It returns when somebody switches back to `from`.
// States:  empty (a thread's own flow, before its first switch away) or suspended or running; one OS thread runs one
//          flow. prepare() makes it suspended, switch_context turns one running into suspended and one suspended
//          into running, leave_context makes it empty again.
// Saves:   callee-saved registers, MXCSR and x87 control word (in context_x86_64.S), the two words of
//          __cxa_get_globals() (or `throw;` would rethrow another actor's exception). Sanitizers are told here only.
//          A fresh flow starts with the control words that the ABI gives a process, whatever its maker's are.
// Not:     signal masks; thread-local storage: a context must be continued by the OS thread that started it. (One that
//          is prepared but was never switched to may still move.)
// Errors:  none. entry must never return (asserted) and no C++ exception may leave it (std::terminate).
// Threads: both contexts belong to the calling thread. Blocks, allocates, throws: no (under TSan it allocates).
// See:     tests/cpp/fiber/context_test.cpp
#pragma once

#include <cstddef>
#include <cxxabi.h>

#include "smarm/base/sanitizer.h"
#include "smarm/fiber/stack.h"

namespace smarm {

using ContextEntry = void (*)(void* argument);

struct Context {
    void* stack_pointer = nullptr;
    // The Itanium C++ ABI's per-thread exception globals, as they were when this flow stopped.
    void* caught_exceptions = nullptr;
    unsigned int uncaught_exceptions = 0;
    // Where these globals live on the thread that runs this flow. Handed on from flow to flow at each switch, because
    // asking libstdc++ costs as much as the whole switch.
    abi::__cxa_eh_globals* exception_globals = nullptr;
#if defined(SMARM_ADDRESS_SANITIZER)
    void* fake_stack = nullptr;
    const void* stack_low = nullptr;
    std::size_t stack_bytes = 0;
#endif
#if defined(SMARM_THREAD_SANITIZER)
    void* tsan_fiber = nullptr;
#endif
};

// Makes `context` call entry(argument) on `stack` at the first switch to it. Writes only the page of stack.top().
void prepare(Context& context, const Stack& stack, ContextEntry entry, void* argument) noexcept;

// Suspends the running flow in `from` and continues `to`. `to` must be suspended and must not be `from`.
void switch_context(Context& from, Context& to) noexcept;

// Like switch_context, for a flow that will never be continued: its sanitizer bookkeeping is released. From here on
// `from` may be prepared anew or die, and its stack be given back, once `to` runs.
[[noreturn]] void leave_context(Context& from, Context& to) noexcept;

namespace detail {

// context_x86_64.S. Only switch_context calls it.
extern "C" [[gnu::visibility("hidden")]] void smarm_switch(Context* from, Context* to,
                                                           abi::__cxa_eh_globals* globals) noexcept;

inline void switch_unannounced(Context& from, Context& to) noexcept {
    if (__builtin_expect(!from.exception_globals, 0)) from.exception_globals = abi::__cxa_get_globals();
    to.exception_globals = from.exception_globals;
    smarm_switch(&from, &to, from.exception_globals);
}

}  // namespace detail

#if !defined(SMARM_ADDRESS_SANITIZER) && !defined(SMARM_THREAD_SANITIZER)
inline void switch_context(Context& from, Context& to) noexcept { detail::switch_unannounced(from, to); }
#endif

}  // namespace smarm
