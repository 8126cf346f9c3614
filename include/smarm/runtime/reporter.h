// reporter.h: the thread that writes dumps and reports, so that nobody else waits for those who read them.
//
// What:    dump, deadlock and say leave a job and return at once; one thread does them, one after the other. Standard
//          error is written through a descriptor of its own that does not block, nobody else's writes are affected.
//          Text is made and written a piece at a time: memory is bounded, however many actors there are and however
//          slow the reader is.
// Patience: a reader that takes nothing for ten seconds, or for a fifth of a second once stop() was called, gets no
//           more.
// Crowd:   more than 64 jobs that wait are left out, and counted in a line.
// Life:    the thread is started by the first job and ends with stop(), which does what is left. Without memory or
//          threads a job is left out.
// Threads: any, with or without a thread state; stop: once, while nobody makes jobs. Blocks: stop, see Patience.
//          Throws: the constructor.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "smarm/sched/scheduler.h"

namespace smarm {

class Reporter {
public:
    // Borrows the scheduler. Throws bad_alloc.
    explicit Reporter(Scheduler& scheduler) : scheduler_(scheduler) {}
    ~Reporter() { stop(); }
    Reporter(const Reporter&) = delete;
    Reporter& operator=(const Reporter&) = delete;

    // Writes every actor to the descriptor, which it closes, or to standard error (kStandardError).
    static constexpr int kStandardError = -1;
    void dump(int descriptor) noexcept;
    // Writes the same and who waits for whom.
    void deadlock() noexcept;
    // Writes whole lines.
    void say(std::string text) noexcept;
    void stop() noexcept;
    // How many threads of the process are this one's.
    unsigned threads() const noexcept { return running_.load(std::memory_order_relaxed); }

private:
    enum class Kind : std::uint8_t { text, dump, deadlock };
    struct Job {
        Kind kind;
        int descriptor;
        std::string text;
    };
    void leave(Job job) noexcept;
    void run() noexcept;
    void work(const Job& job, std::size_t left_out);

    Scheduler& scheduler_;
    std::mutex mutex_;  // guards the rest
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    std::size_t left_out_ = 0;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
    std::atomic<unsigned> running_{0};
};

}  // namespace smarm
