// The same as fiber_switch.cpp with boost.context.
#include <boost/context/fiber.hpp>

#include "result.h"

namespace {

using boost::context::fiber;

[[gnu::noinline]] void hop(fiber& other) {
    other = std::move(other).resume();
    bench::not_a_tail_call();
}
[[gnu::noinline]] void hop_deeper(fiber& other) {
    hop(other);
    bench::not_a_tail_call();
}
[[gnu::noinline]] void hop_deepest(fiber& other) {
    hop_deeper(other);
    bench::not_a_tail_call();
}

}  // namespace

int main(int argc, char** argv) {
    const long n = bench::argument(argc, argv, "n", 20'000'000), deep = bench::argument(argc, argv, "deep", 0);
    fiber other([&](fiber&& back) {
        while (!deep) back = std::move(back).resume();
        for (;;) hop_deepest(back);
        return std::move(back);
    });
    other = std::move(other).resume();
    const double start = bench::seconds_now();
    if (deep) {
        for (long i = 0; i < n; ++i) hop_deepest(other);
    } else {
        for (long i = 0; i < n; ++i) other = std::move(other).resume();
    }
    bench::report((bench::seconds_now() - start) / static_cast<double>(n) * 1e9, "ns");
}
