#include "smarm/sched/scheduler.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <pthread.h>
#include <string>
#include <system_error>

#include "smarm/sched/delivery.h"
#include "smarm/sched/signals.h"

namespace smarm {
namespace {
constexpr std::chrono::milliseconds kLook{20};  // how often it is looked whether workers come forward

class NewThread final : public WorkerThread {
public:
    explicit NewThread(std::function<void()> body) : thread_(std::move(body)) {}
    void join() override { thread_.join(); }
    void detach() override { thread_.detach(); }

private:
    thread thread_;
};

}  // namespace

Scheduler::Scheduler(SchedulerOptions options)
    : options_(std::move(options)),
      worker_count_(options_.workers),
      table_(options_.limits, options_.simulation != nullptr),
      monitor_(*this, options_.monitor) {
    SMARM_ASSERT(options_.workers >= 1 && options_.workers <= kMaxWorkers, "the number of workers was not checked");
    if (!options_.start_thread)
        options_.start_thread = [](std::function<void()> body) { return std::make_unique<NewThread>(std::move(body)); };
    if (!options_.enter_worker) options_.enter_worker = [](Worker& worker) { worker.run(); };
}

Scheduler::~Scheduler() {
    while (!shared_.empty()) {
        std::unique_ptr<Actor> actor(&shared_.pop());
        actor->cancelled(false);
        for_each_post(table_.settle(*actor, 0), [this](Post& post) { post.nobody(*this); });
        table_.release(*actor);
    }
    SMARM_ASSERT(!stuck_, "a scheduler with a stuck worker must not be destroyed");
    for (auto& worker : workers_) delete worker.load(memory_order_relaxed);
}

// ---- actors ---------------------------------------------------------------------------------------------------------

Pid Scheduler::spawn(std::unique_ptr<Actor>& actor, Place place, unsigned worker_index,
                     const std::function<void(Actor&)>& before_start, Allocated* allocated) {
    Allocated ignored{};
    Allocated& answer = allocated ? *allocated : ignored;
    answer = Allocated::no_memory;
    if (stopping()) return {};
    Worker* worker = nullptr;
    if (place == Place::local) worker = this_worker();
    if (place == Place::spread) worker_index = next_in_turn();
    if (place == Place::spread || place == Place::on_worker) {
        worker = ensure_worker(worker_index);
        if (!worker) return {};
    }
    answer = table_.allocate(*actor, worker ? static_cast<int>(worker->index()) : ActorTable::kUnstarted);
    if (answer != Allocated::yes) return {};
    if (before_start) {
        try {
            before_start(*actor);
        } catch (const std::bad_alloc&) {
            MpscNode* early = worker ? nullptr : table_.settle(*actor, 0);
            table_.release(*actor);
            for_each_post(early, [this](Post& post) { post.nobody(*this); });
            answer = Allocated::no_memory;
            return {};
        }
    }
    Actor& spawned = *actor.release();
    spawned.become(Worker::kActorPost);
    const Pid pid = spawned.pid;
    if (worker) {
        if (worker == this_worker()) worker->adopt(spawned);
        else worker->post(spawned);
        return pid;
    }
    share(spawned);
    return pid;
}

void Scheduler::end_stranded(Actor& actor) noexcept {
    switch (actor.state.load(memory_order_relaxed)) {
        case ActorState::unstarted:
            actor.exit_reason = ExitReason::plain(ExitKind::killed);
            actor.cancelled(false);
            table_.release(actor);
            if (actor.registered.load(memory_order_acquire)) registry_.drop_all(actor.pid);
            if (this_worker()) announce_end(actor);
            delete &actor;
            break;
        case ActorState::dead: delete &actor; break;
        default: break;  // given up by its worker: it stays where it is
    }
}

void Scheduler::count_dead_letters(Pid target, DeadLetter why, std::uint64_t count) noexcept {
    dead_letters_.fetch_add(count, memory_order_relaxed);
    const std::uint64_t limit = options_.dead_letter_reports;
    if (why == DeadLetter::discarded || stopping() || dead_letter_reports_.load(memory_order_relaxed) >= limit) return;
    const std::uint64_t number = dead_letter_reports_.fetch_add(1, memory_order_relaxed) + 1;
    if (number > limit) return;
    Actor* sender = why == DeadLetter::unread ? nullptr : this_actor();
    options_.report_dead_letters({why, sender ? sender->pid : Pid{}, target, count, number == limit});
}

Sent Scheduler::send(Pid pid, OwnedParcel& parcel) noexcept {
    if (!table_.reserve(pid, *parcel)) return Sent::full;
    parcel->target = pid.bits();
    parcel->become(kLetter);
    const Actor* sender = this_actor();
    if (!route(pid, *parcel, sender ? sender->pid : Pid{})) return Sent::nobody;
    parcel.release();
    return Sent::yes;
}

bool Scheduler::route(Pid to, Post& post, Pid from, bool urgent) noexcept {
    for (;;) {
        const int home = table_.find_home(to);
        if (home == ActorTable::kNobody) return false;
        if (home >= 0) {
            Worker& target = *worker(static_cast<unsigned>(home));
            target.post(post, from, to);
            if (urgent && &target != this_worker()) target.request_attention();
            return true;
        }
        if (table_.post_early(to, post)) return true;
    }
}

// ---- workers --------------------------------------------------------------------------------------------------------

Worker* Scheduler::ensure_worker(unsigned index) noexcept {
    if (Worker* existing = worker(index)) return existing;
    std::lock_guard guard(start_mutex_);
    if (Worker* existing = worker(index)) return existing;
    if (index != 0 && stopping()) return nullptr;
    try {
        auto driver = options_.make_driver();
        if (!driver) return nullptr;
        auto fresh = std::make_unique<Worker>(*this, index, std::move(driver), options_.stacks);
        if (index != 0) {
            threads_.reserve(threads_.size() + 1);  // a thread that has begun must not be lost
            threads_.push_back(options_.start_thread([this, &mine = *fresh] { thread_main(mine); }));
        }
        // Release pairs with the acquire in worker(): others see a constructed Worker.
        workers_[index].store(fresh.get(), memory_order_release);
        started_.fetch_add(1, memory_order_relaxed);
        return fresh.release();
    } catch (const std::exception&) {
        return nullptr;
    }
}

void Scheduler::thread_main(Worker& mine) noexcept {
    pthread_setname_np(pthread_self(), ("smarm-worker" + std::to_string(mine.index())).c_str());
    { std::lock_guard guard(start_mutex_); }  // until ensure_worker has published this worker
    if (stopping()) mine.request_stop();
    options_.enter_worker(mine);
    std::lock_guard guard(start_mutex_);
    ++ended_;
    workers_ended_.notify_all();
}

void Scheduler::run_main() noexcept {
    Worker* main = ensure_worker(0);
    SMARM_ASSERT(main, "run_main needs worker 0: call ensure_worker(0) first and check it");
    monitor_.start();  // without a thread for it actors are not preempted; they still run
    main->run();
    // Others may need this worker's interpreter to end theirs.
    if (main->rider()) main->rider()->before_wait();
    join_workers();
    monitor_.stop();
    if (main->rider()) main->rider()->after_wait();
}

std::uint64_t Scheduler::finished_actors() const noexcept {
    std::uint64_t finished = 0;
    for (unsigned i = 0; i < workers(); ++i) {
        if (const Worker* it = worker(i)) finished += it->counters().finished.load(memory_order_relaxed);
    }
    return finished;
}

// Waits for the other workers, but not for one whose actor neither parks nor reaches a safe point. Workers that are
// past run() are waited for however long it takes: they end their interpreters, with the threads that the program
// started there.
void Scheduler::join_workers() noexcept {
    std::unique_lock guard(start_mutex_);
    const auto all_but = [this](std::size_t left) { return ended_ + left == threads_.size(); };
    // A worker without actors is gone at once; a short time or none at all is meant for actors, not for its thread. A
    // worker that runs gives actors up by itself: what is waited for here is longer.
    Patience patience;
    patience.begin(monotonic_now(),
                   std::max<Duration>(options_.stop_timeout + options_.stop_timeout / 4, std::chrono::seconds(1)),
                   finished_actors());
    while (!patience.over(monotonic_now(), finished_actors()) &&
           !workers_ended_.wait_until(guard, deadline_after(monotonic_now(), kLook), [&] { return all_but(0); })) {}
    std::size_t left = 0;
    for (unsigned i = 1; i < workers(); ++i) {
        Worker* it = worker(i);
        if (!it || !it->leave_behind()) continue;
        ++left;
        count_abandoned(it->live_count());
    }
    workers_ended_.wait(guard, [&] { return all_but(left); });
    stuck_ = left != 0;
    std::vector<std::unique_ptr<WorkerThread>> threads = std::move(threads_);
    threads_.clear();
    guard.unlock();
    for (auto& thread : threads) {
        if (stuck_) thread->detach();
        else thread->join();
    }
}

bool Scheduler::reconfigure(unsigned workers, Duration stop_timeout, Duration spin_limit) noexcept {
    std::lock_guard guard(start_mutex_);
    if (started_workers() > 1) return false;
    worker_count_.store(workers, memory_order_relaxed);
    options_.stop_timeout = stop_timeout;
    options_.spin_limit = spin_limit;
    return true;
}

void Scheduler::stop() noexcept {
    // Release pairs with the acquire in stopping().
    if (stopping_.exchange(true, memory_order_acq_rel)) return;
    std::lock_guard guard(start_mutex_);
    for (unsigned i = 0; i < workers(); ++i) {
        if (Worker* it = worker(i)) it->request_stop();
    }
}

}  // namespace smarm
