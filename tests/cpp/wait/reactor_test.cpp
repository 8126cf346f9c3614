#include "smarm/wait/reactor.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../support/child.h"
#include "../support/reactor_fixture.h"
#include "smarm/base/sanitizer.h"

using namespace smarm;
using namespace smarm::testing;
using std::chrono::milliseconds;

TEST_CASE_FIXTURE(ReactorFixture, "a wake before wait makes it return at once") {
    reactor->wake();
    reactor->wait(kNever);
    for (int i = 0; i < 3; ++i) reactor->wake();
    reactor->wait(kNever);
    CHECK(can_sleep());
}

TEST_CASE_FIXTURE(ReactorFixture, "a wake that poll came across is kept for wait") {
    Pair pair;
    Wait wait;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    reactor->wake();
    CHECK_FALSE(reactor->poll());
    CHECK_FALSE(reactor->poll());
    reactor->wait(kNever);
    CHECK(can_sleep());
    reactor->remove(wait);
}

TEST_CASE_FIXTURE(ReactorFixture, "every wake from another thread ends a wait, again and again") {
    constexpr int kRounds = 2000;
    std::atomic<int> asked{0}, answered{0};
    std::thread waker([&] {
        for (int round = 1; round <= kRounds; ++round) {
            asked.store(round);
            reactor->wake();
            while (answered.load() != round) std::this_thread::yield();
        }
    });
    for (int round = 1; round <= kRounds; ++round) {
        while (asked.load() != round) reactor->wait(kNever);
        answered.store(round);
    }
    waker.join();
}

TEST_CASE_FIXTURE(ReactorFixture, "wake may be called by a signal handler and leaves errno alone") {
    static Reactor* woken;
    woken = reactor.get();
    const auto before = std::signal(SIGUSR1, [](int) { woken->wake(); });
    errno = EDOM;
    std::raise(SIGUSR1);
    CHECK(errno == EDOM);
    reactor->wait(kNever);
    std::signal(SIGUSR1, before);

    Reactor not_started;  // where the write cannot succeed
    errno = EDOM;
    not_started.wake();
    CHECK(errno == EDOM);
}

TEST_CASE_FIXTURE(ReactorFixture, "wait returns at its deadline and not before") {
    for (Duration sleep :
         {Duration(-5'000'000'000), Duration(-1), Duration(0), Duration(1), Duration(50'000), Duration(3'000'000)}) {
        const Instant until = reactor->now() + sleep;
        reactor->wait(until);
        CHECK(reactor->now() >= until);
    }
}

TEST_CASE("wait keeps its deadline on kernels without epoll_pwait2") {
    for (unsigned error : {ENOSYS, EPERM}) {
        CAPTURE(error);
        const auto end = run_in_child([=] {
            // Refuses this one system call, as an old kernel or a container does.
            sock_filter program[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
            };
            const sock_fprog filter{.len = 4, .filter = program};
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) _exit(1);
            Reactor reactor;
            if (reactor.start() != 0) _exit(2);
            const Instant until = reactor.now() + Duration(1'500'000);
            reactor.wait(until);
            if (reactor.now() < until) _exit(3);
            reactor.wake();
            reactor.wait(kNever);
        });
        CHECK(end.exit_code == 0);
    }
}

TEST_CASE_FIXTURE(ReactorFixture, "poll without waits has nothing to deliver") { CHECK_FALSE(reactor->poll()); }

TEST_CASE_FIXTURE(ReactorFixture, "it is watching while a wait is registered, and says so to any thread") {
    Pair pair;
    Wait wait;
    auto asked_elsewhere = [&] {
        bool answer = false;
        std::thread([&] { answer = reactor->is_watching(); }).join();
        return answer;
    };
    CHECK_FALSE(asked_elsewhere());
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    CHECK(asked_elsewhere());
    pair.say();
    CHECK(reactor->poll());
    CHECK_FALSE(asked_elsewhere());
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    reactor->remove(wait);
    CHECK_FALSE(asked_elsewhere());
}

TEST_CASE_FIXTURE(ReactorFixture, "a wait fires once when its fd is readable") {
    Pair pair;
    Wait wait;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    CHECK_FALSE(reactor->poll());
    pair.say();
    CHECK(reactor->poll());
    CHECK(wait.readies == 1);
    CHECK_FALSE(wait.registered());
    pair.say();
    CHECK_FALSE(reactor->poll());
    CHECK(wait.fires() == 1);
    CHECK(can_sleep());
}

TEST_CASE_FIXTURE(ReactorFixture,
                  "a wait on an fd that is ready already fires at the next poll, each time it is added") {
    Pair pair;
    pair.say();
    Wait wait;
    for (int round = 1; round <= 3; ++round) {
        REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
        CHECK(wait.fires() == round - 1);
        reactor->wait(kNever);
        CHECK(wait.readies == round);
    }
}

TEST_CASE_FIXTURE(ReactorFixture, "readers and writers of one fd wait independently") {
    Pair pair;
    pair.fill();
    Wait reader, writer;
    REQUIRE(reactor->add(reader, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(writer, pair.ours, Interest::write) == 0);
    CHECK_FALSE(reactor->poll());
    pair.say();
    CHECK(reactor->poll());
    CHECK(reader.readies == 1);
    CHECK(writer.fires() == 0);
    char text[65536];
    while (read(pair.theirs, text, sizeof text) > 0) {}
    CHECK(reactor->poll());
    CHECK(writer.readies == 1);

    // The other way round.
    pair.drain();
    REQUIRE(reactor->add(writer, pair.ours, Interest::write) == 0);
    REQUIRE(reactor->add(reader, pair.ours, Interest::read) == 0);
    CHECK(reactor->poll());
    CHECK(writer.readies == 2);
    CHECK(reader.readies == 1);
    pair.say();
    CHECK(reactor->poll());
    CHECK(reader.readies == 2);
}

TEST_CASE_FIXTURE(ReactorFixture, "all readers of one fd fire, in the order in which they were added") {
    Pair pair;
    std::vector<std::string> order;
    Wait a("a", &order), b("b", &order), c("c", &order);
    for (Wait* wait : {&a, &b, &c}) REQUIRE(reactor->add(*wait, pair.ours, Interest::read) == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(order == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE_FIXTURE(ReactorFixture, "many fds with waits fire, each its own") {
    constexpr std::size_t kPairs = 400;
    std::deque<Pair> pairs(kPairs);
    std::deque<Wait> waits;
    for (Pair& pair : pairs) REQUIRE(reactor->add(waits.emplace_back(), pair.ours, Interest::read) == 0);
    for (std::size_t i = 0; i < kPairs; i += 2) pairs[i].say();
    while (reactor->poll()) {}
    for (std::size_t i = 0; i < kPairs; ++i) REQUIRE(waits[i].readies == (i % 2 == 0));
    for (Wait& wait : waits) reactor->remove(wait);
}

TEST_CASE_FIXTURE(ReactorFixture, "a hang-up fires readers and writers") {
    Pair pair;
    pair.fill();
    Wait reader, writer;
    REQUIRE(reactor->add(reader, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(writer, pair.ours, Interest::write) == 0);
    pair.close_theirs();
    CHECK(reactor->poll());
    CHECK(reader.readies == 1);
    CHECK(writer.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture, "a pipe without a reader fires its writer") {
    int ends[2];
    REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    const std::string text(65536, 'x');
    while (write(ends[1], text.data(), text.size()) > 0) {}
    Wait writer;
    REQUIRE(reactor->add(writer, ends[1], Interest::write) == 0);
    CHECK_FALSE(reactor->poll());
    close(ends[0]);
    CHECK(reactor->poll());
    CHECK(writer.readies == 1);
    reactor->forget(ends[1]);
    close(ends[1]);
}

TEST_CASE_FIXTURE(ReactorFixture, "a pipe without a writer fires its reader") {
    int ends[2];
    REQUIRE(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
    Wait reader;
    REQUIRE(reactor->add(reader, ends[0], Interest::read) == 0);
    CHECK_FALSE(reactor->poll());
    close(ends[1]);
    CHECK(reactor->poll());
    CHECK(reader.readies == 1);
    reactor->forget(ends[0]);
    close(ends[0]);
}

// Not under sanitizers: they need more address space than this limit leaves.
#if !defined(SMARM_ADDRESS_SANITIZER) && !defined(SMARM_THREAD_SANITIZER)
TEST_CASE("a number that is no fd takes no memory") {
    const auto end = run_in_child([] {
        Reactor reactor;
        Wait wait;
        rlimit limit{};
        getrlimit(RLIMIT_AS, &limit);
        limit.rlim_cur = std::size_t{1} << 30;
        if (reactor.start() != 0 || setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
        if (reactor.add(wait, 1'000'000'000, Interest::read) != EBADF) _exit(2);
    });
    CHECK(end.exit_code == 0);
}
#endif

TEST_CASE_FIXTURE(ReactorFixture, "what cannot be waited for is refused with the reason, and the wait stays idle") {
    Wait wait;
    CHECK(reactor->add(wait, -1, Interest::read) == EBADF);
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(reactor->add(wait, file, Interest::read) == EPERM);
    CHECK_FALSE(wait.registered());
    CHECK_FALSE(reactor->poll());
    close(file);
}

TEST_CASE_FIXTURE(ReactorFixture, "readiness ends a wait") {
    Pair pair;
    Wait wait;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    std::thread writer([&] { static_cast<void>(!write(pair.theirs, "x", 1)); });
    while (wait.fires() == 0) reactor->wait(kNever);
    writer.join();
    CHECK(wait.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture, "a signal ends a wait without harm") {
    struct sigaction ignore_politely{}, before{};
    static std::atomic<bool> signalled;
    signalled = false;
    ignore_politely.sa_handler = [](int) { signalled = true; };  // without SA_RESTART
    sigaction(SIGUSR1, &ignore_politely, &before);
    const pthread_t waiter = pthread_self();
    std::atomic<bool> done{false};
    std::thread sender([&] {
        while (!done) {
            pthread_kill(waiter, SIGUSR1);
            std::this_thread::yield();
        }
    });
    while (!signalled) reactor->wait(kNever);
    done = true;
    sender.join();
    sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("start reports that fds are out, and leaks none") {
    const auto end = run_in_child([] {
        const int lowest_free = dup(0);
        close(lowest_free);
        for (int left : {0, 1}) {
            rlimit limit{};
            getrlimit(RLIMIT_NOFILE, &limit);
            limit.rlim_cur = static_cast<rlim_t>(lowest_free + left);
            if (setrlimit(RLIMIT_NOFILE, &limit) != 0) _exit(3);
            Reactor reactor;
            if (reactor.start() != EMFILE) _exit(1);
            if (left == 1 && dup(0) != lowest_free) _exit(2);
        }
    });
    CHECK(end.exit_code == 0);
}

TEST_CASE("misuse is an assertion failure") {
    CHECK(run_in_child([] {
              Reactor reactor;
              reactor.start();
              Pair pair;
              Wait wait;
              reactor.add(wait, pair.ours, Interest::read);
          }).said("died while it was in a list"));
    CHECK(run_in_child([] {
              Reactor reactor;
              reactor.start();
              Pair pair;
              Wait wait;
              reactor.add(wait, pair.ours, Interest::read);
              reactor.add(wait, pair.ours, Interest::read);
          }).said("registered only once"));
    CHECK(run_in_child([] {
              Pair pair;
              Wait wait;
              Reactor reactor;
              reactor.start();
              reactor.add(wait, pair.ours, Interest::read);
          }).said("died with waits registered"));
    CHECK(run_in_child([] {
              Reactor reactor;
              reactor.start();
              Pair pair;
              Wait wait;
              wait.then = [&] { reactor.poll(); };
              Wait other;
              reactor.add(wait, pair.ours, Interest::write);
              reactor.add(other, pair.ours, Interest::read);
              reactor.poll();
          }).said("a fired wait called poll() or wait()"));
}
