#include "smarm/wait/timer.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

#include "smarm/sched/delivery.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

// The wheel's farthest deadline that it still reaches when its worker ends.
constexpr Instant kFarthest = kNever - std::chrono::hours(1);

// Empty when memory is out.
Message copy_of(const Parcel& parcel) noexcept {
    try {
        ParcelBuilder builder;
        std::memcpy(builder.append(parcel.size()), parcel.data(), parcel.size());
        return Message(builder.finish());
    } catch (const std::bad_alloc&) {
        return Message();
    }
}

}  // namespace

void MessageTimer::arm(Instant first) noexcept {
    home_ = this_worker();
    next_ = std::min(first, kFarthest);
    add_reference();
    armed_.store(true, memory_order_release);
    home_->arm_timer(node_, next_);
}

std::optional<Duration> MessageTimer::cancel() noexcept {
    Instant next;
    {
        std::lock_guard guard(lock_);
        if (!armed_.exchange(false, memory_order_acq_rel)) return {};
        next = next_;
    }
    Worker& worker = *this_worker();
    if (&worker == home_) {
        worker.timers().cancel(node_);
        end();
    } else {
        add_reference();  // the post's
        home_->post(cancel_post_);
    }
    return std::max(next - worker.driver().now(), Duration::zero());
}

void MessageTimer::CancelPost::arrived(Worker& worker) noexcept {
    if (timer.node_.armed()) {
        worker.timers().cancel(timer.node_);
        timer.end();
    }
    timer.drop_reference();
}

// The timer ended with its worker's run.
void MessageTimer::CancelPost::lost(Scheduler&) noexcept { timer.drop_reference(); }

// It is in no queue any more: gives up the message and the reference that it had while armed.
void MessageTimer::end() noexcept {
    message_ = Message();
    drop_reference();
}

void MessageTimer::fire() noexcept {
    if (period_ > Duration::zero() && armed() && !home_->closing()) {
        tick();
        return;
    }
    {
        std::lock_guard guard(lock_);
        if (armed_.exchange(false, memory_order_acq_rel) && !home_->closing()) send(std::move(message_));
    }
    end();
}

void MessageTimer::tick() noexcept {
    Message copy = copy_of(message_.parcel());
    const Instant now = home_->driver().now();
    bool goes_on = false;
    {
        std::lock_guard guard(lock_);
        goes_on = armed();
        // Without memory for the copy this tick is lost, not the timer.
        if (goes_on && copy) goes_on = send(std::move(copy));
        if (goes_on) next_ += (now < next_ ? 1 : (now - next_) / period_ + 1) * period_;
        if (next_ > kFarthest) next_ = kFarthest;
        armed_.store(goes_on, memory_order_release);
    }
    if (goes_on) home_->arm_timer(node_, next_);
    else end();
}

// Returns false when the target has ended.
bool MessageTimer::send(Message&& message) noexcept {
    Scheduler& scheduler = home_->scheduler();
    if (scheduler.table().find_home(target_) == static_cast<int>(home_->index())) {
        Actor* actor = scheduler.table().own(target_);
        const Delivery delivery = actor ? deliver_sent(*home_, *actor, std::move(message)) : Delivery::done;
        if (!actor || delivery != Delivery::done) {
            scheduler.count_dead_letters(target_, !actor                       ? DeadLetter::nobody
                                                  : delivery == Delivery::full ? DeadLetter::full
                                                                               : DeadLetter::no_memory);
        }
        return actor != nullptr;
    }
    Sent sent = Sent::nobody;
    if (message.is_parcel()) {
        OwnedParcel parcel = message.take_parcel();
        sent = scheduler.send(target_, parcel);
    }
    if (sent == Sent::full) scheduler.count_dead_letters(target_, DeadLetter::full);
    // An interval's target that has ended is how it ends, not a message lost.
    else if (sent == Sent::nobody && period_ == Duration::zero())
        scheduler.count_dead_letters(target_, DeadLetter::nobody);
    return sent != Sent::nobody;
}

}  // namespace smarm
