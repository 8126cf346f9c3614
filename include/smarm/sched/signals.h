// signals.h: exit signals, links and monitors between actors of any workers.
//
// What:    Erlang's signals. A signal to an actor of this worker acts at once, to another's it travels as a post, in
//          order with the messages that the same sender sends there. Signals act when they arrive, however long the
//          mailbox is; only what the receiver is told (Notice) is a message and waits its turn.
// Link:    both ends; when one ends with another reason than normal, the other gets an exit signal: an actor that traps
//          exits gets an Exit notice, another is asked to exit with the same reason. A link to a dead actor gives
//          noproc.
// Unlink:  the partner acknowledges it, by its number. Until then the entry stays, unlinking: what still comes along
//          the old link, and a link that the partner made before it knew, are ignored. A link() meanwhile is a new
//          link, and the old acknowledgement then says nothing. So both ends agree once nothing is under way, however
//          links and unlinks cross.
//          Source: "Link Protocol" in OTP's distribution protocol.
// Monitor: one way; the watcher gets one Down notice per monitor, at once with noproc when there is no such actor.
// Child:   a monitor whose notices say that it is a child (the seed's Signal), optionally with a time limit.
// Kill:    cannot be trapped: the actor is asked to exit at every park until it does; its links see `killed`.
// Order:   signals and messages from one actor to another arrive in the order of sending (one inbox, first in, first
//          out; same worker: at once). Between different senders nothing is promised.
// Threads: called by the actor `self` on its worker. Errors: bad_alloc is thrown before anything has changed.
// Source:  "Processes" and "Signals" in the Erlang Reference Manual.
#pragma once

#include "smarm/actor/exit_reason.h"
#include "smarm/actor/relations.h"
#include "smarm/sched/scheduler.h"

namespace smarm {

// What an actor is told about another's end; travels as the only attachment of an empty parcel.
class Notice final : public Shared {
public:
    enum class Kind : std::uint8_t { exit, down, reply, child_ended, child_late, order };
    Notice(Kind its_kind, MonitorRef its_ref, Pid its_pid, Ref<ExitReason> its_reason,
           OwnedParcel its_payload = nullptr) noexcept
        : kind(its_kind), ref(its_ref), pid(its_pid), reason(std::move(its_reason)), payload(std::move(its_payload)) {}
    std::size_t payload_bytes() const noexcept override { return sizeof *this + (payload ? payload->bytes() : 0); }
    const Kind kind;
    const MonitorRef ref;          // 0 for exit and order
    const Pid pid;                 // of the ended or answering actor, of who gave the order
    const Ref<ExitReason> reason;  // null for reply, child_late and order
    const OwnedParcel payload;     // of reply and order
};

// The notice in a message, or nullptr when it is an ordinary one.
const Notice* find_notice(const Message& message) noexcept;

// The relations of an actor of this worker, made when there are none.
Relations& relations_of(Actor& actor);

void link(Actor& self, Pid other);
void unlink(Actor& self, Pid other);
// Returns a ref that no other monitor has.
MonitorRef make_monitor_ref() noexcept;
// The Down notice will carry `ref`.
void monitor(Actor& self, Pid other, MonitorRef ref);
// Ends the monitor: no Down of it arrives any more. Returns whether it was still there.
bool demonitor(Actor& self, MonitorRef ref) noexcept;
// Makes `child`, which has a pid but has not been made runnable, linked to and (or) monitored by `self`.
void link_child(Actor& self, Actor& child);
MonitorRef monitor_child(Actor& self, Actor& child);
// The same, told as child_ended; and child_late once if the child has not ended by `limit` (kNever: no limit).
void watch_child(Actor& self, Actor& child, Instant limit);

// Answers a call: ends the caller's monitor `ref` and gives it the payload. Dropped when the caller waits for it no
// longer (the ref is what OTP calls an alias). False: nobody has that pid.
bool send_reply(Pid from, Pid caller, MonitorRef ref, OwnedParcel payload);

// Sends a message that no limit of the receiver's mailbox refuses: an order to end must arrive in a crowd. False:
// nobody has that pid.
bool send_order(Pid from, Pid to, OwnedParcel payload);

// Sends an exit signal. kind killed cannot be trapped. False: nobody has that pid. `patience`: how long the actor may
// compute on when it is to be unwound, see Worker::request_exit.
bool send_exit(Pid from, Pid to, Ref<ExitReason> reason, Duration patience);
// Asks an actor to exit, whether it traps exits or not, as killed, once. Any thread. False: nobody has that pid, or no
// memory.
bool cancel(Scheduler& scheduler, Pid to, Duration patience) noexcept;

// Tells links and watchers of an actor that has ended. On its worker, after its pid was released.
void announce_end(Actor& actor) noexcept;

}  // namespace smarm
