// Closed-loop TCP echo load from one thread: each connection sends its next message when the echo of the last is back.
//
// load_generator port=P [connections=100] [size=64] [seconds=3]; half a second of warm-up is not measured.
// Prints requests/s, latencies in microseconds and the CPU time that it used itself.
#include <algorithm>
#include <cstdint>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "result.h"

namespace {

struct Connection {
    int fd = -1;
    double sent = 0;
    long received = 0;
};

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1);
}

int connect_to(long port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

}  // namespace

int main(int argc, char** argv) {
    const long port = bench::argument(argc, argv, "port", 0), size = bench::argument(argc, argv, "size", 64);
    const double measured = static_cast<double>(bench::argument(argc, argv, "seconds", 3)), warm_up = 0.5;
    const std::vector<char> message(static_cast<std::size_t>(size), 'x');
    std::vector<Connection> connections(static_cast<std::size_t>(bench::argument(argc, argv, "connections", 100)));
    std::vector<char> buffer(65536);
    std::vector<float> latencies;
    latencies.reserve(4'000'000);
    const int poller = epoll_create1(0);
    long errors = 0, requests = 0;

    for (std::size_t i = 0; i < connections.size(); ++i) {
        connections[i].fd = connect_to(port);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        if (epoll_ctl(poller, EPOLL_CTL_ADD, connections[i].fd, &event) != 0) fail("epoll_ctl");
    }
    const auto send_next = [&](Connection& connection) {
        connection.sent = bench::seconds_now();
        connection.received = 0;
        if (write(connection.fd, message.data(), message.size()) != size) ++errors;
    };
    const double begin = bench::seconds_now() + warm_up, end = begin + measured;
    for (Connection& connection : connections) send_next(connection);
    std::vector<epoll_event> events(256);
    while (bench::seconds_now() < end) {
        const int ready = epoll_wait(poller, events.data(), static_cast<int>(events.size()), 100);
        for (int i = 0; i < ready; ++i) {
            Connection& connection = connections[events[static_cast<std::size_t>(i)].data.u64];
            const ssize_t got = read(connection.fd, buffer.data(), buffer.size());
            if (got <= 0) {
                ++errors;
                epoll_ctl(poller, EPOLL_CTL_DEL, connection.fd, nullptr);
                continue;
            }
            connection.received += got;
            if (connection.received < size) continue;
            const double now = bench::seconds_now();
            ++requests;
            if (now >= begin && now < end) latencies.push_back(static_cast<float>((now - connection.sent) * 1e6));
            send_next(connection);
        }
    }
    if (latencies.empty()) latencies.push_back(-1);
    std::sort(latencies.begin(), latencies.end());
    const auto at = [&](double part) {
        const auto index = static_cast<std::size_t>(static_cast<double>(latencies.size()) * part);
        return static_cast<double>(latencies[std::min(index, latencies.size() - 1)]);
    };
    std::printf(
        "{\"value\": %.1f, \"unit\": \"requests/s\", \"extra\": {\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, "
        "\"errors\": %ld, \"requests_with_warm_up\": %ld, \"generator_cpu_s\": %.3f}}\n",
        static_cast<double>(latencies.size()) / measured, at(0.5), at(0.99), at(1), errors, requests, cpu_seconds());
}
