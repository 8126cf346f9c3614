// Reads a word of each of n stacks in random order, each read after the last, us per read: what the caches and page
// tables alone take of a visit to a parked actor. The address of the next read lies in the word, so that no read
// overlaps another.
#include <algorithm>
#include <random>
#include <vector>

#include "smarm/fiber/stack_pool.h"

#include "result.h"

int main(int argc, char** argv) {
    const auto n = static_cast<std::size_t>(bench::argument(argc, argv, "n", 100'000));
    const long visits = bench::argument(argc, argv, "visits", 300'000);
    smarm::StackPool stacks({.stack_bytes = 1 << 20});
    std::vector<smarm::Stack> order(n);
    std::generate(order.begin(), order.end(), [&] { return stacks.take(); });
    std::shuffle(order.begin(), order.end(), std::mt19937(1));
    const auto word = [&](std::size_t i) { return reinterpret_cast<void**>(order[i % n].top() - 1024); };
    for (std::size_t i = 0; i < n; ++i) *word(i) = word(i + 1);
    void** at = word(0);
    const double start = bench::seconds_now();
    for (long i = 0; i < visits; ++i) at = static_cast<void**>(*at);
    const double elapsed = bench::seconds_now() - start;
    if (!at) return 1;
    bench::report(elapsed / static_cast<double>(visits) * 1e6, "us");
    std::_Exit(std::fflush(stdout));  // the stacks are never given back
}
