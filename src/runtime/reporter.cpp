#include "smarm/runtime/reporter.h"

#include <csignal>
#include <exception>
#include <pthread.h>
#include <unistd.h>
#include <utility>

#include "runtime/report_output.h"
#include "smarm/runtime/dump.h"

namespace smarm {
namespace {

constexpr std::size_t kMostJobs = 64;

}  // namespace

void Reporter::dump(int descriptor) noexcept { leave({Kind::dump, descriptor, {}}); }
void Reporter::deadlock() noexcept { leave({Kind::deadlock, kStandardError, {}}); }
void Reporter::say(std::string text) noexcept { leave({Kind::text, kStandardError, std::move(text)}); }

void Reporter::leave(Job job) noexcept {
    const int descriptor = job.descriptor;
    try {
        std::lock_guard guard(mutex_);
        if (stopping_.load(std::memory_order_relaxed) || jobs_.size() >= kMostJobs) {
            ++left_out_;
        } else {
            if (!thread_.joinable()) {
                thread_ = std::thread([this] { run(); });
                running_.store(1, std::memory_order_relaxed);
            }
            jobs_.push_back(std::move(job));
            changed_.notify_one();
            return;
        }
    } catch (const std::exception&) {  // no thread, or no memory: left out
    }
    if (descriptor != kStandardError) close(descriptor);
}

void Reporter::stop() noexcept {
    {
        std::lock_guard guard(mutex_);
        stopping_.store(true, std::memory_order_relaxed);
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
    running_.store(0, std::memory_order_relaxed);
}

void Reporter::run() noexcept {
    pthread_setname_np(pthread_self(), "smarm-reports");
    // Signals are for the threads of the program, and a reader that has gone is no reason to end it.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::unique_lock guard(mutex_);
    for (;;) {
        changed_.wait(guard, [this] { return !jobs_.empty() || stopping_.load(std::memory_order_relaxed); });
        if (jobs_.empty()) return;
        const Job job = std::move(jobs_.front());
        jobs_.pop_front();
        const std::size_t left_out = std::exchange(left_out_, 0);
        guard.unlock();
        try {
            work(job, left_out);
        } catch (const std::exception&) {  // no memory
        }
        if (job.descriptor != kStandardError) close(job.descriptor);
        guard.lock();
    }
}

void Reporter::work(const Job& job, std::size_t left_out) {
    const auto hurried = [](const void* stopping) {
        return static_cast<const std::atomic<bool>*>(stopping)->load(std::memory_order_relaxed);
    };
    Output output(job.descriptor == kStandardError ? STDERR_FILENO : job.descriptor, hurried, &stopping_);
    const auto write = [&output](const std::string& text) { return output.write(text); };
    if (left_out) write("smarm: " + std::to_string(left_out) + " reports were left out: nobody read them in time\n");
    switch (job.kind) {
        case Kind::text: write(job.text); break;
        case Kind::dump: dump_actors(scheduler_, write); break;
        case Kind::deadlock: report_deadlock(scheduler_, write); break;
    }
}

}  // namespace smarm
