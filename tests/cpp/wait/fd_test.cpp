#include "smarm/wait/fd.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/reactors.h"
#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

using Real = TestScheduler<>;

struct Pair {
    std::array<int, 2> ends{-1, -1};
    Pair() {
        SMARM_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
                     "no sockets");
    }
    ~Pair() {
        for (int& end : ends) drop(end);
    }
    static void drop(int& end) {
        if (end >= 0) close(end);
        end = -1;
    }
    int mine() const { return ends[0]; }
    int peer() const { return ends[1]; }
};

struct Pipe {
    std::array<int, 2> ends{-1, -1};
    Pipe() { SMARM_ASSERT(pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe"); }
    ~Pipe() {
        for (int& end : ends) Pair::drop(end);
    }
};

Instant in(Duration duration) { return deadline_after(this_worker()->driver().now(), duration); }
void put(int fd, const std::string& text) {
    SMARM_ASSERT(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "the peer takes no more");
}

std::string get(int fd, Instant deadline = kNever, std::size_t most = 64) {
    std::string text(most, '\0');
    std::size_t got = 0;
    const FdEnd end = read_fd(fd, text.data(), most, deadline, got);
    CHECK(end.status == FdStatus::ready);
    text.resize(got);
    return text;
}

bool waits(Pid pid) {
    ActorSnapshot seen;
    return scheduler().table().look(pid, seen) && seen.state == ActorState::parked &&
           seen.wait_reason == WaitReason::fd;
}

}  // namespace

TEST_CASE("a wait ends when the fd is ready, and at once when it is already") {
    Real run(1, with_reactors);
    run.run([] {
        Pair pair;
        CHECK(wait_fd(pair.mine(), Interest::write, kNever).status == FdStatus::ready);
        bool done = false;
        const Pid reader = spawn_here([&] {
            CHECK(wait_fd(pair.mine(), Interest::read, kNever).status == FdStatus::ready);
            done = true;
        });
        wait_until([&] { return waits(reader); });
        CHECK(!done);
        put(pair.peer(), "x");
        join(reader);
        CHECK(done);
        CHECK(wait_fd(pair.mine(), Interest::read, kNever).status == FdStatus::ready);
    });
}

TEST_CASE("a wait ends at its deadline, and one in the past tries once") {
    Real run(1, with_reactors);
    run.run([] {
        Pair pair;
        CHECK(wait_fd(pair.mine(), Interest::read, in(1ms)).status == FdStatus::timed_out);
        CHECK(wait_fd(pair.mine(), Interest::read, Instant{}).status == FdStatus::timed_out);
        put(pair.peer(), "x");
        CHECK(wait_fd(pair.mine(), Interest::read, Instant{}).status == FdStatus::ready);
    });
}

TEST_CASE("an actor that is asked to exit leaves its wait") {
    Real run(1, with_reactors);
    run.run([] {
        Pair pair;
        FdStatus status = FdStatus::ready;
        const Pid reader = spawn_here([&] { status = wait_fd(pair.mine(), Interest::read, kNever).status; });
        wait_until([&] { return waits(reader); });
        request_exit(reader);
        join(reader);
        CHECK(status == FdStatus::exit_requested);
    });
}

TEST_CASE("what is no open fd, a regular file and a hung-up peer") {
    Real run(1, with_reactors);
    run.run([] {
        for (const int fd : {-1, 1'000'000}) {
            const FdEnd end = wait_fd(fd, Interest::read, kNever);
            CHECK(end.status == FdStatus::failed);
            CHECK(end.error == EBADF);
        }
        const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        CHECK(wait_fd(file, Interest::read, kNever).status == FdStatus::ready);
        CHECK(get(file, kNever, 4) ==
              "\x7f"
              "ELF");
        close(file);
        Pair pair;
        Pair::drop(pair.ends[1]);
        CHECK(wait_fd(pair.mine(), Interest::read, kNever).status == FdStatus::ready);
        CHECK(get(pair.mine()).empty());
        std::signal(SIGPIPE, SIG_IGN);  // as Python does
        std::size_t written = 0;
        const FdEnd end = write_fd(pair.mine(), "x", 1, kNever, written);
        CHECK(end.status == FdStatus::failed);
        CHECK(end.error == EPIPE);
    });
}

TEST_CASE("reading and writing a pipe in blocking mode parks the actor only") {
    Real run(1, with_reactors);
    run.run([] {
        Pipe pipe;
        const std::string text(1 << 20, 'x');  // more than a pipe holds
        const Pid writer = spawn_here([&] {
            std::size_t written = 0;
            CHECK(write_fd(pipe.ends[1], text.data(), text.size(), kNever, written).status == FdStatus::ready);
            CHECK(written == text.size());
            Pair::drop(pipe.ends[1]);
        });
        std::size_t total = 0;
        for (std::string part = get(pipe.ends[0], kNever, 4096); !part.empty(); part = get(pipe.ends[0], kNever, 4096))
            total += part.size();
        CHECK(total == text.size());
        join(writer);
    });
}

TEST_CASE("closing an fd ends the waits of every worker, and the next file of that number is left alone") {
    Real run(3, with_reactors);
    run.run([] {
        for (int round = 0; round < 50; ++round) {
            Pair pair;
            const int number = pair.mine();
            std::array<FdStatus, 3> ends{};
            std::vector<Pid> pids;
            for (unsigned i = 0; i < 3; ++i)
                pids.push_back(
                    spawn_on(i, [&ends, number, i] { ends[i] = wait_fd(number, Interest::read, kNever).status; }));
            for (Pid pid : pids) wait_until([&] { return waits(pid); });
            CHECK(close_fd(number, &scheduler()) == 0);
            CHECK(close_fd(number, &scheduler()) == EBADF);
            pair.ends[0] = -1;
            Pair next;  // the lowest free number: the same
            CHECK(next.mine() == number);
            const Pid reader = spawn_on(1, [&] { CHECK(get(next.mine()) == "y"); });
            wait_until([&] { return waits(reader); });
            for (Pid pid : pids) join(pid);
            CHECK(ends == std::array<FdStatus, 3>{FdStatus::closed, FdStatus::closed, FdStatus::closed});
            put(next.peer(), "y");
            join(reader);
        }
    });
}

TEST_CASE("an fd closed without a word and opened anew can be waited for") {
    Real run(1, with_reactors);
    run.run([] {
        for (int round = 0; round < 3; ++round) {
            Pair pair;
            const Pid reader = spawn_here([&] { CHECK(get(pair.mine()) == "x"); });
            wait_until([&] { return waits(reader); });
            put(pair.peer(), "x");
            join(reader);
        }
    });
}

TEST_CASE("any of several fds ends a wait for all of them") {
    Real run(1, with_reactors);
    run.run([] {
        Pair first;
        Pair second;
        std::array<pollfd, 2> fds{{{first.mine(), POLLIN, 0}, {second.mine(), POLLIN, 0}}};
        CHECK(FdOpenings(fds).wait(in(1ms)).status == FdStatus::timed_out);
        const Pid waiter = spawn_here([&] { CHECK(FdOpenings(fds).wait(kNever).status == FdStatus::ready); });
        wait_until([&] { return waits(waiter); });
        put(second.peer(), "x");
        join(waiter);
        CHECK(fds[0].revents == 0);
        CHECK(fds[1].revents == POLLIN);
    });
}

TEST_CASE("a wait for several fds ends when one of them is closed or another file's") {
    Real run(1, with_reactors);
    run.run([] {
        for (const bool replaced : {false, true}) {
            Pair first;
            Pair second;
            Pair third;
            put(third.peer(), "of the next file");
            std::array<pollfd, 2> fds{{{first.mine(), POLLIN, 0}, {second.mine(), POLLIN, 0}}};
            const Pid waiter = spawn_here([&] {
                FdOpenings openings(fds);
                CHECK(openings.wait(kNever).status == FdStatus::closed);
                CHECK(openings.wait(kNever).status == FdStatus::closed);  // and it stays so
            });
            wait_until([&] { return waits(waiter); });
            CHECK((replaced ? replace_fd(second.mine(), third.mine(), O_CLOEXEC, &scheduler())
                            : close_fd(second.mine(), &scheduler())) == 0);
            if (!replaced) second.ends[0] = -1;
            join(waiter);
        }
    });
}

// ---- owned fds ------------------------------------------------------------------------------------------------------

TEST_CASE("an owner is told that reading is not worth a try until something has come") {
    Real run(1, with_reactors);
    run.run([] {
        Pair pair;
        OwnedFd owned(pair.mine());
        auto& reactor = static_cast<Reactor&>(this_worker()->driver());
        CHECK(!reactor.is_dry(owned));  // not known yet
        for (int round = 0; round < 3; ++round) {
            const Pid reader =
                spawn_here([&] { CHECK(wait_fd(owned, Interest::read, kNever).status == FdStatus::ready); });
            wait_until([&] { return waits(reader); });
            CHECK(reactor.is_dry(owned));
            put(pair.peer(), "x");
            join(reader);
            CHECK(!reactor.is_dry(owned));
            CHECK(get(pair.mine()) == "x");
            reactor.note_dry(owned);
            CHECK(reactor.is_dry(owned));
        }
        // An event that comes while nobody waits is remembered.
        Pair other;
        const Pid somebody = spawn_here([&] { CHECK(get(other.mine()) == "z"); });
        wait_until([&] { return waits(somebody); });
        put(pair.peer(), "y");
        put(other.peer(), "z");
        join(somebody);
        CHECK(!reactor.is_dry(owned));
        CHECK(get(pair.mine()) == "y");
        reactor.note_dry(owned);
        // The end of the stream stays worth a try.
        const Pid reader = spawn_here([&] { CHECK(wait_fd(owned, Interest::read, kNever).status == FdStatus::ready); });
        wait_until([&] { return waits(reader); });
        shutdown(pair.peer(), SHUT_WR);
        join(reader);
        reactor.note_dry(owned);
        CHECK(!reactor.is_dry(owned));
    });
}

TEST_CASE("an owner and others can wait for the same fd, to read and to write") {
    Real run(1, with_reactors);
    run.run([] {
        Pair pair;
        OwnedFd owned(pair.mine());
        const std::string full(1 << 16, 'x');
        while (write(pair.mine(), full.data(), full.size()) > 0) {}
        int done = 0;
        std::vector<Pid> pids;
        for (const Interest interest : {Interest::read, Interest::write}) {
            pids.push_back(spawn_here([&, interest] {
                CHECK(wait_fd(owned, interest, kNever).status == FdStatus::ready);
                ++done;
            }));
            pids.push_back(spawn_here([&, interest] {
                CHECK(wait_fd(pair.mine(), interest, kNever).status == FdStatus::ready);
                ++done;
            }));
        }
        for (Pid pid : pids) wait_until([&] { return waits(pid); });
        put(pair.peer(), "x");
        wait_until([&] { return done == 2; });
        std::string room(1 << 20, '\0');
        while (read(pair.peer(), room.data(), room.size()) > 0) {}
        for (Pid pid : pids) join(pid);
        CHECK(done == 4);
    });
}

TEST_CASE("closing an owned fd ends its waits, and an owner of the next file of that number starts anew") {
    Real run(1, with_reactors);
    run.run([] {
        for (int round = 0; round < 3; ++round) {
            Pair pair;
            OwnedFd owned(pair.mine());
            FdStatus status = FdStatus::ready;
            const Pid reader = spawn_here([&] { status = wait_fd(owned, Interest::read, kNever).status; });
            wait_until([&] { return waits(reader); });
            CHECK(close_fd(owned.release(), &scheduler()) == 0);
            pair.ends[0] = -1;
            join(reader);
            CHECK(status == FdStatus::closed);
        }
    });
}
