#include "smarm/fiber/context.h"

#include <cstdint>
#include <cstring>

#include "context_frame.h"
#include "smarm/base/assert.h"

#if defined(SMARM_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(SMARM_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

namespace smarm {
namespace {

// What context_x86_64.S pops at the first switch to a prepared flow.
struct Frame {
    std::uint32_t mxcsr = 0x1f80;  // the ABI's initial values: all exceptions masked, round to nearest
    std::uint16_t x87_control = 0x037f;
    std::uint16_t unused = 0;
    ContextEntry r12_entry = nullptr;
    void* r13_argument = nullptr;
    void* r14 = nullptr;
    void* r15 = nullptr;
    void* rbx = nullptr;
    void* rbp = nullptr;  // zero ends a walk along frame pointers
    void (*return_address)() = nullptr;
};

static_assert(offsetof(Frame, mxcsr) == SMARM_FRAME_MXCSR);
static_assert(offsetof(Frame, x87_control) == SMARM_FRAME_X87);
static_assert(offsetof(Frame, r12_entry) == SMARM_FRAME_R12);
static_assert(offsetof(Frame, r13_argument) == SMARM_FRAME_R13);
static_assert(offsetof(Frame, r14) == SMARM_FRAME_R14);
static_assert(offsetof(Frame, r15) == SMARM_FRAME_R15);
static_assert(offsetof(Frame, rbx) == SMARM_FRAME_RBX);
static_assert(offsetof(Frame, rbp) == SMARM_FRAME_RBP);
static_assert(offsetof(Frame, return_address) == SMARM_FRAME_RETURN);
static_assert(sizeof(Frame) == SMARM_FRAME_BYTES);
static_assert(SMARM_FRAME_REACH == SMARM_FRAME_BYTES + 128);

static_assert(offsetof(Context, stack_pointer) == SMARM_CONTEXT_STACK_POINTER);
static_assert(offsetof(Context, caught_exceptions) == SMARM_CONTEXT_CAUGHT);
static_assert(offsetof(Context, uncaught_exceptions) == SMARM_CONTEXT_UNCAUGHT);

extern "C" [[gnu::visibility("hidden")]] void smarm_start();  // context_x86_64.S

#if defined(SMARM_ADDRESS_SANITIZER)

// The flow that the last switch on this thread came from: only on arrival does ASan say where its stack lies.
thread_local Context* departed = nullptr;

void announce_prepared(Context& context, const Stack& stack) noexcept {
    context.fake_stack = nullptr;
    context.stack_low = stack.low();
    context.stack_bytes = stack.usable_bytes();
}
void announce_switch(Context& from, Context& to) noexcept {
    departed = &from;
    __sanitizer_start_switch_fiber(&from.fake_stack, to.stack_low, to.stack_bytes);
}
void announce_leave(Context& from, Context& to) noexcept {
    departed = nullptr;
    // Frames that are never returned from would leave their red zones to the next flow on this stack.
    __asan_unpoison_memory_region(from.stack_low, from.stack_bytes);
    __sanitizer_start_switch_fiber(nullptr, to.stack_low, to.stack_bytes);
}
void announce_arrival(void* fake_stack) noexcept {
    const void* low = nullptr;
    std::size_t bytes = 0;
    __sanitizer_finish_switch_fiber(fake_stack, &low, &bytes);
    if (!departed) return;
    departed->stack_low = low;
    departed->stack_bytes = bytes;
}
void announce_return(Context& arrived) noexcept { announce_arrival(arrived.fake_stack); }
void announce_start() noexcept { announce_arrival(nullptr); }

#elif defined(SMARM_THREAD_SANITIZER)

// The fiber that left for good in the last switch on this thread: it cannot be destroyed while it runs.
thread_local void* dead_fiber = nullptr;

void announce_prepared(Context& context, const Stack&) noexcept { context.tsan_fiber = __tsan_create_fiber(0); }
void announce_switch(Context& from, Context& to) noexcept {
    if (!from.tsan_fiber) from.tsan_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to.tsan_fiber, 0);
}
void announce_leave(Context& from, Context& to) noexcept {
    dead_fiber = from.tsan_fiber;
    from.tsan_fiber = nullptr;
    __tsan_switch_to_fiber(to.tsan_fiber, 0);
}
void announce_start() noexcept {
    if (dead_fiber) __tsan_destroy_fiber(dead_fiber);
    dead_fiber = nullptr;
}
void announce_return(Context&) noexcept { announce_start(); }

#else

void announce_prepared(Context&, const Stack&) noexcept {}
void announce_leave(Context&, Context&) noexcept {}
void announce_start() noexcept {}

#endif

}  // namespace

// The first C++ function of each flow. noexcept: an exception that gets here has no handler and terminates.
extern "C" [[gnu::visibility("hidden")]] void smarm_run_entry(ContextEntry entry, void* argument) noexcept {
    announce_start();
    entry(argument);
    SMARM_ASSERT(false, "the entry function of a context returned");
}

void prepare(Context& context, const Stack& stack, ContextEntry entry, void* argument) noexcept {
    SMARM_ASSERT(stack && entry, "a context needs a stack and an entry function");
    Frame frame;
    frame.r12_entry = entry;
    frame.r13_argument = argument;
    frame.return_address = smarm_start;
    // SAFETY: top() is 64-byte aligned, so the frame fills one cache line, and smarm_start begins with the stack
    //         pointer at top(): aligned to 16 as its call instruction needs.
    std::byte* low = stack.top() - SMARM_FRAME_REACH;
    SMARM_ASSERT(reinterpret_cast<std::uintptr_t>(low) % sizeof(Frame) == 0, "a stack must be aligned");
    std::memcpy(low, &frame, sizeof frame);
    context.stack_pointer = low;
    context.caught_exceptions = nullptr;
    context.uncaught_exceptions = 0;
    announce_prepared(context, stack);
}

#if defined(SMARM_ADDRESS_SANITIZER) || defined(SMARM_THREAD_SANITIZER)
void switch_context(Context& from, Context& to) noexcept {
    announce_switch(from, to);
    detail::switch_unannounced(from, to);
    announce_return(from);
}
#endif

void leave_context(Context& from, Context& to) noexcept {
    announce_leave(from, to);
    detail::switch_unannounced(from, to);
    SMARM_ASSERT(false, "a flow that had left was continued");
    __builtin_unreachable();
}

}  // namespace smarm
