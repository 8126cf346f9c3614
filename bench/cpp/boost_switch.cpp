// Two flows switch to and fro with boost.context: ns for there and back.
#include <boost/context/fiber.hpp>

#include "result.h"

int main(int argc, char** argv) {
    const long n = bench::argument(argc, argv, "n", 20'000'000);
    boost::context::fiber other([](boost::context::fiber&& back) {
        for (;;) back = std::move(back).resume();
        return std::move(back);
    });
    other = std::move(other).resume();
    const double start = bench::seconds_now();
    for (long i = 0; i < n; ++i) other = std::move(other).resume();
    bench::report((bench::seconds_now() - start) / static_cast<double>(n) * 1e9, "ns");
}
