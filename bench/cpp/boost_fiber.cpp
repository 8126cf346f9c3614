// boost.fiber beside native.cpp: boost_fiber spawn | pingpong
#include <boost/fiber/all.hpp>

#include <string>
#include <vector>

#include "result.h"

namespace {

void spawn(long n, long wave) {
    const double start = bench::seconds_now();
    std::vector<boost::fibers::fiber> fibers;
    for (long done = 0; done < n; done += wave) {
        fibers.clear();
        for (long i = 0; i < wave; ++i) fibers.emplace_back([] {});
        for (auto& fiber : fibers) fiber.join();
    }
    bench::report(static_cast<double>(n) / (bench::seconds_now() - start), "spawns/s");
}

void pingpong(long n) {
    boost::fibers::buffered_channel<long> to_pong(8), to_ping(8);
    const double start = bench::seconds_now();
    boost::fibers::fiber pong([&] {
        for (long value = 0; to_pong.pop(value) == boost::fibers::channel_op_status::success;) to_ping.push(value);
    });
    boost::fibers::fiber ping([&] {
        for (long i = 0, value = 0; i < n; ++i) {
            to_pong.push(i);
            to_ping.pop(value);
        }
        to_pong.close();
    });
    ping.join();
    pong.join();
    bench::report(static_cast<double>(n) / (bench::seconds_now() - start), "round trips/s");
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "spawn") spawn(bench::argument(argc, argv, "n", 1'000'000), bench::argument(argc, argv, "wave", 1000));
    else if (what == "pingpong") pingpong(bench::argument(argc, argv, "n", 2'000'000));
    else return 2;
    return 0;
}
