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

// Jumps to smarm_switch (context_x86_64.S), which continues behind the jump when somebody switches back. No call: it
// would put the CPU's return predictor out of step, as what comes back is another flow.
// SAFETY: every register that a call may change is named here, or kept by smarm_switch; it stays clear of the red zone.
//         What a function may write, gcc learns (-fipa-reference) from the functions that it calls, and takes asm for
//         nothing, whatever it clobbers. The call of a function that it cannot see into tells it that all of memory may
//         be another after a switch.
extern "C" [[gnu::visibility("hidden")]] abi::__cxa_eh_globals* smarm_exception_globals() noexcept;
inline void switch_unannounced(Context& from, Context& to) noexcept {
    if (__builtin_expect(!from.exception_globals, 0)) from.exception_globals = smarm_exception_globals();
    to.exception_globals = from.exception_globals;
    Context* from_in_rdi = &from;
    Context* to_in_rsi = &to;
    abi::__cxa_eh_globals* globals_in_rdx = from.exception_globals;
    asm volatile("leaq 1f(%%rip), %%rax\n\tjmp smarm_switch\n1:"
                 : "+D"(from_in_rdi), "+S"(to_in_rsi), "+d"(globals_in_rdx)
                 :
                 : "rax", "rcx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
                   "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
                   "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#endif
                   "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory");
}

}  // namespace detail

#if !defined(SMARM_ADDRESS_SANITIZER) && !defined(SMARM_THREAD_SANITIZER)
inline void switch_context(Context& from, Context& to) noexcept { detail::switch_unannounced(from, to); }
#endif

}  // namespace smarm
