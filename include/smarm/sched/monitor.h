// monitor.h: one thread that notices actors that keep their worker too long.
//
// What:    it looks at each busy worker: at the end of each time slice while an actor there needs that, else seldom.
//          When the same turn has lasted a slice and another actor could run, or a timer is due, it asks the worker's
//          rider to bring the actor to a safe point, where it is preempted. When the actor does not get there within
//          `stall_threshold` (C code that keeps the interpreter), although its thread computes or is blocked, it calls
//          on_stall once for that turn. When all workers sleep and nothing is left that could wake one, it calls
//          on_deadlock.
// Without time_slice it preempts nobody: the actor is asked to show that it hears (Worker::request_answer), all else is
// the same.
// Stacks:  now and then it asks a worker to give back the pages of parked stacks that ran deep (Worker::request_trim).
// Idle:    after a few looks at sleeping workers only it sleeps until a worker wakes: no CPU while nothing runs.
// Threads: start, stop: the scheduler's owner; note_busy: any worker. Blocks: stop joins the thread.
#pragma once

#include <cstdint>
#include <functional>
#include <semaphore>
#include <thread>

#include "smarm/base/clock.h"
#include "smarm/base/sync.h"

namespace smarm {

class Scheduler;
class Worker;

struct MonitorOptions {
    bool enabled = true;
    Duration time_slice = std::chrono::milliseconds(1);        // 0: no preemption
    Duration stall_threshold = std::chrono::milliseconds(50);  // 0: no watchdog
    // Runs on the monitor's thread: `worker` has been in one turn, deaf to requests, for `lasted`.
    std::function<void(Worker& worker, Duration lasted)> on_stall;
    // Likewise: every worker has come to sleep, and none waits for a timer or an event.
    std::function<void(Scheduler& scheduler)> on_deadlock;
};

class Monitor {
public:
    Monitor(Scheduler& scheduler, MonitorOptions options);
    ~Monitor() { stop(); }
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    // Starts the thread. False: the OS gives none.
    bool start() noexcept;
    void stop() noexcept;

    // A worker stops sleeping. Cheap while the monitor is awake.
    void note_busy() noexcept {
        // Seq_cst: pairs with run(), which sets the flag before it looks at the workers a last time.
        if (asleep_.load(memory_order_seq_cst) && asleep_.exchange(false, memory_order_seq_cst)) wake_.release();
    }

private:
    struct Turn;
    bool preempts() const noexcept { return options_.time_slice > Duration::zero(); }
    void run(Turn* turns) noexcept;
    Instant look_at(Worker& worker, Turn& turn, Instant now) noexcept;
    void ask(Worker& worker, Turn& turn, Instant now) noexcept;
    void ask_to_trim(Worker& worker, Turn& turn, Instant now) noexcept;
    void sleep_until_busy() noexcept;
    bool any_worker_awake() const noexcept;
    bool is_deadlocked() const noexcept;

    Scheduler& scheduler_;
    const MonitorOptions options_;
    std::counting_semaphore<> wake_{0};
    atomic<bool> asleep_{false};
    atomic<bool> stopping_{false};
    std::uint64_t deadlocked_at_ = ~std::uint64_t{0};  // the turns of all workers at the last report
    std::thread thread_;
};

}  // namespace smarm
