// reporter.h: the threads that write dumps and reports, so that nobody else waits for those who read them.
//
// What:    dump, deadlock and say leave a job and return at once. What goes to standard error is done by one thread, a
//          job after the other; every other descriptor has a thread to itself, so that readers do not wait for each
//          other. Standard error is written through a descriptor of its own that does not block, nobody else's writes
//          are affected. Text is made and written a piece at a time: memory is bounded, however many actors there are
//          and however slow the reader is.
// Patience: a reader that takes nothing for ten seconds, or for a fifth of a second once stop() was called, gets no
//           more.
// Crowd:   more than 64 jobs are left out, and counted in a line.
// Life:    standard error's thread is started by its first job and ends with stop(), which does what is left; the
//          others end with their job. Without memory or threads a job is left out.
// Threads: any, with or without a thread state; stop: once, jobs that come then are left out. Blocks: stop, see
//          Patience. Throws: the constructor.
#pragma once

#include <condition_variable>
#include <deque>
#include <list>
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
    unsigned threads() noexcept;

private:
    enum class Kind : std::uint8_t { text, dump, deadlock };
    struct Job {
        Kind kind;
        int descriptor;
        std::string text;
    };
    // A thread, and what it has to do.
    struct Writer {
        explicit Writer(bool it_lasts) : lasts(it_lasts) {}
        const bool lasts;  // standard error's
        std::deque<Job> jobs;
        std::thread thread;
        bool over = false;
    };
    void leave(Job job) noexcept;
    void give(Job job);
    std::size_t waiting() const noexcept;
    void join_ended() noexcept;
    void run(Writer& writer) noexcept;
    void work(const Job& job, std::size_t left_out);

    Scheduler& scheduler_;
    std::mutex mutex_;  // guards the rest
    std::condition_variable changed_;
    std::list<Writer> writers_;
    std::size_t left_out_ = 0;
    std::atomic<bool> stopping_{false};
};

}  // namespace smarm
