// The worker's loop and its switches. Numbered shutdown: see Scheduler in sched/scheduler.h.
#include "smarm/sched/worker.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include <unistd.h>

#include "smarm/sched/interrupt_timer.h"
#include "smarm/sched/scheduler.h"
#include "smarm/sched/signals.h"
#include "smarm/sched/simulation.h"

namespace smarm {

namespace detail {
constinit thread_local Worker* this_worker __attribute__((tls_model("initial-exec"))) = nullptr;
}

namespace {
constexpr std::int32_t kSwitchBudget = 64;
// Every so many passes of the worker's own context the driver is polled and the shared queue served even though local
// actors are ready.
constexpr std::uint32_t kPassesPerPoll = 16;
constexpr int kStopTries = 3;  // within a stop timeout
// So many rounds of its computing actors a worker leaves new ones to a worker that has fewer: then that one may be stuck.
constexpr std::size_t kRoundsLeftToOthers = 4;
// So many new actors wait for their first turn: whoever spawned them lets them have it. What is woken meanwhile queues
// behind them.
constexpr std::uint64_t kCrowd = 256;
// Between two looks at the clock of a thread that has the CPU to itself much less passes.
constexpr Duration kHole = std::chrono::microseconds(20);
}  // namespace

Worker::Worker(Scheduler& scheduler, unsigned index, std::unique_ptr<Driver> driver, const StackPoolOptions& stacks)
    : simulation_(scheduler.options().simulation),
      scheduler_(scheduler),
      index_(index),
      driver_(std::move(driver)),
      stacks_(stacks),
      timers_(driver_->now()),
      random_(index + 1),
      spin_limit_(scheduler.options().spin_limit) {
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
    Actor* next = ready_.front();
    if (next && --switch_budget_ > 0 && inbox_.empty() && next->stack) {
        ready_.pop();
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
    if (__builtin_expect(actor.requests.any(), 0) && actor.requests.deliverable()) return {.requested = true};
    actor.wait_reason.store(reason, memory_order_relaxed);
    actor.parked_since.store(recent_.load(memory_order_relaxed), memory_order_relaxed);
    actor.state.store(ActorState::parked, memory_order_relaxed);
    Parked parked;
    if (deadline == kNever) switch_away(actor);
    else parked.timed_out = park_until(actor, deadline);
    actor.wait_reason.store(WaitReason::none, memory_order_relaxed);
    parked.requested = __builtin_expect(actor.requests.any(), 0) && actor.requests.deliverable();
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
    ready_.push(actor);
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
    preempt_turn_.store(turn, memory_order_relaxed);
    request_attention();
}

bool Worker::at_safe_point(bool may_preempt, Deliver deliver) noexcept {
    asked_.store(false, memory_order_relaxed);
    if (!inbox_.empty()) drain_inbox();
    if (stop_requested_.load(memory_order_relaxed)) stop_step();
    if (has_request(deliver)) return true;
    // A request for an earlier turn is stale: that actor has left the worker by itself.
    if (!may_preempt || preempt_turn_.exchange(0, memory_order_relaxed) != turn()) return false;
    Actor& actor = *current();
    actor.state.store(ActorState::ready, memory_order_relaxed);
    if (preempted_.empty()) begin_before_preempted_ = adopted_;
    preempted_.push(actor);
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
    if (!start) begin_slice(number, now);
    if (!timer_due(now) && (now - start.value_or(now) < slice || !has_waiting_work())) return;
    preempt_turn_.store(number, memory_order_relaxed);
    if (rider_) rider_->try_request_attention();
}

// ---- requests --------------------------------------------------------------------------------------------------------

bool Worker::has_request(Deliver deliver) noexcept {
    const Requests& requests = current()->requests;
    if (__builtin_expect(!requests.any(), 1) || deliver == Deliver::nothing || !requests.deliverable()) return false;
    return deliver == Deliver::everything || requests.is_due(driver_->now());
}

Request Worker::take_request() noexcept {
    Actor& actor = *current();
    const Request request = actor.requests.take(due_after(scheduler_.options().kill_patience));
    if (request == Request::kill) InterruptTimer::watch(*this, actor);
    return request;
}

Instant Worker::due_after(Duration patience) noexcept {
    if (patience == Duration::max()) return kNever;
    if (simulation_ && patience != Duration::zero()) return simulation_->interrupt_at();
    return deadline_after(driver_->now(), patience);
}

void Worker::request_exit(Actor& actor, Ref<ExitReason> cause, Duration patience) noexcept {
    actor.requests.note_exit(std::move(cause), due_after(patience));
    bring_to_point(actor);
}

void Worker::request_kill(Actor& actor, Ref<ExitReason> cause, Duration patience) noexcept {
    actor.requests.note_kill(std::move(cause), due_after(patience));
    bring_to_point(actor);
}

void Worker::request_signal(Actor& actor, Duration patience) noexcept {
    actor.requests.note_signal(due_after(patience));
    bring_to_point(actor);
}

void Worker::request_scope_end(Actor& actor, Duration patience) noexcept {
    actor.requests.note_scope(due_after(patience));
    bring_to_point(actor);
}

// A parked actor is at a point, unless it is shielded; another will be interrupted when the request is due.
void Worker::bring_to_point(Actor& actor) noexcept {
    const bool at_point = actor.state.load(memory_order_relaxed) == ActorState::parked && actor.requests.deliverable();
    wake(actor);
    if (!at_point) InterruptTimer::watch(*this, actor);
    if (&actor == current() && rider_ && actor.requests.is_due(driver_->now())) rider_->request_attention();
}

// ---- starting and ending actors --------------------------------------------------------------------------------------

void Worker::adopt(Actor& actor) noexcept {
    actor.worker = this;
    // Ends it before its first turn.
    if (stop_requested_.load(memory_order_relaxed)) actor.requests.note_exit(nullptr, kNever);
    live_.store(live_count() + 1, memory_order_relaxed);
    if (actor.shared_start) taken_live_.store(taken_live() + 1, memory_order_relaxed);
    ++adopted_;
    ready_.push(actor);
    const bool sliced = scheduler_.options().monitor.time_slice > Duration::zero();
    if (adopted_ - begun_ == kCrowd && current() && sliced && !simulation_) request_preemption(turn());
}

void Worker::actor_entry(void* argument) {
    auto* actor = static_cast<Actor*>(argument);
    actor->body();
    Worker& worker = *actor->worker;
    worker.charge(*actor);
    actor->state.store(ActorState::dead, memory_order_relaxed);
    worker.finished_ = actor;
    worker.set_current(nullptr);
    if (worker.rider_) worker.rider_->switch_to(nullptr);
    leave_context(actor->context, worker.own_context_);
}

bool Worker::start_actor(Actor& actor) noexcept {
    if (actor.requests.take_before_start()) {
        const Ref<ExitReason>& cause = actor.requests.cause();
        actor.exit_reason = cause ? cause : ExitReason::plain(ExitKind::killed);
        actor.cancelled(false);
        return false;
    }
    actor.stack = stacks_.take(actor.stack_bytes);
    if (!actor.stack || !actor.attach()) {
        actor.cancelled(true);
        return false;
    }
    prepare(actor.context, actor.stack, actor_entry, &actor);
    WorkerCounters::add(counters_.started);
    return true;
}

void Worker::run_actor(Actor& actor) noexcept {
    if (!actor.stack) {
        ++begun_;
        if (!start_actor(actor)) {
            actor.state.store(ActorState::dead, memory_order_relaxed);
            reap(actor);
            return;
        }
    }
    actor.state.store(ActorState::running, memory_order_relaxed);
    switch_budget_ = simulation_ ? 0 : kSwitchBudget;       // a simulation chooses at every switch
    detail::allocation_budget = detail::kAllocationBudget;  // what the worker itself allocated is nobody's
    set_current(&actor);
    WorkerCounters::add(counters_.switches);
    if (rider_) rider_->switch_to(actor.rider_state);
    switch_context(own_context_, actor.context);
    if (simulation_) simulation_->note_turn(actor);
    if (finished_) {
        Actor& ended = *std::exchange(finished_, nullptr);
        ended.detach();
        reap(ended);
    }
}

// What it was told about others is no letter.
void Worker::drop_unread(Actor& actor) noexcept {
    std::size_t letters = 0;
    for (std::size_t i = 0; i < actor.mailbox.size(); ++i) letters += !find_notice(actor.mailbox.at(i));
    actor.mailbox.clear();
    if (letters)
        scheduler_.count_dead_letters(actor.pid, actor.requests.cause() ? DeadLetter::discarded : DeadLetter::unread,
                                      letters);
}

void Worker::reap(Actor& actor) noexcept {
    if (actor.held) give_back_all(actor);
    if (actor.stack) stacks_.give(std::exchange(actor.stack, Stack()));
    if (!actor.mailbox.empty()) drop_unread(actor);
    scheduler_.table().release(actor);
    if (actor.registered.load(memory_order_acquire)) scheduler_.registry().drop_all(actor.pid);
    announce_end(actor);
    live_.store(live_count() - 1, memory_order_relaxed);
    if (actor.shared_start) taken_live_.store(taken_live() - 1, memory_order_relaxed);
    WorkerCounters::add(counters_.finished);
    // Acquire pairs with the exchange in wake_remote: a waker may have posted the actor a moment before it ended; then
    // the drain frees it.
    if (!actor.wake_posted.load(memory_order_acquire)) delete &actor;
}

// ---- the inbox -------------------------------------------------------------------------------------------------------

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
    // Seq_cst, after the seq_cst push of a post: pairs with idle(). The exchange lets one poster only pay for the wake-up.
    if (sleeping_.load(memory_order_seq_cst) && sleeping_.exchange(false, memory_order_seq_cst)) driver_->wake();
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

const Post::Kind Worker::kLetter{
    [](Post& post, Worker& worker) noexcept { worker.take_letter(OwnedParcel(static_cast<Parcel*>(&post))); },
    [](Post& post, Scheduler& scheduler) noexcept {
        const OwnedParcel parcel(static_cast<Parcel*>(&post));
        scheduler.count_dead_letters(Pid::from_bits(parcel->target), DeadLetter::nobody);
    }};

void Worker::take_letter(OwnedParcel parcel) noexcept {
    WorkerCounters::add(counters_.remote_messages);
    const Pid target = Pid::from_bits(parcel->target);
    Actor* actor = scheduler_.table().own(target);
    if (!actor) {
        scheduler_.count_dead_letters(target, DeadLetter::nobody);
        return;
    }
    Message message(std::move(parcel));
    if (!actor->mailbox_limit || actor->mailbox_limit->on_full() != OnMailboxFull::error) {
        if (deliver_sent(*actor, std::move(message)) == Delivery::done) return;
    } else {
        const std::size_t bytes = message.parcel().bytes();
        const bool delivered = deliver(*actor, std::move(message));  // Scheduler::send has reserved its place
        actor->mailbox_limit->arrived(bytes);
        if (delivered) return;
    }
    scheduler_.count_dead_letters(target, DeadLetter::no_memory);
}

bool Worker::deliver_counted(Actor& actor, Message&& message) noexcept {
    if (!actor.mailbox_limit->comes(message)) return false;
    if (push(actor, std::move(message))) return true;
    actor.mailbox_limit->leaves(actor.mailbox.size());  // it is the last that came
    return false;
}

Delivery Worker::deliver_limited(Actor& actor, Message&& message) noexcept {
    if (actor.mailbox_limit->has_room(actor.mailbox, message))
        return deliver_counted(actor, std::move(message)) ? Delivery::done : Delivery::no_memory;
    if (actor.mailbox_limit->on_full() == OnMailboxFull::error) return Delivery::full;
    scheduler_.count_dead_letters(actor.pid, DeadLetter::full);
    const Message dropped = std::move(message);
    return Delivery::done;
}

void Worker::drain_inbox() noexcept {
    for_each_post(inbox_.take_all(), [this](Post& post) { post.arrive(*this); });
}

// ---- the loop --------------------------------------------------------------------------------------------------------

void Worker::take_outside_events(bool look_around) noexcept {
    if (!inbox_.empty()) drain_inbox();
    if (timers_.size()) {
        const Instant now = driver_->now();
        note_time(now);
        timers_.expire(now);
        publish_next_timer();
    } else if (has_timer()) {
        publish_next_timer();  // the last one was cancelled
    }
    if (!look_around) return;
    driver_->poll();
    if (rider_) rider_->let_others_in();
}

void Worker::publish_next_timer() noexcept {
    const Instant next = timers_.size() ? timers_.next_deadline() : kNever;
    next_timer_.store(next.time_since_epoch().count(), memory_order_relaxed);
}

// The next actor to run. Woken actors go first, so that a message or a timer is answered at once; but while there are
// actors that used up a slice, the woken ones together get one slice at a time. New ones that were there before it get
// their first turn before one that used up a slice gets its next: or a loop that spawns would build up a crowd of them,
// behind which every woken actor waits.
Actor* Worker::next_ready() noexcept {
    if (simulation_) return next_simulated();
    if (preempted_.empty()) return ready_.empty() ? nullptr : &ready_.pop();
    const Instant now = driver_->now();
    const Duration slice = scheduler_.options().monitor.time_slice;
    if (!ready_.empty() && (now - ready_since_ < slice || begun_ < begin_before_preempted_)) return &ready_.pop();
    ready_since_ = now + slice;  // counts from when this one's slice ends
    begin_before_preempted_ = adopted_;
    ++turns_since_take_;
    begin_slice(turn() + 1, now);
    return &preempted_.pop();
}

Actor* Worker::next_simulated() noexcept {
    while (!preempted_.empty()) ready_.push(preempted_.pop());
    return ready_.empty() ? nullptr : &ready_.take(simulation_->choose(ready_.size()));
}

// Whether to take an actor from the shared queue. Beside actors that compute, one for each of their rounds, and for a few rounds
// it is left to a worker that has fewer of them: what has started stays where it is, so they must spread evenly now.
bool Worker::wants_new_actor(bool look_around) noexcept {
    const std::size_t computing = preempted_.size();
    computing_.store(computing, memory_order_relaxed);
    if (simulation_) return look_around || ready_.empty();
    if (!scheduler_.has_unstarted()) return false;
    if (computing == 0) return (look_around || ready_.empty()) && !leaves_to_others();
    if (!look_around || turns_since_take_ < computing) return false;
    return (turns_since_take_ >= kRoundsLeftToOthers * computing ||
            !scheduler_.has_worker_computing_less_than(computing)) &&
           !leaves_to_others();
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
    return ready_.size() || preempted_.size() || !inbox_.empty() || scheduler_.has_unstarted() ||
           driver_->is_watching();
}

bool Worker::has_outside_work() const noexcept {
    return !inbox_.empty() || has_new_actors() || (stop_requested_.load(memory_order_seq_cst) && !stop_asked_);
}

// Spins while a message from another core is likely. Returns whether something came.
bool Worker::spin() noexcept {
    Instant now = monotonic_now();
    const Instant until = now + spin_limit_;
    while (now < until) {
        for (int i = 0; i < 32; ++i) {
            if (has_outside_work()) return true;
            cpu_relax();
        }
        const Instant before = std::exchange(now, monotonic_now());
        // A hole in the time: somebody else needed this CPU, maybe the one who is to send the message.
        if (now - before > kHole) {
            spin_limit_ = Duration::zero();
            break;
        }
    }
    return false;
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

void Worker::idle() noexcept {
    if (trim_requested_.load(memory_order_relaxed)) trim_stacks();
    const Duration longest = scheduler_.options().spin_limit;
    const auto spin_more = [&](int factor) {
        spin_limit_ = std::min(longest, std::max(factor * spin_limit_, longest / 64));
    };
    if (spin()) return spin_more(2);
    // Spun in vain: spin less next time, so that an idle worker that only serves timers costs nothing.
    spin_limit_ /= 2;
    scheduler_.note_idle(true);
    sleeping_.store(true, memory_order_seq_cst);
    const Instant asleep = driver_->now();
    if (!has_outside_work()) {
        Instant until = timers_.next_deadline();
        if (stop_requested_.load(memory_order_relaxed)) until = std::min({until, ask_again_, stop_patience_.end()});
        if (left_ && left_until_ < until) until = left_until_;
        WorkerCounters::add(counters_.waits);
        if (rider_) rider_->before_wait();
        driver_->wait(until);
        if (rider_) rider_->after_wait();
        note_time(driver_->now());
    }
    sleeping_.store(false, memory_order_seq_cst);
    scheduler_.note_idle(false);
    scheduler_.monitor().note_busy();
    // A post came so soon that a longer spin would have met it. By more than was taken off above: or one hole would be the end of it.
    if (!inbox_.empty() && driver_->now() - asleep < 2 * longest) spin_more(8);
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

// Sees to the end of this worker's actors: they are asked again when none has ended for a part of the stop timeout. Returns whether the
// worker may end: none is left, or the patience with them is at its end.
bool Worker::stop_step() noexcept {
    if (live_count() == 0 && inbox_.empty() && !scheduler_.has_unstarted()) return true;
    const Instant now = driver_->now();
    const Duration timeout = scheduler_.options().stop_timeout;
    if (!std::exchange(stop_asked_, true)) {
        stop_patience_.begin(now, timeout, live_count());
        ask_to_exit(now, false);
        return false;
    }
    if (stop_patience_.over(now, live_count())) {
        scheduler_.count_abandoned(live_count());
        return true;
    }
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
        if (wants_new_actor(look_around) && scheduler_.take_unstarted(*this)) turns_since_take_ = 0;
        if (Actor* next = next_ready()) {
            run_actor(*next);
            if (booted_at() == kNever)
                booted_at_.store(driver_->now().time_since_epoch().count(), memory_order_relaxed);
            continue;
        }
        driver_->poll();
        if (ready_.empty()) idle();
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
    if (end_life(Life::ended)) return;
    if (rider_) rider_->before_wait();
    for (;;) pause();
}

void Worker::refuse() noexcept {
    detail::this_worker = this;
    refusing_.store(true, memory_order_relaxed);
    scheduler_.nudge_all();  // who left actors to this one must not
    while (!stop_requested_.load(memory_order_acquire) || !inbox_.empty()) {
        drain_inbox();
        while (!ready_.empty()) {
            Actor& actor = ready_.pop();
            actor.cancelled(true);
            actor.state.store(ActorState::dead, memory_order_relaxed);
            reap(actor);
        }
        sleeping_.store(true, memory_order_seq_cst);
        if (inbox_.empty() && !stop_requested_.load(memory_order_seq_cst)) driver_->wait(kNever);
        sleeping_.store(false, memory_order_seq_cst);
    }
    close_inbox();
    end_run();
}

}  // namespace smarm
