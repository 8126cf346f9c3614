// The worker's loop and its switches. Numbered shutdown: see Scheduler in sched/scheduler.h.
#include "smarm/sched/worker.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include <unistd.h>

#include "smarm/sched/cancel_scope.h"
#include "smarm/sched/scheduler.h"
#include "smarm/sched/simulation.h"

namespace smarm {

namespace detail {
constinit thread_local Worker* this_worker __attribute__((tls_model("initial-exec"))) = nullptr;
}

namespace {
// Every so many passes of the worker's own context the driver is polled and the shared queue served even though local
// actors are ready.
constexpr std::uint32_t kPassesPerPoll = 16;
constexpr int kStopTries = 3;  // within a stop timeout
}  // namespace

Worker::Worker(Scheduler& scheduler, unsigned index, std::unique_ptr<Driver> driver, const StackPoolOptions& stacks)
    : simulation_(scheduler.options().simulation),
      scheduler_(scheduler),
      index_(index),
      driver_(std::move(driver)),
      stacks_(stacks),
      timers_(driver_->now()),
      idle_(scheduler.options().spin_limit),
      random_(index + 1) {
    note_time(driver_->now());
}

std::uint32_t Worker::random() noexcept {
    if (simulation_) return simulation_->random_number();
    random_ ^= random_ << 13;  // xorshift (G. Marsaglia, 2003)
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    return random_;
}

Worker::~Worker() { close_inbox(); }

// From now on every post reaches nobody, as those that are there.
void Worker::close_inbox() noexcept {
    for_each_post(inbox_.close(), [this](Post& post) { post.nobody(scheduler_); });
}

// ---- switching -----------------------------------------------------------------------------------------------------

void Worker::switch_away(Actor& from) noexcept {
    charge(from);
    Actor* next = order_.front();
    if (next && --switch_budget_ > 0 && inbox_.empty() && next->stack) {
        order_.pop();
        next->state.store(ActorState::running, memory_order_relaxed);
        if (next == &from) return;
        set_current(next);
        WorkerCounters::add(counters_.switches);
        if (rider_) rider_->switch_to(next->rider_state);
        switch_context(from.context, next->context);
        return;
    }
    set_current(nullptr);
    if (rider_) rider_->switch_to(nullptr);
    switch_context(from.context, own_context_);
}

Parked Worker::park(WaitReason reason, Instant deadline) noexcept {
    Actor& actor = *current();
    if (__builtin_expect(actor.requests.any(), 0) && is_deliverable(actor)) return {.requested = true};
    actor.wait_reason.store(reason, memory_order_relaxed);
    actor.parked_since.store(recent_.load(memory_order_relaxed), memory_order_relaxed);
    actor.state.store(ActorState::parked, memory_order_relaxed);
    Parked parked;
    if (deadline == kNever) switch_away(actor);
    else parked.timed_out = park_until(actor, deadline);
    actor.wait_reason.store(WaitReason::none, memory_order_relaxed);
    parked.requested = __builtin_expect(actor.requests.any(), 0) && is_deliverable(actor);
    return parked;
}

struct Worker::ParkTimer : TimerNode {
    ParkTimer(Worker& its_worker, Actor& its_actor) noexcept : TimerNode(fire), worker(its_worker), actor(its_actor) {}
    static void fire(TimerNode& node) {
        auto& timer = static_cast<ParkTimer&>(node);
        timer.fired = true;
        timer.worker.wake(timer.actor);
    }
    Worker& worker;
    Actor& actor;
    bool fired = false;
};

// Not inlined: only timed parks pay for the timer's room on the stack.
[[gnu::noinline]] bool Worker::park_until(Actor& actor, Instant deadline) noexcept {
    ParkTimer timer(*this, actor);
    arm_timer(timer, deadline);
    switch_away(actor);
    timers_.cancel(timer);
    return timer.fired;
}

void Worker::arm_timer(TimerNode& timer, Instant deadline) noexcept {
    timers_.arm(timer, deadline);
    if (deadline.time_since_epoch().count() < next_timer_.load(memory_order_relaxed))
        next_timer_.store(deadline.time_since_epoch().count(), memory_order_relaxed);
}

bool Worker::yield() noexcept {
    Actor& actor = *current();
    if (has_request(Deliver::everything)) return true;
    actor.state.store(ActorState::ready, memory_order_relaxed);
    order_.push(actor);
    switch_away(actor);
    return has_request(Deliver::everything);
}

void Worker::set_rider(Rider* rider) noexcept {
    std::lock_guard guard(rider_lock_);
    rider_ = rider;
}

void Worker::request_attention() noexcept {
    std::lock_guard guard(rider_lock_);
    if (rider_) rider_->request_attention();
}

void Worker::request_preemption(std::uint64_t turn) noexcept {
    order_.end_turn(turn);
    request_attention();
}

bool Worker::at_safe_point(bool may_preempt, Deliver deliver) noexcept {
    asked_.store(false, memory_order_relaxed);
    if (!inbox_.empty()) drain_inbox();
    if (stop_requested_.load(memory_order_relaxed)) stop_step();
    if (!may_preempt) expire_timers();  // the running actor's own deadline may be among them
    if (has_request(deliver)) return true;
    if (!may_preempt || !order_.take_end_of(turn()) || (rider_ && rider_->holds_worker())) return false;
    Actor& actor = *current();
    actor.state.store(ActorState::ready, memory_order_relaxed);
    order_.push_preempted(actor);
    WorkerCounters::add(counters_.preemptions);
    switch_budget_ = 0;  // through the worker's own context: timers, fds and messages get their turn
    switch_away(actor);
    return has_request(deliver);
}

void Worker::look_at_slice() noexcept {
    charge(*current());
    const Duration slice = scheduler_.options().monitor.time_slice;
    if (slice <= Duration::zero()) return;
    const Instant now = driver_->now();
    note_time(now);
    const std::uint64_t number = turn();
    const std::optional<Instant> start = slice_start(number);
    if (!start) order_.begin_slice(number, now);
    if (!timer_due(now) && (now - start.value_or(now) < slice || !has_waiting_work())) return;
    order_.end_turn(number);
    if (rider_) rider_->try_request_attention();
}

// ---- the inbox ------------------------------------------------------------------------------------------------------

void Worker::post(Post& post, Pid from, Pid to) noexcept {
    if (simulation_) simulation_->send(*this, from, to, post);
    else this->post(post);
}

bool Worker::wake_silently(Actor& actor) noexcept {
    // Acq_rel: pairs with take_post, so that a wake that finds the flag set is covered by the posted one.
    if (actor.wake_posted.exchange(true, memory_order_acq_rel)) return false;
    post_silently(actor);
    return true;
}

void Worker::nudge() noexcept {
    if (idle_.wake_up()) driver_->wake();
}

void Worker::request_trim() noexcept {
    trim_requested_.store(true, memory_order_relaxed);
    nudge();
}

void Worker::request_stop() noexcept {
    stop_requested_.store(true, memory_order_seq_cst);
    nudge();
    request_attention();
}

const Post::Kind Worker::kActorPost{
    [](Post& post, Worker& worker) noexcept { worker.take_post(static_cast<Actor&>(post)); },
    [](Post& post, Scheduler& scheduler) noexcept { scheduler.end_stranded(static_cast<Actor&>(post)); }};

void Worker::take_post(Actor& actor) noexcept {
    // Release-acquire with wake_remote: cleared before the actor looks at what it was woken for.
    actor.wake_posted.exchange(false, memory_order_acq_rel);
    switch (actor.state.load(memory_order_relaxed)) {
        case ActorState::unstarted:
            if (!actor.worker) adopt(actor);
            break;
        case ActorState::dead: delete &actor; break;
        default: wake(actor);
    }
}

void Worker::drain_inbox() noexcept {
    for_each_post(inbox_.take_all(), [this](Post& post) { post.arrive(*this); });
}

// ---- the loop -------------------------------------------------------------------------------------------------------

void Worker::take_outside_events(bool look_around) noexcept {
    if (!inbox_.empty()) drain_inbox();
    expire_timers();
    if (!look_around) return;
    driver_->poll();
    if (rider_) rider_->let_others_in();
}

void Worker::expire_timers() noexcept {
    if (timers_.size()) {
        const Instant now = driver_->now();
        note_time(now);
        timers_.expire(now);
        publish_next_timer();
    } else if (has_timer()) {
        publish_next_timer();  // the last one was cancelled
    }
}

void Worker::publish_next_timer() noexcept {
    const Instant next = timers_.size() ? timers_.next_deadline() : kNever;
    next_timer_.store(next.time_since_epoch().count(), memory_order_relaxed);
}

Actor* Worker::next_ready() noexcept {
    return simulation_ ? order_.next_simulated(*simulation_)
                       : order_.next(*driver_, scheduler_.options().monitor.time_slice, turn() + 1);
}

// Whether the shared queue is for workers that have fewer of its actors.
bool Worker::leaves_to_others() noexcept {
    left_ = 0;
    if (taken_live() == 0) return false;  // what it took has ended: so would the next, before another worker were here
    const std::uint64_t seen = scheduler_.unstarted();
    left_until_ = scheduler_.left_to_others_until(*this);
    if (left_until_ <= driver_->now()) return false;
    left_ = seen;
    return true;
}

// Whether the shared queue has actors, and is not as it was when they were left to others.
bool Worker::has_new_actors() const noexcept { return scheduler_.has_unstarted() && scheduler_.unstarted() != left_; }

bool Worker::has_waiting_work() const noexcept {
    return order_.size() || !inbox_.empty() || scheduler_.has_unstarted() || driver_->is_watching();
}

bool Worker::has_outside_work() const noexcept {
    return !inbox_.empty() || has_new_actors() || (stop_requested_.load(memory_order_seq_cst) && !stop_asked_);
}

// Some thousand actors at a time, as long as there is nothing else to do.
void Worker::trim_stacks() noexcept {
    ActorTable::Own own;
    while (!has_outside_work() && !timer_due(driver_->now())) {
        if (!scheduler_.table().own_from(next_to_trim_, static_cast<int>(index_), own)) {
            if (stacks_.release_tables()) continue;
            next_to_trim_ = 0;
            trim_requested_.store(false, memory_order_relaxed);
            return;
        }
        for (std::size_t i = 0; i < own.count; ++i) {
            const Actor& actor = *own.actors[i];
            if (actor.stack && actor.state.load(memory_order_relaxed) == ActorState::parked &&
                stacks_.trim_if_deep(actor.stack, actor.context.stack_pointer))
                WorkerCounters::add(counters_.stacks_trimmed);
        }
    }
}

// Nobody can run: until there may be work.
void Worker::rest() noexcept {
    if (trim_requested_.load(memory_order_relaxed)) trim_stacks();
    const auto has_work = [this] { return has_outside_work(); };
    if (idle_.spin(has_work)) return;
    scheduler_.note_idle(true);
    const Instant asleep = driver_->now();
    idle_.sleep(has_work, [this] {
        Instant until = timers_.next_deadline();
        if (stop_requested_.load(memory_order_relaxed)) until = std::min({until, ask_again_, stop_patience_.end()});
        if (left_ && left_until_ < until) until = left_until_;
        WorkerCounters::add(counters_.waits);
        if (rider_) rider_->before_wait();
        driver_->wait(until);
        if (rider_) rider_->after_wait();
        note_time(driver_->now());
    });
    scheduler_.note_idle(false);
    scheduler_.monitor().note_busy();
    if (!inbox_.empty()) idle_.note_work_after(driver_->now() - asleep);
}

// Asks this worker's actors to exit.
void Worker::ask_to_exit(Instant now, bool again) noexcept {
    ask_again_ = deadline_after(now, scheduler_.options().stop_timeout / kStopTries);
    const auto reason = ExitReason::plain(ExitKind::shutdown);
    // After the first time whatever still computes is interrupted where it is.
    const Duration patience = again ? Duration::zero() : scheduler_.options().interrupt_after;
    ActorTable::Own own;
    for (std::uint32_t from = 0; scheduler_.table().own_from(from, static_cast<int>(index_), own);) {
        for (std::size_t i = 0; i < own.count; ++i)
            request_exit(*own.actors[i], own.actors[i]->requests.cause() ? nullptr : reason, patience);
    }
}

// Sees to the end of this worker's actors: they are asked again when none has ended for a part of the stop timeout.
// Returns whether the worker may end: none is left, or the patience with them is at its end.
bool Worker::stop_step() noexcept {
    if (live_count() == 0 && inbox_.empty() && !scheduler_.has_unstarted()) return true;
    const Instant now = driver_->now();
    const Duration timeout = scheduler_.options().stop_timeout;
    if (!std::exchange(stop_asked_, true)) {
        stop_patience_.begin(now, timeout, live_count());
        ask_to_exit(now, false);
        return false;
    }
    if (stop_patience_.over(now, live_count())) return true;
    ask_again_ = std::max(ask_again_, deadline_after(stop_patience_.last_progress(), timeout / kStopTries));
    if (now >= ask_again_) ask_to_exit(now, true);
    return false;
}

void Worker::run() noexcept {
    detail::this_worker = this;
    thread_.note_caller();
    for (;;) {
        const bool look_around = ++passes_ % kPassesPerPoll == 0 || switch_budget_ <= 0;
        take_outside_events(look_around);
        if (stop_requested_.load(memory_order_relaxed) && stop_step()) break;
        if (order_.wants_new_actor(scheduler_, look_around, simulation_ != nullptr) &&
            (simulation_ || !leaves_to_others()) && scheduler_.take_unstarted(*this))
            order_.note_taken();
        if (Actor* next = next_ready()) {
            run_actor(*next);
            if (booted_at() == kNever)
                booted_at_.store(driver_->now().time_since_epoch().count(), memory_order_relaxed);
            continue;
        }
        driver_->poll();
        if (order_.empty()) rest();
    }
    closing_ = true;
    timers_.expire(kNever);  // nobody waits any more: what is left frees what it has
    close_inbox();
    end_run();
}

// Only waits for the end of the process when the scheduler has stopped waiting for this worker: it is leaked, and what
// else belongs to the worker (an interpreter) may be going away.
void Worker::end_run() noexcept {
    detail::this_worker = nullptr;
    if (end_life(Life::ended)) {
        scheduler_.count_abandoned(live_count());
        return;
    }
    if (rider_) rider_->before_wait();
    for (;;) pause();
}

void Worker::refuse() noexcept {
    detail::this_worker = this;
    refusing_.store(true, memory_order_relaxed);
    scheduler_.nudge_all();  // who left actors to this one must not
    while (!stop_requested_.load(memory_order_acquire) || !inbox_.empty()) {
        drain_inbox();
        while (!order_.empty()) {
            Actor& actor = order_.pop();
            actor.cancelled(true);
            actor.state.store(ActorState::dead, memory_order_relaxed);
            reap(actor);
        }
        idle_.sleep([this] { return !inbox_.empty() || stop_requested_.load(memory_order_seq_cst); },
                    [this] { driver_->wait(kNever); });
    }
    close_inbox();
    end_run();
}

}  // namespace smarm
