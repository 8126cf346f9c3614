// scheduler.h: the workers, the actors and the queue of actors that have no worker yet.
//
// What:    spawn() places an actor: on the caller's worker, on a given worker, or in the shared queue, from which
//          workers that run out of work take actors that have never run. A started actor never moves.
// Workers: index 0 is run by the caller of run_main() on its own OS thread; the others are OS threads started when they
//          are first needed (something is in the shared queue and nobody is idle, or on=index names them).
// Stop:    (1) stop() refuses new actors; (2) every worker asks its actors to exit, side by side with the others, and
//          again three times within stop_timeout; (3) a worker without actors ends its run(); (4) run_main joins the
//          other threads. When none has ended for stop_timeout, or after four times that (Patience), the rest is given
//          up and counted in abandoned().
// Threads: spawn, send, stop, statistics: any. run_main: once.
// Errors:  spawn returns a null Pid when stopping or out of memory; the actor is then destroyed by the caller's
//          unique_ptr.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "smarm/actor/actor_table.h"
#include "smarm/actor/registry.h"
#include "smarm/sched/monitor.h"
#include "smarm/sched/worker.h"

namespace smarm {

inline constexpr unsigned kMaxWorkers = 256;

// Why a message reached nobody. discarded: its actor was asked to end before it read it; that is no news.
enum class DeadLetter : std::uint8_t { nobody, unread, discarded, full, no_memory };

// One report of dead letters. `from` is the running actor, null when they were under way.
struct DeadLetterReport {
    DeadLetter why;
    Pid from;
    Pid target;
    std::uint64_t count;
    bool last;  // the next ones are only counted
};

// The OS thread of one worker of one run. A thread that outlasts the run is free for another worker once joined.
class WorkerThread {
public:
    virtual ~WorkerThread() = default;
    // Waits until what it was started with has returned. It, or detach, is called once.
    virtual void join() = 0;
    // Nobody will wait for it: its worker is stuck.
    virtual void detach() = 0;
};

struct SchedulerOptions {
    unsigned workers = 1;  // 1..kMaxWorkers, the caller's thread included
    StackPoolOptions stacks;
    ActorLimits limits;
    MonitorOptions monitor;
    Duration stop_timeout = std::chrono::seconds(5);      // without an actor that ends, until they are given up
    Duration spin_limit = std::chrono::microseconds(50);  // longest spin before a worker sleeps; 0: none
    // How long an actor may compute on when something is requested of it; Duration::max(): until its next point.
    Duration interrupt_after = std::chrono::milliseconds(100);
    Duration kill_patience =
        std::chrono::seconds(5);       // the same for what it does to end, and where it cannot be interrupted
    Simulation* simulation = nullptr;  // borrowed; then one worker, no monitor and no spinning
    std::function<std::unique_ptr<Driver>()> make_driver;              // required
    std::uint64_t dead_letter_reports = 0;                             // so many; none once it stops
    std::function<void(const DeadLetterReport&)> report_dead_letters;  // any worker's thread; must not park
    // Runs `body` on an OS thread for a worker; may throw std::system_error and bad_alloc. Default: on a new thread.
    std::function<std::unique_ptr<WorkerThread>(std::function<void()> body)> start_thread;
    // Runs on the OS thread of workers 1..; must call worker.run() (or worker.refuse()) once. Default: run().
    std::function<void(Worker&)> enter_worker;
};

// What became of a message: full says that the mailbox's limit refuses it, nobody that the pid is stale.
enum class Sent : std::uint8_t { yes, full, nobody };

class Scheduler {
public:
    // shared: on the first worker that has time for it; spread: on each worker in turn.
    enum class Place : std::uint8_t { local, shared, spread, on_worker };

    explicit Scheduler(SchedulerOptions options);
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    // As the run began: reconfigure changes `workers`, stop_timeout and spin_limit, see there.
    const SchedulerOptions& options() const noexcept { return options_; }
    // How many there may be. Relaxed: an index below it says nothing, worker() tells whether there is one.
    unsigned workers() const noexcept { return worker_count_.load(memory_order_relaxed); }
    ActorTable& table() noexcept { return table_; }
    Monitor& monitor() noexcept { return monitor_; }
    Registry& registry() noexcept { return registry_; }

    // Gives the actor a pid and a place, and returns the pid; null: stopping, or refused (the actor stays the
    // caller's), for the reason that `allocated` is then set to. before_start, if given, is called when the actor has
    // its pid and cannot run yet.
    Pid spawn(std::unique_ptr<Actor>& actor, Place place, unsigned worker_index = 0,
              const std::function<void(Actor&)>& before_start = {}, Allocated* allocated = nullptr);
    // Sends an encoded message. Unless it is sent, the parcel is still the caller's.
    Sent send(Pid pid, OwnedParcel& parcel) noexcept;
    // Brings the post to the worker of actor `to`, or to where it waits for one. False: nobody has that pid, and the
    // post is still the caller's. `urgent`: an actor that runs there is brought to a safe point, to let it in.
    bool route(Pid to, Post& post, Pid from, bool urgent = false) noexcept;

    // Runs worker 0 on the calling thread until stop() and the end of all actors; joins the other workers.
    void run_main() noexcept;
    void stop() noexcept;
    bool stopping() const noexcept { return stopping_.load(memory_order_acquire); }

    // Changes these options while worker 0 is the only one that has been started, on its thread. False: too late.
    // SAFETY: others may run meanwhile, the monitor and threads with a portal: they read workers() only, which is
    //         atomic. The two durations are read by workers: by this thread, and by those whose threads are made after
    //         this, under the same lock.
    bool reconfigure(unsigned workers, Duration stop_timeout, Duration spin_limit) noexcept;

    // The worker, started if need be; nullptr when the OS gives no thread. index must be below workers().
    Worker* ensure_worker(unsigned index) noexcept;
    // The worker if it has been started.
    Worker* worker(unsigned index) const noexcept { return workers_[index].load(memory_order_acquire); }
    unsigned started_workers() const noexcept { return started_.load(memory_order_relaxed); }
    // A worker did not end in time and still runs: the scheduler must be leaked, the process should end soon.
    bool stuck() const noexcept { return stuck_; }
    // How many actors of all workers have ended: it changes as long as a shutdown comes forward.
    std::uint64_t finished_actors() const noexcept;
    std::size_t abandoned() const noexcept { return abandoned_.load(memory_order_relaxed); }

    // Counts messages to `target` that reach nobody, and reports it if there were few reports yet.
    void count_dead_letters(Pid target, DeadLetter why, std::uint64_t count = 1) noexcept;
    std::uint64_t dead_letters() const noexcept { return dead_letters_.load(memory_order_relaxed); }
    // Messages that their receivers could not decode. Counts one more; true for the first.
    bool count_undecoded() noexcept { return undecoded_.fetch_add(1, memory_order_relaxed) == 0; }
    std::uint64_t undecoded() const noexcept { return undecoded_.load(memory_order_relaxed); }

    // ---- for workers ---------------------------------------------------------------------------------------------
    // Whether the shared queue has actors.
    bool has_unstarted() const noexcept { return unstarted_count() != 0; }
    // Changes whenever the shared queue does; 0: nothing has ever been in it.
    std::uint64_t unstarted() const noexcept { return unstarted_.load(memory_order_seq_cst); }
    // Whether a started worker has fewer actors that compute, as of when it last looked for new ones.
    bool has_worker_computing_less_than(std::size_t actors) const noexcept;
    // Until when `taker` leaves the oldest actor of the shared queue to workers that have fewer of its actors, which
    // are awake or are woken. In the past: it takes it now.
    Instant left_to_others_until(const Worker& taker) noexcept;
    // Makes every worker look for work again.
    void nudge_all() noexcept;
    // Takes the oldest actor of the shared queue and settles it on `worker`. False: there was none.
    bool take_unstarted(Worker& worker) noexcept;
    void note_idle(bool idle) noexcept { idle_.fetch_add(idle ? 1 : -1, memory_order_seq_cst); }
    // An actor on the way to a worker whose run has ended.
    void end_stranded(Actor& actor) noexcept;
    void count_abandoned(std::size_t actors) noexcept { abandoned_.fetch_add(actors, memory_order_relaxed); }

private:
    void share(Actor& actor) noexcept;
    unsigned next_in_turn() noexcept;
    void find_runner() noexcept;
    std::size_t unstarted_count() const noexcept { return static_cast<std::uint32_t>(unstarted()); }
    void thread_main(Worker& mine) noexcept;
    void join_workers() noexcept;

    SchedulerOptions options_;
    atomic<unsigned> worker_count_;
    ActorTable table_;
    Registry registry_;
    atomic<Worker*> workers_[kMaxWorkers] = {};
    mutex start_mutex_;  // guards the four below and the starting of workers
    condition_variable workers_ended_;
    std::vector<std::unique_ptr<WorkerThread>> threads_;
    std::size_t ended_ = 0;  // threads of threads_ that are past enter_worker
    bool stuck_ = false;
    atomic<unsigned> started_{0};
    atomic<int> idle_{0};

    Monitor monitor_;

    SpinLock shared_lock_;  // guards shared_
    RunQueue shared_;
    // Low half: how many are in shared_; high half: how many have come, so that two looks that see the same saw no
    // change.
    atomic<std::uint64_t> unstarted_{0};
    atomic<std::uint64_t> turns_{0};

    atomic<bool> stopping_{false};
    atomic<std::size_t> abandoned_{0};
    atomic<std::uint64_t> dead_letters_{0};
    atomic<std::uint64_t> undecoded_{0};
    atomic<std::uint64_t> dead_letter_reports_{0};
};

}  // namespace smarm
