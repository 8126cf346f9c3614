#include "smarm/wait/reactor.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../support/child.h"
#include "smarm/base/sanitizer.h"

using namespace smarm;
using smarm::testing::run_in_child;
using std::chrono::milliseconds;

namespace {

std::size_t open_fds() {
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

struct Fixture {
    const std::size_t fds_before = open_fds();
    std::unique_ptr<Reactor> reactor = std::make_unique<Reactor>();
    Fixture() { REQUIRE(reactor->start() == 0); }
    // Whether a wait lasts until its deadline, because nothing is left that could end it: no wake, no stale event.
    bool can_sleep() {
        const Instant until = reactor->now() + milliseconds(1);
        reactor->wait(until);
        return reactor->now() >= until;
    }
    ~Fixture() {
        reactor.reset();
        CHECK(open_fds() == fds_before);
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a wake before wait makes it return at once") {
    reactor->wake();
    reactor->wait(kNever);
    for (int i = 0; i < 3; ++i) reactor->wake();
    reactor->wait(kNever);
    CHECK(can_sleep());
}

TEST_CASE_FIXTURE(Fixture, "a wake that poll came across is kept for wait") {
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

TEST_CASE_FIXTURE(Fixture, "every wake from another thread ends a wait, again and again") {
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

TEST_CASE_FIXTURE(Fixture, "wake may be called by a signal handler and leaves errno alone") {
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

TEST_CASE_FIXTURE(Fixture, "wait returns at its deadline and not before") {
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

TEST_CASE_FIXTURE(Fixture, "poll without waits has nothing to deliver") { CHECK_FALSE(reactor->poll()); }

TEST_CASE_FIXTURE(Fixture, "it is watching while a wait is registered, and says so to any thread") {
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

TEST_CASE_FIXTURE(Fixture, "a wait fires once when its fd is readable") {
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

TEST_CASE_FIXTURE(Fixture, "a wait on an fd that is ready already fires at the next poll, each time it is added") {
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

TEST_CASE_FIXTURE(Fixture, "readers and writers of one fd wait independently") {
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

TEST_CASE_FIXTURE(Fixture, "all readers of one fd fire, in the order in which they were added") {
    Pair pair;
    std::vector<std::string> order;
    Wait a("a", &order), b("b", &order), c("c", &order);
    for (Wait* wait : {&a, &b, &c}) REQUIRE(reactor->add(*wait, pair.ours, Interest::read) == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(order == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE_FIXTURE(Fixture, "many fds with waits fire, each its own") {
    constexpr std::size_t kPairs = 400;
    std::deque<Pair> pairs(kPairs);
    std::deque<Wait> waits;
    for (Pair& pair : pairs) REQUIRE(reactor->add(waits.emplace_back(), pair.ours, Interest::read) == 0);
    for (std::size_t i = 0; i < kPairs; i += 2) pairs[i].say();
    while (reactor->poll()) {}
    for (std::size_t i = 0; i < kPairs; ++i) REQUIRE(waits[i].readies == (i % 2 == 0));
    for (Wait& wait : waits) reactor->remove(wait);
}

TEST_CASE_FIXTURE(Fixture, "a hang-up fires readers and writers") {
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

TEST_CASE_FIXTURE(Fixture, "a pipe without a reader fires its writer") {
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

TEST_CASE_FIXTURE(Fixture, "a pipe without a writer fires its reader") {
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

TEST_CASE_FIXTURE(Fixture, "what cannot be waited for is refused with the reason, and the wait stays idle") {
    Wait wait;
    CHECK(reactor->add(wait, -1, Interest::read) == EBADF);
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(reactor->add(wait, file, Interest::read) == EPERM);
    CHECK_FALSE(wait.registered());
    CHECK_FALSE(reactor->poll());
    close(file);
}

TEST_CASE_FIXTURE(Fixture, "a removed wait does not fire, and can be added again") {
    Pair pair;
    Wait wait, other;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    reactor->remove(wait);
    reactor->remove(wait);
    pair.say();
    REQUIRE(reactor->add(other, pair.ours, Interest::write) == 0);
    CHECK(reactor->poll());
    CHECK(wait.fires() == 0);
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    CHECK(reactor->poll());
    CHECK(wait.readies == 1);
}

TEST_CASE_FIXTURE(Fixture, "forget fires every wait of the fd as closed, and no other") {
    Pair pair, other;
    Wait reader, second, writer, unrelated;
    pair.fill();
    REQUIRE(reactor->add(reader, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(second, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(writer, pair.ours, Interest::write) == 0);
    REQUIRE(reactor->add(unrelated, other.ours, Interest::read) == 0);
    reactor->forget(pair.ours);
    for (Wait* wait : {&reader, &second, &writer}) {
        CHECK(wait->closes == 1);
        CHECK(wait->readies == 0);
    }
    CHECK(unrelated.fires() == 0);
    reactor->forget(pair.ours);
    reactor->forget(-1);
    reactor->forget(12345);
    reactor->remove(unrelated);
}

TEST_CASE_FIXTURE(Fixture, "a new fd of the number of a forgotten one starts afresh") {
    Pair pair;
    Wait old_wait, new_wait;
    REQUIRE(reactor->add(old_wait, pair.ours, Interest::read) == 0);
    pair.say();
    reactor->forget(pair.ours);
    pair.reopen();
    REQUIRE(reactor->add(new_wait, pair.ours, Interest::read) == 0);
    CHECK_FALSE(reactor->poll());
    CHECK(new_wait.fires() == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(new_wait.readies == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "an event of an fd that was replaced while events were delivered does not fire the new wait") {
    // Both are ready in one batch; whichever fires first replaces the other's fd and waits for the new one.
    Pair pairs[2];
    Wait waits[2], news[2];
    int replaced = -1;
    for (int i : {0, 1}) {
        waits[i].then = [&, i] {
            if (replaced >= 0) return;
            replaced = 1 - i;
            Pair& other = pairs[replaced];
            reactor->forget(other.ours);
            other.reopen();
            CHECK(reactor->add(news[replaced], other.ours, Interest::read) == 0);
        };
        REQUIRE(reactor->add(waits[i], pairs[i].ours, Interest::read) == 0);
        pairs[i].say();
    }
    CHECK(reactor->poll());
    REQUIRE(replaced >= 0);
    CHECK(waits[1 - replaced].readies == 1);
    CHECK(waits[replaced].closes == 1);
    CHECK(news[replaced].fires() == 0);
    CHECK_FALSE(reactor->poll());
    pairs[replaced].say();
    CHECK(reactor->poll());
    CHECK(news[replaced].readies == 1);
}

TEST_CASE_FIXTURE(Fixture, "an event under way for a removed wait does not fire one that was added after it") {
    Pair pairs[2];
    Wait waits[2], later;
    int replaced = -1;
    for (int i : {0, 1}) {
        waits[i].then = [&, i] {
            if (replaced >= 0) return;
            replaced = 1 - i;
            pairs[replaced].drain();  // so that the event tells something that is no longer true
            reactor->remove(waits[replaced]);
            CHECK(reactor->add(later, pairs[replaced].ours, Interest::read) == 0);
        };
        REQUIRE(reactor->add(waits[i], pairs[i].ours, Interest::read) == 0);
        pairs[i].say();
    }
    CHECK(reactor->poll());
    CHECK(later.fires() == 0);
    CHECK(later.registered());
    pairs[replaced].say();
    CHECK(reactor->poll());
    CHECK(later.readies == 1);
}

TEST_CASE_FIXTURE(Fixture, "an fd closed without forget, kept open by a duplicate, neither spins nor fires others") {
    Pair pair;
    Wait old;
    Wait wait;
    REQUIRE(reactor->add(old, pair.ours, Interest::read) == 0);
    reactor->remove(old);
    const int duplicate = dup(pair.ours);  // keeps the kernel's registration alive
    const int old_peer = std::exchange(pair.theirs, -1);
    pair.reopen();  // closes `ours` on the way
    REQUIRE(write(old_peer, "x", 1) == 1);
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    for (int i = 0; i < 3; ++i) CHECK_FALSE(reactor->poll());
    CHECK(wait.fires() == 0);
    CHECK(can_sleep());
    pair.say();
    CHECK(reactor->poll());
    CHECK(wait.readies == 1);
    close(duplicate);
    close(old_peer);
}

TEST_CASE_FIXTURE(Fixture, "an fd closed and opened anew without forget can be waited for") {
    Pair pair;
    Wait old;
    Wait wait;
    pair.say();
    REQUIRE(reactor->add(old, pair.ours, Interest::read) == 0);
    CHECK(reactor->poll());
    pair.reopen();
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    CHECK_FALSE(reactor->poll());
    pair.say();
    CHECK(reactor->poll());
    CHECK(wait.readies == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "a wait whose file was replaced is closed when the next one comes, which gets its own events") {
    Pair pair;
    Wait old;
    Wait fresh;
    REQUIRE(reactor->add(old, pair.ours, Interest::read) == 0);
    pair.reopen();
    REQUIRE(reactor->add(fresh, pair.ours, Interest::read) == 0);
    CHECK(old.closes == 1);
    pair.say();
    CHECK(reactor->poll());
    CHECK(fresh.readies == 1);
    CHECK(old.fires() == 1);
}

TEST_CASE_FIXTURE(Fixture, "an event of a file that has lost its number does not say that the number is ready") {
    Pair pair;
    Wait wait;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    const int duplicate = dup(pair.ours);
    const int old_peer = std::exchange(pair.theirs, -1);
    pair.reopen();
    REQUIRE(write(old_peer, "x", 1) == 1);
    CHECK(reactor->poll());
    CHECK(wait.readies == 0);
    CHECK(wait.closes == 1);
    close(duplicate);
    close(old_peer);
}

TEST_CASE_FIXTURE(Fixture, "waits whose file was closed or replaced without a word are found out in a sleep") {
    for (const bool replaced : {true, false}) {
        Pair pair;
        Pair other;
        Wait lost;
        Wait kept;
        REQUIRE(reactor->add(lost, pair.ours, Interest::read) == 0);
        REQUIRE(reactor->add(kept, other.ours, Interest::read) == 0);
        replaced ? pair.reopen() : pair.close_ours();
        reactor->wait(kNever);
        CHECK(lost.closes == 1);
        CHECK(kept.fires() == 0);
        other.say();
        reactor->wait(kNever);
        CHECK(kept.readies == 1);
    }
}

TEST_CASE_FIXTURE(Fixture, "a wait that goes on is not taken for one for the next file of its number") {
    for (const bool owner_waits : {false, true}) {
        Pair pair;
        Wait wait;
        REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
        reactor->remove(wait);
        REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);  // for the same file
        reactor->remove(wait);
        pair.reopen();
        Wait owner;
        if (owner_waits) REQUIRE(reactor->add(owner, pair.ours, Interest::read) == 0);
        CHECK(reactor->add(wait, pair.ours, Interest::read) == ESTALE);
        CHECK_FALSE(wait.registered());
        if (!owner_waits) REQUIRE(reactor->add(owner, pair.ours, Interest::read) == 0);
        pair.say();
        CHECK(reactor->poll());
        CHECK(owner.readies == 1);
        CHECK(wait.fires() == 0);
    }
}

TEST_CASE_FIXTURE(Fixture, "waits through an object end with it, others of the fd go on") {
    Pair pair;
    Wait its;
    Wait others;
    its.through = &pair;
    REQUIRE(reactor->add(its, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(others, pair.ours, Interest::read) == 0);
    reactor->end_waits(pair.ours, &pair);
    CHECK(its.closes == 1);
    CHECK(others.fires() == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(others.readies == 1);
}

TEST_CASE_FIXTURE(Fixture, "a fired wait may remove one that is about to fire") {
    Pair pair;
    Wait first, second, third;
    for (Wait* wait : {&first, &second, &third}) REQUIRE(reactor->add(*wait, pair.ours, Interest::read) == 0);
    first.then = [&] { reactor->remove(second); };
    pair.say();
    CHECK(reactor->poll());
    CHECK(first.readies == 1);
    CHECK(second.fires() == 0);
    CHECK(third.readies == 1);
}

TEST_CASE_FIXTURE(Fixture, "a fired wait may forget its fd: the others about to fire are closed, once") {
    Pair pair;
    Wait first, second, writer;
    pair.fill();
    REQUIRE(reactor->add(first, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(second, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(writer, pair.ours, Interest::write) == 0);
    first.then = [&] {
        reactor->forget(pair.ours);
        pair.close_ours();
    };
    pair.say();
    CHECK(reactor->poll());
    CHECK(first.readies == 1);
    CHECK(second.closes == 1);
    CHECK(writer.closes == 1);
    CHECK(first.fires() + second.fires() + writer.fires() == 3);
}

TEST_CASE_FIXTURE(Fixture, "a fired wait may add itself again; it fires at the next poll, not in this one") {
    Pair pair;
    Wait wait;
    wait.then = [&] {
        if (wait.readies < 3) CHECK(reactor->add(wait, pair.ours, Interest::read) == 0);
    };
    pair.say();
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    for (int round = 1; round <= 3; ++round) {
        CHECK(reactor->poll());
        CHECK(wait.readies == round);
    }
}

TEST_CASE_FIXTURE(Fixture, "a wait may die while it fires") {
    struct Suicidal : FdWait {
        explicit Suicidal(int& dead)
            : FdWait([](FdWait& wait, Ready) { delete static_cast<Suicidal*>(&wait); }), deaths(dead) {}
        ~Suicidal() { ++deaths; }
        int& deaths;
    };
    int deaths = 0;
    Pair pair;
    for (int i = 0; i < 3; ++i)
        REQUIRE(reactor->add(*std::make_unique<Suicidal>(deaths).release(), pair.ours, Interest::read) == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(deaths == 3);
}

TEST_CASE_FIXTURE(Fixture, "readiness ends a wait") {
    Pair pair;
    Wait wait;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    std::thread writer([&] { static_cast<void>(!write(pair.theirs, "x", 1)); });
    while (wait.fires() == 0) reactor->wait(kNever);
    writer.join();
    CHECK(wait.readies == 1);
}

TEST_CASE_FIXTURE(Fixture, "a signal ends a wait without harm") {
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
