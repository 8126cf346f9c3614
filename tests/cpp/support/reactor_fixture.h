// reactor_fixture.h: a reactor alone on this thread, waits that note how they fired, and descriptors for them.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smarm/wait/reactor.h"

namespace smarm::testing {

inline std::size_t open_fds() {
    const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

// A wait that notes how it fired and then does what it was told.
struct Wait : FdWait {
    explicit Wait(std::string wait_name = "", std::vector<std::string>* list = nullptr)
        : FdWait(fired), name(std::move(wait_name)), order(list) {}
    static void fired(FdWait& wait, Ready ready) {
        auto& self = static_cast<Wait&>(wait);
        CHECK_FALSE(self.registered());
        ++(ready == Ready::ready ? self.readies : self.closes);
        if (self.order) self.order->push_back(self.name);
        if (self.then) self.then();
    }
    int fires() const { return readies + closes; }
    const std::string name;
    std::vector<std::string>* order;
    int readies = 0, closes = 0;
    std::function<void()> then;
};

// Two ends of a socket that does not wait.
struct Pair {
    int ours = -1, theirs = -1;
    Pair() {
        int ends[2];
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        ours = ends[0];
        theirs = ends[1];
    }
    Pair(const Pair&) = delete;
    ~Pair() {
        close_ours();
        close_theirs();
    }
    void close_ours() { close_once(ours); }
    void close_theirs() { close_once(theirs); }
    void say(std::size_t bytes = 1) const { REQUIRE(write(theirs, std::string(bytes, 'x').data(), bytes) > 0); }
    void drain() const {
        char text[4096];
        while (read(ours, text, sizeof text) > 0) {}
    }
    // Closes both ends and makes `ours` a fresh socket of the same number, connected to a fresh `theirs`.
    void reopen() {
        Pair fresh;
        REQUIRE(dup2(fresh.ours, ours) == ours);
        std::swap(theirs, fresh.theirs);
    }
    void fill() const {
        const std::string text(65536, 'x');
        while (write(ours, text.data(), text.size()) > 0) {}
    }

private:
    static void close_once(int& fd) {
        if (fd >= 0) close(fd);
        fd = -1;
    }
};

// A reactor that has started; checks at the end that no descriptor is left.
struct ReactorFixture {
    const std::size_t fds_before = open_fds();
    std::unique_ptr<Reactor> reactor = std::make_unique<Reactor>();
    ReactorFixture() { REQUIRE(reactor->start() == 0); }
    // Whether a wait lasts until its deadline, because nothing is left that could end it: no wake, no stale event.
    bool can_sleep() {
        const Instant until = reactor->now() + std::chrono::milliseconds(1);
        reactor->wait(until);
        return reactor->now() >= until;
    }
    ~ReactorFixture() {
        reactor.reset();
        CHECK(open_fds() == fds_before);
    }
};

}  // namespace smarm::testing
