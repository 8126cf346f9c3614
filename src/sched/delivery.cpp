#include "smarm/sched/delivery.h"

#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

void take_letter(Worker& worker, OwnedParcel parcel) noexcept {
    WorkerCounters::add(worker.own_counters().remote_messages);
    Scheduler& scheduler = worker.scheduler();
    const Pid target = Pid::from_bits(parcel->target);
    Actor* actor = scheduler.table().own(target);
    if (!actor) {
        scheduler.count_dead_letters(target, DeadLetter::nobody);
        return;
    }
    Message message(std::move(parcel));
    if (!actor->mailbox_limit || actor->mailbox_limit->on_full() != OnMailboxFull::error) {
        if (deliver_sent(worker, *actor, std::move(message)) == Delivery::done) return;
    } else {
        const std::size_t bytes = message.parcel().bytes();
        const bool delivered = deliver(worker, *actor, std::move(message));  // Scheduler::send has reserved its place
        actor->mailbox_limit->arrived(bytes);
        if (delivered) return;
    }
    scheduler.count_dead_letters(target, DeadLetter::no_memory);
}

}  // namespace

const Post::Kind kLetter{
    [](Post& post, Worker& worker) noexcept { take_letter(worker, OwnedParcel(static_cast<Parcel*>(&post))); },
    [](Post& post, Scheduler& scheduler) noexcept {
        const OwnedParcel parcel(static_cast<Parcel*>(&post));
        scheduler.count_dead_letters(Pid::from_bits(parcel->target), DeadLetter::nobody);
    }};

namespace detail {

bool deliver_counted(Worker& worker, Actor& actor, Message&& message) noexcept {
    if (!actor.mailbox_limit->comes(message)) return false;
    if (push_message(worker, actor, std::move(message))) return true;
    actor.mailbox_limit->leaves(actor.mailbox.size());  // it is the last that came
    return false;
}

Delivery deliver_limited(Worker& worker, Actor& actor, Message&& message) noexcept {
    if (actor.mailbox_limit->has_room(actor.mailbox, message))
        return deliver_counted(worker, actor, std::move(message)) ? Delivery::done : Delivery::no_memory;
    if (actor.mailbox_limit->on_full() == OnMailboxFull::error) return Delivery::full;
    worker.scheduler().count_dead_letters(actor.pid, DeadLetter::full);
    const Message dropped = std::move(message);
    return Delivery::done;
}

}  // namespace detail
}  // namespace smarm
