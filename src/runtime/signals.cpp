#include "smarm/runtime/signals.h"

#include <Python.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include "runtime/python_signals.h"
#include "smarm/base/clock.h"
#include "smarm/base/own_descriptor.h"
#include "smarm/base/sync.h"
#include "smarm/runtime/reporter.h"

namespace smarm {
namespace {

using std::chrono::milliseconds;

constexpr unsigned char kEnd = 0;     // not a signal: the watcher is to end
constexpr unsigned char kDump = 255;  // nor this: somebody asks for a dump
constexpr char kThreadName[] = "smarm-signals";
// In the upper half of what comes with a request; the lower half is the descriptor's number.
constexpr std::uint64_t kDumpMark = 0x534d4152;  // "SMAR"
constexpr milliseconds kFirstKick{5};
constexpr milliseconds kLastKick{500};

struct Taken {
    int number;
    bool is_taken = false;
    struct sigaction previous = {};
};

// Lock-free atomics, write and PyErr_SetInterruptEx are what a signal handler may use. Release and acquire: the pipe
// orders them anyway.
atomic<bool> unhandled{false};  // a signal has come since handled()
atomic<bool> impatient{false};
atomic<bool> got_terminate{false};
// the number of the last signal that our handlers took, 0: none since the watcher looked
atomic<int> asked_to_end{0};
atomic<unsigned> asked_so_far{0};  // release: what asked() sees, the Python handlers that run next see, too
int wake_up[2] = {-1, -1};         // a pipe of signal numbers
atomic<bool> listening{false};     // wake_up[1] is Python's wake-up descriptor
atomic<int> program_wake_up{-1};   // what the program wants as such; relaxed: a number
pid_t owner = 0;
pthread_t main_thread;
std::thread watcher;
Taken interrupt{SIGINT};
Taken terminate{SIGTERM};
Taken quit{SIGQUIT};
Taken kick{SIGURG};

void tell_watcher(unsigned char number) {
    [[maybe_unused]] const auto written = write(wake_up[1], &number, 1);  // a full pipe wakes it up, too
}

void on_signal(int number) {
    if (getpid() != owner) {  // a forked child: what the system does
        std::signal(number, SIG_DFL);
        std::raise(number);
        return;
    }
    if (number != SIGQUIT && impatient.load(memory_order_acquire)) _exit(128 + number);
    if (number == SIGTERM) SignalWatch::note_termination();
    if (number != SIGQUIT) {
        asked_so_far.fetch_add(1, memory_order_release);
        asked_to_end.store(number, memory_order_release);
        PyErr_SetInterruptEx(number);
    }
    tell_watcher(static_cast<unsigned char>(number));
}

// Who asks for a dump: the sender's process in the upper half, its descriptor in the lower; 0: a free place.
atomic<std::uint64_t> requests[16];

// That a system call was interrupted is all, unless another process asks for a dump.
void on_kick(int, siginfo_t* info, void*) {
    const auto value = reinterpret_cast<std::uint64_t>(info->si_value.sival_ptr);
    if (info->si_code != SI_QUEUE || value >> 32 != kDumpMark || getpid() != owner) return;
    const std::uint64_t request = static_cast<std::uint64_t>(info->si_pid) << 32 | (value & 0xffffffff);
    for (auto& place : requests) {
        std::uint64_t nobody = 0;
        if (place.compare_exchange_strong(nobody, request, memory_order_acq_rel)) break;
    }
    tell_watcher(kDump);
}

void serve_requests(const std::function<void(int)>& on_dump) {
    for (auto& place : requests) {
        const std::uint64_t request = place.exchange(0, memory_order_acq_rel);
        if (request == 0) continue;
        char path[64];
        std::snprintf(path, sizeof path, "/proc/%u/fd/%u", static_cast<unsigned>(request >> 32),
                      static_cast<unsigned>(request));
        const int fd = as_own_descriptor(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
        if (fd < 0) continue;  // it has not waited
        on_dump(fd);
    }
}

struct sigaction plain_action(void (*handler)(int), int flags) {
    struct sigaction action = {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    return action;
}

struct sigaction kick_action() {
    struct sigaction action = {};
    action.sa_sigaction = on_kick;
    action.sa_flags = SA_SIGINFO;
    return action;
}

void take(Taken& signal, const struct sigaction& ours) {
    signal.is_taken = sigaction(signal.number, &ours, &signal.previous) == 0;
}

// Leaves alone what the program has installed meanwhile.
void give_back(Taken& signal, const struct sigaction& ours) {
    struct sigaction current = {};
    if (std::exchange(signal.is_taken, false) && sigaction(signal.number, nullptr, &current) == 0 &&
        ((ours.sa_flags ^ current.sa_flags) & SA_SIGINFO) == 0 && current.sa_handler == ours.sa_handler)
        sigaction(signal.number, &signal.previous, nullptr);
}

// Takes the numbers that came, waiting for one at most so long (negative: for ever). Returns how many.
std::size_t read_numbers(unsigned char (&numbers)[64], milliseconds patience) {
    pollfd readable{wake_up[0], POLLIN, 0};
    if (poll(&readable, 1, static_cast<int>(patience.count())) <= 0) return 0;
    const auto count = read(wake_up[0], numbers, sizeof numbers);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
}

void pass_on(unsigned char number) {
    const int descriptor = program_wake_up.load(memory_order_relaxed);
    if (descriptor >= 0) [[maybe_unused]]
        const auto written = write(descriptor, &number, 1);  // non-blocking: Python insists on it
}

void watch(const SignalWatch::Wanted& wanted) {
    pthread_setname_np(pthread_self(), kThreadName);
    constexpr milliseconds kForEver{-1};
    milliseconds next_look{0};
    for (milliseconds patience = kForEver;;) {
        unsigned char numbers[64];
        const bool ending_first = next_look.count() > 0 && (patience == kForEver || next_look < patience);
        const std::size_t count = read_numbers(numbers, ending_first ? next_look : patience);
        if (const int number = asked_to_end.exchange(0, memory_order_acq_rel)) wanted.on_end_asked(number);
        next_look = wanted.look_at_end();
        bool look = false;
        for (std::size_t i = 0; i < count; ++i) {
            if (numbers[i] == kEnd) return;
            if (numbers[i] != kDump) pass_on(numbers[i]);
            if (numbers[i] == SIGQUIT) wanted.on_dump(Reporter::kStandardError);
            else if (numbers[i] == kDump) serve_requests(wanted.on_dump);
            else look = true;
        }
        if (count == 0 && ending_first) continue;
        if (look) {
            unhandled.store(true, memory_order_release);
            wanted.look();
            patience = kFirstKick;
        } else if (!unhandled.load(memory_order_acquire) || patience > kLastKick) {
            patience = kForEver;
        } else if (count == 0) {
            if (kick.is_taken) pthread_kill(main_thread, kick.number);
            patience *= 2;
        }
    }
}

void close_pipe() {
    for (int& end : wake_up) {
        if (end >= 0) close(end);
        end = -1;
    }
}

bool open_pipe() {
    int ends[2] = {-1, -1};
    const bool opened = pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0;
    for (int i = 0; i < 2; ++i) wake_up[i] = as_own_descriptor(ends[i]);
    if (opened && wake_up[0] >= 0 && wake_up[1] >= 0) return true;
    close_pipe();
    return false;
}

// The thread of another process that hears of signals as ours does, or 0.
int find_watcher(int pid) {
    std::error_code error;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    for (std::filesystem::directory_iterator entry(tasks, error), end; !error && entry != end; entry.increment(error)) {
        char name[sizeof kThreadName] = {};
        const int fd = open((entry->path() / "comm").c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        const auto count = read(fd, name, sizeof name - 1);
        close(fd);
        if (count > 0 && std::strcmp(name, kThreadName) == 0) return std::atoi(entry->path().filename().c_str());
    }
    return 0;
}

// What a process that forked this one under its runtime has left here: its handlers, and a thread that is not in this
// process, so that it can be neither joined nor detached.
void forget_parent() {
    if (!watcher.joinable()) return;
    for (Taken* signal : {&interrupt, &terminate, &quit}) give_back(*signal, plain_action(on_signal, 0));
    give_back(kick, kick_action());
    static_cast<void>(new std::thread(std::move(watcher)));
}

bool has_system_default(int number) {
    struct sigaction current = {};
    return sigaction(number, nullptr, &current) == 0 && current.sa_handler == SIG_DFL;
}

}  // namespace

bool SignalWatch::install(Wanted wanted) {
    forget_parent();
    unhandled.store(false, memory_order_relaxed);
    impatient.store(false, memory_order_relaxed);
    got_terminate.store(false, memory_order_relaxed);
    asked_to_end.store(0, memory_order_relaxed);
    owner = getpid();
    main_thread = pthread_self();
    if (!open_pipe()) return false;
    kick.is_taken = false;
    if (has_system_default(kick.number)) take(kick, kick_action());
    const bool wants_interrupt = wanted.interrupt;
    const bool wants_terminate = wanted.terminate;
    const bool wants_quit = wanted.quit;
    try {
        watcher = std::thread([wanted = std::move(wanted)] { watch(wanted); });
    } catch (const std::exception&) {  // no thread, or no memory
        give_back(kick, kick_action());
        close_pipe();
        return false;
    }
    installed_ = true;
    program_wake_up.store(replace_wake_up_descriptor(wake_up[1]), memory_order_relaxed);
    listening.store(true, memory_order_relaxed);
    // SIGINT and SIGTERM must interrupt a blocking call, so that Python looks.
    if (wants_interrupt) take(interrupt, plain_action(on_signal, 0));
    if (wants_terminate) take(terminate, plain_action(on_signal, 0));
    if (wants_quit) take(quit, plain_action(on_signal, SA_RESTART));
    return true;
}

void SignalWatch::restore() noexcept {
    if (!installed_) return;
    installed_ = false;
    for (Taken* signal : {&interrupt, &terminate, &quit}) give_back(*signal, plain_action(on_signal, 0));
    listening.store(false, memory_order_relaxed);
    put_back_wake_up_descriptor(wake_up[1], program_wake_up.exchange(-1, memory_order_relaxed));
    tell_watcher(kEnd);
    watcher.join();
    give_back(kick, kick_action());
    close_pipe();
}

void SignalWatch::handled() noexcept { unhandled.store(false, memory_order_release); }

void SignalWatch::end_is_near() noexcept { impatient.store(true, memory_order_release); }

int SignalWatch::request_dump(int pid, int fd) {
    const int watcher_of_it = find_watcher(pid);
    if (watcher_of_it == 0) return ESRCH;
    siginfo_t info = {};
    info.si_signo = SIGURG;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = reinterpret_cast<void*>(kDumpMark << 32 | static_cast<unsigned>(fd));
    return syscall(SYS_rt_tgsigqueueinfo, pid, watcher_of_it, SIGURG, &info) == 0 ? 0 : errno;
}

int SignalWatch::wake_up_descriptor() noexcept { return listening.load(memory_order_relaxed) ? wake_up[1] : -1; }

int SignalWatch::pass_on_to(int descriptor) noexcept {
    return program_wake_up.exchange(descriptor, memory_order_relaxed);
}

void SignalWatch::note_termination() noexcept {
    got_terminate.store(true, memory_order_release);
    impatient.store(true, memory_order_release);
}

void SignalWatch::retake(int number) noexcept {
    const struct sigaction ours = plain_action(on_signal, 0);
    for (const Taken* signal : {&interrupt, &terminate}) {
        if (signal->number == number && signal->is_taken) sigaction(number, &ours, nullptr);
    }
}

unsigned SignalWatch::asked() noexcept { return asked_so_far.load(memory_order_acquire); }

bool SignalWatch::terminated() noexcept { return got_terminate.load(memory_order_acquire); }

}  // namespace smarm
