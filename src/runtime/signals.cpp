#include "smarm/runtime/signals.h"

#include <csignal>
#include <semaphore.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "smarm/base/sync.h"

namespace smarm {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGQUIT};
constexpr unsigned kEnd = 1u << 31;  // not a signal: the watcher is to end

// Lock-free atomics and sem_post are what a signal handler may use. Release and acquire: the semaphore orders them anyway.
atomic<unsigned> pending{0};  // bit n: signal n has come and was not taken
atomic<bool> impatient{false};
atomic<bool> got_terminate{false};
sem_t arrived;
std::thread watcher;
struct sigaction previous[3];
bool taken[3];

void on_signal(int number) {
    if (number != SIGQUIT && impatient.load(memory_order_acquire)) _exit(128 + number);
    if (number == SIGTERM) {
        got_terminate.store(true, memory_order_release);
        impatient.store(true, memory_order_release);
    }
    pending.fetch_or(1u << number, memory_order_release);
    sem_post(&arrived);
}

void watch(const SignalWatch::Request& request) {
    for (;;) {
        while (sem_wait(&arrived) != 0) {}
        const unsigned now = pending.exchange(0, memory_order_acquire);
        if (now & kEnd) return;
        for (int number : kSignals)
            if (now & 1u << number) request(number);
    }
}

}  // namespace

bool SignalWatch::install(Wanted wanted, Request request) {
    const bool wants[] = {wanted.interrupt, wanted.terminate, wanted.quit};
    pending.store(0, memory_order_relaxed);
    impatient.store(false, memory_order_relaxed);
    got_terminate.store(false, memory_order_relaxed);
    sem_init(&arrived, 0, 0);
    try {
        watcher = std::thread([request = std::move(request)] { watch(request); });
    } catch (const std::system_error&) {
        sem_destroy(&arrived);
        return false;
    }
    installed_ = true;
    for (int i = 0; i < 3; ++i) {
        taken[i] = wants[i];
        struct sigaction ours = {};
        ours.sa_handler = on_signal;
        ours.sa_flags = SA_RESTART;
        sigemptyset(&ours.sa_mask);
        if (taken[i]) sigaction(kSignals[i], &ours, &previous[i]);
    }
    return true;
}

void SignalWatch::restore() noexcept {
    if (!installed_) return;
    installed_ = false;
    for (int i = 0; i < 3; ++i)
        if (taken[i]) sigaction(kSignals[i], &previous[i], nullptr);
    pending.fetch_or(kEnd, memory_order_release);
    sem_post(&arrived);
    watcher.join();
    sem_destroy(&arrived);
}

void SignalWatch::end_is_near() noexcept { impatient.store(true, memory_order_release); }

bool SignalWatch::terminated() noexcept { return got_terminate.load(memory_order_acquire); }

}  // namespace smarm
