// What compilers and unwinders have to know of the switch, which is no call.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <vector>

#include <alloca.h>
#include <doctest/doctest.h>
#include <ucontext.h>
#include <unwind.h>

#include "fiber/valgrind.h"
#include "smarm/fiber/context.h"
#include "smarm/fiber/stack_pool.h"

using namespace smarm;

namespace {

Context owner, flow;

// A flow of `entry` on a stack of its own, for the time of a test.
class Started {
public:
    explicit Started(ContextEntry entry) : stack_(pool_.take()) { prepare(flow, stack_, entry, nullptr); }
    ~Started() { pool_.give(stack_); }

private:
    StackPool pool_{{.slab_bytes = StackPoolOptions{}.stack_bytes}};
    Stack stack_;
};

// ---- memory ---------------------------------------------------------------------------------------------------------

// Of this file alone, and nobody has their addresses: a compiler may know who writes them.
int changed_by_the_flow = 0;
thread_local int changed_by_the_flow_too = 0;
bool finished = false;

void change(void*) {
    while (!finished) {
        ++changed_by_the_flow;
        ++changed_by_the_flow_too;
        switch_context(flow, owner);
    }
    leave_context(flow, owner);
}

[[gnu::noinline]] void hop() {
    switch_context(owner, flow);
    asm volatile("");
}

TEST_CASE("what another flow writes is seen after a switch, also where nobody's address was taken") {
    const Started started(change);
    for (int round = 0; round < 3; ++round) {
        changed_by_the_flow = 10;
        changed_by_the_flow_too = 20;
        hop();
        const int seen = changed_by_the_flow, seen_too = changed_by_the_flow_too;  // CHECK takes the address
        CHECK(seen == 11);
        CHECK(seen_too == 21);
    }
    finished = true;
    hop();
}

// ---- unwinding ------------------------------------------------------------------------------------------------------

#if !defined(SMARM_ADDRESS_SANITIZER) && !defined(SMARM_THREAD_SANITIZER)

extern "C" [[gnu::visibility("hidden")]] void smarm_switch();
extern "C" [[gnu::visibility("hidden")]] void smarm_start();  // lies behind it

constexpr int kMostFrames = 100;
volatile std::size_t room = 100;

// Its frame is found by rbp, which the switch changes on the way.
[[gnu::noinline]] void hop_with_a_frame_of_some_size(Context& from, Context& to) {
    auto* memory = static_cast<char*>(alloca(room));
    memory[0] = 1;
    asm volatile("" : : "r"(memory) : "memory");
    switch_context(from, to);
    asm volatile("" : : "r"(memory) : "memory");
}

struct Walk {
    int frames = 0;
    bool through_the_caller = false;
};
struct Step {
    std::uintptr_t address;
    Walk walk;
};
std::vector<Step> steps;

_Unwind_Reason_Code look(_Unwind_Context* frame, void* argument) {
    auto& walk = *static_cast<Walk*>(argument);
    void* function = _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(_Unwind_GetIP(frame)));
    walk.through_the_caller |= function == reinterpret_cast<void*>(hop_with_a_frame_of_some_size);
    return ++walk.frames == kMostFrames ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

// After each instruction.
void trap(int, siginfo_t*, void* interrupted) {
    const auto at = static_cast<std::uintptr_t>(static_cast<ucontext_t*>(interrupted)->uc_mcontext.gregs[REG_RIP]);
    if (at < reinterpret_cast<std::uintptr_t>(&smarm_switch) || at >= reinterpret_cast<std::uintptr_t>(&smarm_start) ||
        steps.size() == steps.capacity())
        return;
    Step step{at, {}};
    _Unwind_Backtrace(look, &step.walk);
    steps.push_back(step);
}

void trap_each_instruction(bool on) {
    // The red zone may be in use.
    if (on) asm volatile("subq $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; addq $128, %%rsp" : : : "memory", "cc");
    else asm volatile("subq $128, %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; addq $128, %%rsp" : : : "memory", "cc");
}

void hop_back(void*) {
    for (int hops = 0; hops < 2; ++hops) hop_with_a_frame_of_some_size(flow, owner);
    leave_context(flow, owner);
}

TEST_CASE("at every instruction of a switch an unwinder finds the caller and the end") {
    if (RUNNING_ON_VALGRIND) return;  // knows no trap flag
    struct sigaction before{}, ours{};
    ours.sa_sigaction = trap;
    ours.sa_flags = SA_SIGINFO;
    REQUIRE(sigaction(SIGTRAP, &ours, &before) == 0);
    Walk warm_up;
    _Unwind_Backtrace(look, &warm_up);  // what it allocates at the first use
    steps.reserve(1000);
    // The frame lies at different distances from what a signal writes below the red zone.
    for (const std::size_t size : {16, 32, 48, 64}) {
        room = size;
        const Started started(hop_back);
        steps.clear();
        trap_each_instruction(true);
        for (int hops = 0; hops < 3; ++hops) hop_with_a_frame_of_some_size(owner, flow);
        trap_each_instruction(false);
        CHECK(steps.size() > 5 * 20);
        for (const Step& step : steps) {
            INFO("at smarm_switch + ", step.address - reinterpret_cast<std::uintptr_t>(&smarm_switch));
            CHECK(step.walk.frames < kMostFrames);
        }
        // All but those on the way into the fresh flow and out of the last one have a caller.
        const auto lost =
            std::count_if(steps.begin(), steps.end(), [](const Step& s) { return !s.walk.through_the_caller; });
        CHECK(lost < static_cast<std::ptrdiff_t>(steps.size() / 2));
    }
    sigaction(SIGTRAP, &before, nullptr);
}

#endif

}  // namespace
