#include "smarm/runtime/overflow.h"

#include <Python.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "smarm/cpython/frame_walk.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {

constexpr std::size_t kAlternateBytes = 64 * 1024;
constexpr int kReportedFrames = 50;

struct sigaction previous_action = {};

// What is called from here on must be fit for a signal handler: no allocation, no lock.
void write_text(const char* text) {
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text, std::strlen(text));
}

void report(const Actor& actor) {
    char line[1536];
    std::snprintf(line, sizeof line,
                  "smarm: stack overflow: C code has used up the %zu KiB of actor <pid %u.%u>%s%.100s%s; more is to be "
                  "had with spawn(stack_size=)\n",
                  actor.stack.usable_bytes() / 1024, actor.pid.index, actor.pid.generation, actor.name ? " '" : "",
                  actor.name ? actor.name->c_str() : "", actor.name ? "'" : "");
    write_text(line);
    walk_frames(static_cast<const PyThreadState*>(actor.rider_state), kReportedFrames, [&line](const FrameLine& frame) {
        std::snprintf(line, sizeof line, "  File \"%s\", line %d, in %s\n", frame.file, frame.line, frame.function);
        write_text(line);
    });
}

// A frame that is larger than the guard can reach over it: then the fault may be somewhere else, and the stack pointer
// tells.
constexpr std::ptrdiff_t kFarthestOverrun = 16 << 20;

bool has_overrun(const Stack& stack, const std::byte* address, const std::byte* stack_pointer) {
    if (address >= stack.guard() && address < stack.low()) return true;
    return stack_pointer < stack.low() && stack.low() - stack_pointer <= kFarthestOverrun;
}

void on_fault(int number, siginfo_t* info, void* context) {
    const Actor* actor = this_actor();
    const auto* stack_pointer =
        reinterpret_cast<const std::byte*>(static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RSP]);
    const bool is_fault = info->si_code > 0;
    if (is_fault && actor && actor->stack &&
        has_overrun(actor->stack, static_cast<const std::byte*>(info->si_addr), stack_pointer))
        report(*actor);
    // The instruction is tried again, and fails under the handler that was there before.
    sigaction(number, &previous_action, nullptr);
    if (!is_fault) raise(number);  // somebody has sent it
}

}  // namespace

OverflowWatch::OverflowWatch() noexcept {
    struct sigaction ours = {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &ours, &previous_action);
}

OverflowWatch::~OverflowWatch() {
    struct sigaction current = {};
    if (sigaction(SIGSEGV, nullptr, &current) == 0 && (current.sa_flags & SA_SIGINFO) &&
        current.sa_sigaction == on_fault)
        sigaction(SIGSEGV, &previous_action, nullptr);
}

AlternateStack::AlternateStack() noexcept {
    void* memory = mmap(nullptr, kAlternateBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    const stack_t ours{memory, 0, kAlternateBytes};
    if (sigaltstack(&ours, &previous_) == 0) memory_ = memory;
    else munmap(memory, kAlternateBytes);
}

AlternateStack::~AlternateStack() {
    if (!memory_) return;
    stack_t current = {};
    // Somebody else (faulthandler) may have given the thread another one meanwhile.
    if (sigaltstack(nullptr, &current) == 0 && current.ss_sp == memory_) sigaltstack(&previous_, nullptr);
    munmap(memory_, kAlternateBytes);
}

}  // namespace smarm
