#include "smarm/runtime/end_watch.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <unistd.h>

#include "runtime/report_output.h"
#include "smarm/runtime/dump.h"
#include "smarm/runtime/signals.h"

namespace smarm {
namespace {

constexpr std::chrono::milliseconds kPause{20};

}  // namespace

void EndWatch::asked(int number) noexcept {
    number_ = number;
    asked_at_ = monotonic_now();
    enter(Step::asked, asked_at_);
}

void EndWatch::told() noexcept { told_.store(SignalWatch::asked(), memory_order_release); }

void EndWatch::main_ended(bool as_asked) noexcept { ended_as_asked_.store(as_asked, memory_order_release); }

void EndWatch::enter(Step step, Instant now) noexcept {
    step_ = step;
    // While stopping, workers and then Scheduler::join_workers lose their patience before.
    const Duration more = std::max<Duration>(timeout(), std::chrono::seconds(1));
    patience_.begin(now, step == Step::stopping ? timeout() + more : timeout(), progress());
}

// Until the main actor has ended the main lane must come forward, afterwards anybody.
std::uint64_t EndWatch::progress() const noexcept {
    return step_ == Step::stopping ? scheduler_.finished_actors() : scheduler_.worker(0)->turn();
}

std::chrono::milliseconds EndWatch::look() noexcept {
    if (step_ == Step::quiet) return {};
    const Instant now = monotonic_now();
    if (step_ == Step::asked && scheduler_.stopping()) {
        if (number_ == SIGTERM || ended_as_asked_.load(memory_order_acquire)) enter(Step::stopping, now);
        else step_ = Step::quiet;
    }
    const bool told = told_.load(memory_order_acquire) == SignalWatch::asked();
    const bool handled = number_ == SIGINT && step_ == Step::asked && told;
    const bool too_late = now >= deadline_after(asked_at_, timeout() * Patience::kMost);
    if (step_ != Step::quiet && !handled && (patience_.over(now, progress()) || too_late)) end_process(now);
    return step_ == Step::quiet ? std::chrono::milliseconds{} : kPause;
}

void EndWatch::end_process(Instant now) noexcept {
    try {
        char line[160];
        std::snprintf(line, sizeof line,
                      "smarm: SIG%s came %.1f s ago, and the program does not end: it is ended now. What is left:\n",
                      sigabbrev_np(number_), std::chrono::duration<double>(now - asked_at_).count());
        Output output(STDERR_FILENO, [](const void*) { return true; }, nullptr);
        const std::string left = describe_left(scheduler_);
        output.write(line + (left.empty() ? "  no actor: a finaliser, or output that nobody reads\n" : left));
    } catch (const std::exception&) {  // no memory: without a word
    }
    _exit(128 + number_);
}

}  // namespace smarm
