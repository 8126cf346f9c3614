// Two flows switch to and fro with switch_context: ns for there and back. deep=1: both from one place, three calls
// deep, as actors do; deep=0: from two places, in the loop itself.
#include "smarm/fiber/context.h"
#include "smarm/fiber/stack_pool.h"

#include "result.h"

using namespace smarm;

namespace {

Context outer, inner;

[[gnu::noinline]] void hop(Context& from, Context& to) {
    switch_context(from, to);
    bench::not_a_tail_call();
}
[[gnu::noinline]] void hop_deeper(Context& from, Context& to) {
    hop(from, to);
    bench::not_a_tail_call();
}
[[gnu::noinline]] void hop_deepest(Context& from, Context& to) {
    hop_deeper(from, to);
    bench::not_a_tail_call();
}

void bounce(void* deep) {
    while (!deep) switch_context(inner, outer);
    for (;;) hop_deepest(inner, outer);
}

}  // namespace

int main(int argc, char** argv) {
    const long n = bench::argument(argc, argv, "n", 20'000'000), deep = bench::argument(argc, argv, "deep", 0);
    StackPool stacks;
    prepare(inner, stacks.take(), bounce, deep ? &inner : nullptr);
    switch_context(outer, inner);
    const double start = bench::seconds_now();
    if (deep) {
        for (long i = 0; i < n; ++i) hop_deepest(outer, inner);
    } else {
        for (long i = 0; i < n; ++i) switch_context(outer, inner);
    }
    bench::report((bench::seconds_now() - start) / static_cast<double>(n) * 1e9, "ns");
    std::_Exit(std::fflush(stdout));  // the inner flow never ends
}
