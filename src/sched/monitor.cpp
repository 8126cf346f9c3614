#include "smarm/sched/monitor.h"

#include <algorithm>
#include <exception>
#include <memory>
#include <pthread.h>
#include <utility>

#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {
constexpr int kIdleLooks = 20;                                // of sleeping workers only, before the monitor sleeps
constexpr Duration kSlowLook = std::chrono::milliseconds(5);  // while nobody needs the monitor; never longer
constexpr Duration kAlert = std::chrono::milliseconds(100);   // how long a worker that needed it is looked at often
constexpr Duration kTrimPause = std::chrono::seconds(1);
}  // namespace

// What the monitor remembers of one worker's present turn.
struct Monitor::Turn {
    std::uint64_t number = 0;
    Instant since{};
    Instant asked{};      // when it was first asked to come to a safe point; the epoch: not yet
    Duration cpu_then{};  // the CPU time that its thread had used then
    Instant needed{};     // when an actor last kept the worker longer than it would have by its own allocations
    bool reported = false;
    std::uint64_t trimmed = 0;  // the turn up to which the worker's stacks have been looked at
    Instant trimmed_at{};
    int idle_looks = 0;  // in a row, at which it slept
};

Monitor::Monitor(Scheduler& scheduler, MonitorOptions options) : scheduler_(scheduler), options_(std::move(options)) {}

bool Monitor::start() noexcept {
    if (!options_.enabled) return true;
    try {
        thread_ = std::thread([this, turns = std::make_unique<Turn[]>(kMaxWorkers)] { run(turns.get()); });
        return true;
    } catch (const std::exception&) {  // no thread, or no memory
        return false;
    }
}

void Monitor::stop() noexcept {
    if (!thread_.joinable()) return;
    stopping_.store(true, memory_order_seq_cst);
    note_busy();
    thread_.join();
}

void Monitor::run(Turn* turns) noexcept {
    pthread_setname_np(pthread_self(), "smarm-monitor");
    int idle_looks = 0;
    while (!stopping_.load(memory_order_seq_cst)) {
        const Instant now = monotonic_now();
        bool busy = false;
        Instant next_look = now + kSlowLook;
        for (unsigned i = 0; i < scheduler_.workers(); ++i) {
            Worker* worker = scheduler_.worker(i);
            if (!worker) continue;
            ask_to_trim(*worker, turns[i], now);
            if (worker->sleeping()) continue;
            busy = true;
            next_look = std::min(next_look, look_at(*worker, turns[i], now));
        }
        if (busy) {
            idle_looks = 0;
        } else if (++idle_looks >= kIdleLooks) {
            sleep_until_busy();
            idle_looks = 0;
            continue;
        }
        std::this_thread::sleep_for(next_look - now);
    }
}

void Monitor::sleep_until_busy() noexcept {
    asleep_.store(true, memory_order_seq_cst);
    // Whoever clears the flag decides: a worker releases the semaphore, we do not.
    const bool stay_awake = stopping_.load(memory_order_seq_cst) || any_worker_awake();
    if (!stay_awake && options_.on_deadlock && is_deadlocked()) {
        std::uint64_t turns = 0;
        for (unsigned i = 0; i < scheduler_.workers(); ++i) {
            if (Worker* worker = scheduler_.worker(i)) turns += worker->turn();
        }
        // A worker may wake and find nothing: that is the same deadlock.
        if (std::exchange(deadlocked_at_, turns) != turns) options_.on_deadlock(scheduler_);
    }
    if (!stay_awake || !asleep_.exchange(false, memory_order_seq_cst)) wake_.acquire();
}

bool Monitor::any_worker_awake() const noexcept {
    for (unsigned i = 0; i < scheduler_.workers(); ++i) {
        Worker* worker = scheduler_.worker(i);
        if (worker && !worker->sleeping()) return true;
    }
    return false;
}

// Looked at while every worker slept; if one woke meanwhile, it had a reason, and this says false or is asked again
// later.
bool Monitor::is_deadlocked() const noexcept {
    if (scheduler_.has_unstarted() || scheduler_.stopping()) return false;
    for (unsigned i = 0; i < scheduler_.workers(); ++i) {
        Worker* worker = scheduler_.worker(i);
        if (worker && (worker->has_waiting_work() || worker->has_timer())) return false;
    }
    return !any_worker_awake();
}

// Stacks that ran deep give their pages back: when their worker has come to rest, and once a second when it does not.
void Monitor::ask_to_trim(Worker& worker, Turn& turn, Instant now) noexcept {
    if (turn.trimmed_at == Instant{}) turn.trimmed_at = now;
    turn.idle_looks = worker.sleeping() ? turn.idle_looks + 1 : 0;
    if (worker.turn() == turn.trimmed || (turn.idle_looks != kIdleLooks / 2 && now - turn.trimmed_at < kTrimPause))
        return;
    turn.trimmed = worker.turn();
    turn.trimmed_at = now;
    worker.request_trim();
}

// Returns when to look again. Actors that allocate give way by themselves (Worker::look_at_slice), and each look takes
// time from somebody: one that nobody needs comes seldom, or soon after a timer.
Instant Monitor::look_at(Worker& worker, Turn& turn, Instant now) noexcept {
    worker.note_time(now);
    const std::uint64_t number = worker.turn();
    const bool same = number == turn.number && worker.is_running_actor();
    if (!same) {
        turn.number = number;
        turn.since = std::min(now, worker.slice_start(number).value_or(now));
        turn.asked = {};
        turn.reported = false;
    }
    // Without preemption it looks whether actors would hear it, when others wait.
    const Duration slice = preempts() ? options_.time_slice : kSlowLook;
    const Duration patience = slice + slice / 16;
    const bool used_up = worker.is_running_actor() && now - turn.since >= patience;
    if (worker.timer_due(now) || (used_up && worker.has_waiting_work())) {
        if (used_up || worker.timer_due(now - slice / 8)) turn.needed = now;
        ask(worker, turn, now);
    }
    if (worker.live_count() < 2) return Instant::max();
    if (now - turn.needed >= kAlert) return std::clamp(worker.next_timer(), now, now + kSlowLook) + slice / 4;
    const Instant end = (used_up ? now : turn.since) + patience;
    return std::clamp(std::min(end, worker.next_timer()), now + slice / 2, now + patience);
}

void Monitor::ask(Worker& worker, Turn& turn, Instant now) noexcept {
    const bool watches = options_.stall_threshold > Duration::zero();
    if (preempts()) {
        worker.request_preemption(turn.number);
    } else if (watches) {
        // An actor that has heard it stays in its turn.
        if (worker.has_answered()) turn.asked = {};
        worker.request_answer();
    }
    if (!watches) return;
    if (turn.asked == Instant{}) {
        turn.asked = now;
        turn.cpu_then = worker.thread().cpu_time();
    }
    if (turn.reported || now - turn.asked < options_.stall_threshold) return;
    // A thread that the machine gives no time does not get to a safe point either; that is no fault of its actor.
    const Duration used = worker.thread().cpu_time() - turn.cpu_then;
    if (used < options_.stall_threshold / 2 && !worker.thread().is_blocked()) return;
    turn.reported = true;
    if (options_.on_stall) options_.on_stall(worker, now - turn.since);
}

}  // namespace smarm
