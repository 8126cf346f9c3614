#include "smarm/base/assert.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace smarm {
namespace {
// Relaxed: the hook is installed once, before the threads that could fail are started.
std::atomic<AssertContext> context_hook{nullptr};
}  // namespace

void set_assert_context(AssertContext context) noexcept { context_hook.store(context, std::memory_order_relaxed); }

void assertion_failed(const char* condition, const char* sentence, const char* file, int line) noexcept {
    char where[160] = "no runtime";
    if (AssertContext hook = context_hook.load(std::memory_order_relaxed)) hook(where, sizeof where);
    std::fprintf(stderr, "smarm: assertion failed: %s\n  %s\n  at %s:%d (%s)\n", sentence, condition, file, line,
                 where);
    std::fflush(stderr);
    std::abort();
}

}  // namespace smarm
