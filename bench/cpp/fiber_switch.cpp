// Two flows switch to and fro with switch_context: ns for there and back.
#include "smarm/fiber/context.h"
#include "smarm/fiber/stack_pool.h"

#include "result.h"

using namespace smarm;

namespace {

Context outer, inner;

void bounce(void*) {
    for (;;) switch_context(inner, outer);
}

}  // namespace

int main(int argc, char** argv) {
    const long n = bench::argument(argc, argv, "n", 20'000'000);
    StackPool stacks;
    prepare(inner, stacks.take(), bounce, nullptr);
    switch_context(outer, inner);
    const double start = bench::seconds_now();
    for (long i = 0; i < n; ++i) switch_context(outer, inner);
    bench::report((bench::seconds_now() - start) / static_cast<double>(n) * 1e9, "ns");
    std::_Exit(std::fflush(stdout));  // the inner flow never ends
}
