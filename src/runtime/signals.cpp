#include "smarm/runtime/signals.h"

#include <csignal>
#include <cstdlib>
#include <semaphore.h>
#include <thread>
#include <unistd.h>

#include "smarm/base/sync.h"

namespace smarm {
namespace {

// Lock-free atomics and sem_post are what a signal handler may use.
atomic<int> first_signal{0};
atomic<bool> ending{false};
sem_t arrived;
struct sigaction previous_interrupt;
struct sigaction previous_terminate;
bool took_interrupt = false;
bool took_terminate = false;
std::thread watcher;

void on_signal(int number) {
    int none = 0;
    if (first_signal.compare_exchange_strong(none, number, memory_order_acq_rel)) {
        sem_post(&arrived);
        return;
    }
    _exit(128 + number);  // asked twice: at once, without cleaning up
}

void take(int number, struct sigaction& previous) {
    struct sigaction ours = {};
    ours.sa_handler = on_signal;
    sigemptyset(&ours.sa_mask);
    sigaction(number, &ours, &previous);
}

}  // namespace

void SignalWatch::install(bool interrupt, bool terminate, Request request) {
    if (!interrupt && !terminate) return;
    first_signal.store(0, memory_order_relaxed);
    ending.store(false, memory_order_relaxed);
    sem_init(&arrived, 0, 0);
    watcher = std::thread([request = std::move(request)] {
        while (sem_wait(&arrived) != 0) {}
        if (!ending.load(memory_order_acquire)) request(first_signal.load(memory_order_acquire));
    });
    took_interrupt = interrupt;
    took_terminate = terminate;
    if (interrupt) take(SIGINT, previous_interrupt);
    if (terminate) take(SIGTERM, previous_terminate);
    installed_ = true;
}

void SignalWatch::restore() noexcept {
    if (!installed_) return;
    installed_ = false;
    if (took_interrupt) sigaction(SIGINT, &previous_interrupt, nullptr);
    if (took_terminate) sigaction(SIGTERM, &previous_terminate, nullptr);
    ending.store(true, memory_order_release);
    sem_post(&arrived);
    watcher.join();
    sem_destroy(&arrived);
}

void SignalWatch::forget() noexcept { first_signal.store(0, memory_order_release); }

int SignalWatch::received() noexcept { return first_signal.load(memory_order_acquire); }

}  // namespace smarm
