#include "smarm/runtime/reporter.h"

#include <algorithm>
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

std::size_t Reporter::waiting() const noexcept {
    std::size_t jobs = 0;
    for (const Writer& writer : writers_) jobs += writer.jobs.size();
    return jobs;
}

// The guard is held: they have let go of it for good.
void Reporter::join_ended() noexcept {
    writers_.remove_if([](Writer& writer) {
        if (writer.over) writer.thread.join();
        return writer.over;
    });
}

// Throws, and has not taken it, without memory or threads.
void Reporter::give(Job job) {
    const bool lasts = job.descriptor == kStandardError;
    const auto fits = [lasts](const Writer& writer) { return lasts && writer.lasts; };
    auto writer = std::find_if(writers_.begin(), writers_.end(), fits);
    if (writer != writers_.end()) return writer->jobs.push_back(std::move(job));
    writer = writers_.emplace(writers_.end(), lasts);
    try {
        writer->jobs.push_back(std::move(job));
        writer->thread = std::thread([this, &made = *writer] { run(made); });
    } catch (const std::exception&) {
        writers_.erase(writer);
        throw;
    }
}

void Reporter::leave(Job job) noexcept {
    const int descriptor = job.descriptor;
    try {
        std::lock_guard guard(mutex_);
        const bool stopping = stopping_.load(std::memory_order_relaxed);
        if (!stopping) join_ended();
        if (stopping || writers_.size() + waiting() >= kMostJobs) {
            ++left_out_;
        } else {
            give(std::move(job));
            changed_.notify_all();
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
    changed_.notify_all();
    // Nobody else touches the list from here on.
    for (Writer& writer : writers_) writer.thread.join();
    writers_.clear();
}

unsigned Reporter::threads() noexcept {
    std::lock_guard guard(mutex_);
    if (!stopping_.load(std::memory_order_relaxed)) join_ended();
    return static_cast<unsigned>(writers_.size());
}

void Reporter::run(Writer& writer) noexcept {
    pthread_setname_np(pthread_self(), "smarm-reports");
    // Signals are for the threads of the program, and a reader that has gone is no reason to end it.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::unique_lock guard(mutex_);
    for (bool first = true; first || writer.lasts; first = false) {
        changed_.wait(guard, [&] { return !writer.jobs.empty() || stopping_.load(std::memory_order_relaxed); });
        if (writer.jobs.empty()) break;
        const Job job = std::move(writer.jobs.front());
        writer.jobs.pop_front();
        const std::size_t left_out = writer.lasts ? std::exchange(left_out_, 0) : 0;
        guard.unlock();
        try {
            work(job, left_out);
        } catch (const std::exception&) {  // no memory
        }
        if (job.descriptor != kStandardError) close(job.descriptor);
        guard.lock();
    }
    writer.over = true;
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
