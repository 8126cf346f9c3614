#include "smarm/sched/signals.h"

#include <new>
#include <utility>

#include "smarm/sched/delivery.h"
#include "smarm/sched/simulation.h"

namespace smarm {
namespace {

// One signal under way to an actor of another worker, or to one that has not started.
struct SignalPost final : PostOf<SignalPost> {
    enum class Kind : std::uint8_t {
        link,
        unlink,
        unlink_ack,
        monitor,
        demonitor,
        exit,
        cancel,
        link_exit,
        down,
        reply,
        order
    };
    SignalPost(Kind its_kind, Pid its_from, Pid its_to, MonitorRef its_ref = 0,
               Ref<ExitReason> its_reason = nullptr) noexcept
        : kind(its_kind), from(its_from), to(its_to), ref(its_ref), reason(std::move(its_reason)) {}
    void arrived(Worker& worker) noexcept;
    void lost(Scheduler& scheduler) noexcept;
    const Kind kind;
    const Pid from;
    const Pid to;
    const MonitorRef ref;  // of unlink and unlink_ack: its number
    Ref<ExitReason> reason;
    OwnedParcel payload;
    Duration patience = Duration::max();  // exit, cancel
};
using Kind = SignalPost::Kind;

bool send_signal(std::unique_ptr<SignalPost> signal) noexcept;

// Tells `target` that nobody waits for its end by this ref any more. Without memory it is not told: its Down will find
// nobody.
void forget_monitor(Pid from, Pid target, MonitorRef ref) noexcept {
    std::unique_ptr<SignalPost> signal(new (std::nothrow) SignalPost(Kind::demonitor, from, target, ref));
    if (signal) send_signal(std::move(signal));
}

Ref<ExitReason> reason_of_kind(ExitKind kind) { return ExitReason::plain(kind); }

// Repeats what needs memory until there is some. A signal that is under way has changed its sender, and a lost one
// breaks a promise; nobody can be told, so the worker waits for what others give back. make() must change nothing when
// it throws.
template <class Make>
auto insist(Make make) noexcept {
    for (;;) {
        try {
            return make();
        } catch (const std::bad_alloc&) {
            yield_thread();
        }
    }
}

void notify(Actor& receiver, Notice::Kind kind, MonitorRef ref, Pid pid, Ref<ExitReason> reason,
            OwnedParcel payload = nullptr) noexcept {
    const auto notice =
        insist([&] { return make_shared_ref<Notice>(kind, ref, pid, std::move(reason), std::move(payload)); });
    Message message(insist([&] {
        ParcelBuilder builder;
        builder.attach(Ref<Shared>::share(notice.get()));
        return builder.finish();
    }));
    while (!deliver(*receiver.worker, receiver, std::move(message))) yield_thread();
}

void receive_exit(Actor& actor, Pid from, const Ref<ExitReason>& reason, Duration patience) {
    if (reason->kind() == ExitKind::killed) {
        actor.worker->request_kill(actor, reason, patience);
    } else if (actor.relations && actor.relations->trap_exit) {
        notify(actor, Notice::Kind::exit, 0, from, reason);
    } else if (reason->kind() != ExitKind::normal || from == actor.pid) {  // to itself it means it
        actor.worker->request_exit(actor, reason, patience);
    }
}

// Tells the parent when the child has not ended in time. On the parent's worker, for as long as the parent has the
// child.
class TimeLimit final : public ChildLimit, TimerNode {
public:
    TimeLimit(Actor& parent, Pid child, MonitorRef ref) noexcept
        : TimerNode(fire), parent_(parent), child_(child), ref_(ref) {}
    ~TimeLimit() override { parent_.worker->timers().cancel(*this); }
    void arm(Instant limit) noexcept { parent_.worker->arm_timer(*this, limit); }

private:
    static void fire(TimerNode& node) {
        auto& limit = static_cast<TimeLimit&>(node);
        if (limit.parent_.worker->closing()) return;
        notify(limit.parent_, Notice::Kind::child_late, limit.ref_, limit.child_, nullptr);
    }
    Actor& parent_;
    const Pid child_;
    const MonitorRef ref_;
};

// An exit that came along a link. The receiver of a kill's echo must be able to trap it: links pass on `killed` as a
// value.
void receive_link_exit(Actor& actor, Pid from, const Ref<ExitReason>& reason) {
    if (!actor.relations) return;
    const auto found = actor.relations->links.find(from);
    if (found == actor.relations->links.end()) return;  // unlinked meanwhile
    const bool linked = found->second == 0;
    actor.relations->links.erase(found);  // there is nobody any more who could acknowledge
    if (!linked) return;
    if (actor.relations->trap_exit) {
        notify(actor, Notice::Kind::exit, 0, from, reason);
    } else if (reason->kind() != ExitKind::normal) {
        actor.worker->request_exit(actor, reason, actor.worker->scheduler().options().interrupt_after);
    }
}

void receive_down(Actor& actor, MonitorRef ref, Pid pid, Ref<ExitReason> reason) {
    if (!actor.relations || actor.relations->watching.erase(ref) == 0) return;  // demonitored meanwhile
    const bool is_child = actor.relations->children.erase(ref) != 0;
    notify(actor, is_child ? Notice::Kind::child_ended : Notice::Kind::down, ref, pid, std::move(reason));
}

void receive_reply(Actor& actor, SignalPost& signal) {
    if (!actor.relations) return;
    auto found = actor.relations->watching.find(signal.ref);
    if (found == actor.relations->watching.end()) return;  // too late
    const Pid answering = found->second;
    actor.relations->watching.erase(found);
    forget_monitor(actor.pid, answering, signal.ref);  // it has served
    notify(actor, Notice::Kind::reply, signal.ref, signal.from, nullptr, std::move(signal.payload));
}

void receive_unlink(Actor& actor, const SignalPost& signal) noexcept {
    auto ack =
        insist([&] { return std::make_unique<SignalPost>(Kind::unlink_ack, actor.pid, signal.from, signal.ref); });
    if (actor.relations) {
        const auto found = actor.relations->links.find(signal.from);
        if (found != actor.relations->links.end() && found->second == 0) actor.relations->links.erase(found);
    }
    send_signal(std::move(ack));
}

void receive_unlink_ack(Actor& actor, const SignalPost& signal) noexcept {
    if (!actor.relations) return;
    const auto found = actor.relations->links.find(signal.from);
    if (found != actor.relations->links.end() && found->second == signal.ref) actor.relations->links.erase(found);
}

// Acts on a signal at an actor of this worker.
void act(Actor& actor, SignalPost& signal) noexcept {
    switch (signal.kind) {
        case Kind::link:
            insist([&] { return relations_of(actor).links.emplace(signal.from, 0).second; });  // not while unlinking
            break;
        case Kind::unlink: receive_unlink(actor, signal); break;
        case Kind::unlink_ack: receive_unlink_ack(actor, signal); break;
        case Kind::monitor:
            insist([&] { return relations_of(actor).watchers.emplace(signal.ref, signal.from).second; });
            break;
        case Kind::demonitor:
            if (actor.relations) actor.relations->watchers.erase(signal.ref);
            break;
        case Kind::exit: receive_exit(actor, signal.from, signal.reason, signal.patience); break;
        case Kind::cancel: actor.worker->request_exit(actor, signal.reason, signal.patience); break;
        case Kind::link_exit: receive_link_exit(actor, signal.from, signal.reason); break;
        case Kind::reply: receive_reply(actor, signal); break;
        case Kind::order: notify(actor, Notice::Kind::order, 0, signal.from, nullptr, std::move(signal.payload)); break;
        case Kind::down: receive_down(actor, signal.ref, signal.from, std::move(signal.reason)); break;
    }
}

// There is nobody: links, unlinks and monitors learn it, everything else is dropped. The answer takes the way through
// the inbox, also on its own worker: what the one that is gone has sent before its end is there already, and comes
// first.
void bounce(const SignalPost& signal) noexcept {
    Kind kind = Kind::down;
    if (signal.kind == Kind::link) kind = Kind::link_exit;
    else if (signal.kind == Kind::unlink) kind = Kind::unlink_ack;
    else if (signal.kind != Kind::monitor) return;
    auto answer = insist([&] {
        return std::make_unique<SignalPost>(kind, signal.to, signal.from, signal.ref, reason_of_kind(ExitKind::noproc));
    });
    if (this_worker()->scheduler().route(answer->to, *answer, answer->from, kind == Kind::link_exit)) answer.release();
}

void SignalPost::arrived(Worker& worker) noexcept {
    std::unique_ptr<SignalPost> signal(this);
    if (Actor* actor = worker.scheduler().table().own(signal->to)) act(*actor, *signal);
    else bounce(*signal);
}

void SignalPost::lost(Scheduler&) noexcept {
    std::unique_ptr<SignalPost> signal(this);
    if (this_worker()) bounce(*signal);  // elsewhere everybody has ended
}

// Returns false when nobody has the pid (bounced).
bool send_signal(std::unique_ptr<SignalPost> signal) noexcept {
    Worker& worker = *this_worker();
    Scheduler& scheduler = worker.scheduler();
    // In a simulation signals are under way like everything else, but for those to oneself.
    if (!worker.simulation() || signal->from == signal->to) {
        if (Actor* actor = scheduler.table().own(signal->to, static_cast<int>(worker.index()))) {
            act(*actor, *signal);
            return true;
        }
    }
    const bool urgent = signal->kind == Kind::exit || signal->kind == Kind::cancel || signal->kind == Kind::link_exit;
    if (scheduler.route(signal->to, *signal, signal->from, urgent)) {
        signal.release();
        return true;
    }
    bounce(*signal);
    return false;
}

}  // namespace

const Notice* find_notice(const Message& message) noexcept {
    if (!message.is_parcel()) return nullptr;
    const Parcel& parcel = message.parcel();
    if (parcel.size() != 0 || parcel.attachments().size() != 1) return nullptr;
    return dynamic_cast<const Notice*>(parcel.attachments()[0].get());
}

Relations& relations_of(Actor& actor) {
    if (!actor.relations) actor.relations = std::make_unique<Relations>();
    return *actor.relations;
}

void link(Actor& self, Pid other) {
    if (other == self.pid) return;
    auto signal = std::make_unique<SignalPost>(Kind::link, self.pid, other);
    const auto [entry, is_new] = relations_of(self).links.emplace(other, 0);
    const bool unlinking = std::exchange(entry->second, 0) != 0;  // forgotten: this is a new link
    if (is_new || unlinking) send_signal(std::move(signal));
}

void unlink(Actor& self, Pid other) {
    if (!self.relations) return;
    const auto found = self.relations->links.find(other);
    if (found == self.relations->links.end() || found->second != 0) return;
    auto signal = std::make_unique<SignalPost>(Kind::unlink, self.pid, other, self.relations->last_unlink + 1);
    found->second = ++self.relations->last_unlink;
    send_signal(std::move(signal));
}

MonitorRef make_monitor_ref() noexcept {
    if (const Worker* worker = this_worker(); worker && worker->simulation())
        return worker->simulation()->next_monitor_ref();
    static atomic<MonitorRef> last{0};
    return last.fetch_add(1, memory_order_relaxed) + 1;
}

void monitor(Actor& self, Pid other, MonitorRef ref) {
    auto signal = std::make_unique<SignalPost>(Kind::monitor, self.pid, other, ref);
    relations_of(self).watching.emplace(ref, other);
    send_signal(std::move(signal));
}

bool demonitor(Actor& self, MonitorRef ref) noexcept {
    if (!self.relations) return false;
    auto found = self.relations->watching.find(ref);
    if (found == self.relations->watching.end()) return false;
    const Pid target = found->second;
    self.relations->watching.erase(found);
    forget_monitor(self.pid, target, ref);
    return true;
}

void link_child(Actor& self, Actor& child) {
    relations_of(child).links.emplace(self.pid, 0);
    relations_of(self).links.emplace(child.pid, 0);
}

MonitorRef monitor_child(Actor& self, Actor& child) {
    const MonitorRef ref = make_monitor_ref();
    relations_of(child).watchers.emplace(ref, self.pid);
    relations_of(self).watching.emplace(ref, child.pid);
    return ref;
}

void watch_child(Actor& self, Actor& child, Instant limit) {
    const MonitorRef ref = monitor_child(self, child);
    try {
        auto watch = limit == kNever ? nullptr : std::make_unique<TimeLimit>(self, child.pid, ref);
        if (watch) watch->arm(limit);
        self.relations->children.emplace(ref, std::move(watch));
    } catch (const std::bad_alloc&) {
        self.relations->watching.erase(ref);
        throw;
    }
}

bool send_exit(Pid from, Pid to, Ref<ExitReason> reason, Duration patience) {
    auto signal = std::make_unique<SignalPost>(Kind::exit, from, to, 0, std::move(reason));
    signal->patience = patience;
    return send_signal(std::move(signal));
}

bool cancel(Scheduler& scheduler, Pid to, Duration patience) noexcept {
    std::unique_ptr<SignalPost> signal(new (std::nothrow)
                                           SignalPost(Kind::cancel, Pid{}, to, 0, reason_of_kind(ExitKind::killed)));
    if (!signal) return false;
    signal->patience = patience;
    if (!scheduler.route(to, *signal, Pid{}, true)) return false;
    signal.release();
    return true;
}

bool send_reply(Pid from, Pid caller, MonitorRef ref, OwnedParcel payload) {
    auto signal = std::make_unique<SignalPost>(Kind::reply, from, caller, ref);
    signal->payload = std::move(payload);
    return send_signal(std::move(signal));
}

bool send_order(Pid from, Pid to, OwnedParcel payload) {
    auto signal = std::make_unique<SignalPost>(Kind::order, from, to);
    signal->payload = std::move(payload);
    return send_signal(std::move(signal));
}

void announce_end(Actor& actor) noexcept {
    if (!actor.relations) return;
    const std::unique_ptr<Relations> relations = std::move(actor.relations);
    Ref<ExitReason> reason = actor.exit_reason ? actor.exit_reason : reason_of_kind(ExitKind::normal);
    for (const auto& [partner, unlinking] : relations->links) {
        if (!unlinking)
            send_signal(insist([&, partner = partner] {
                return std::make_unique<SignalPost>(Kind::link_exit, actor.pid, partner, 0, reason);
            }));
    }
    for (const auto& [ref, watcher] : relations->watchers)
        send_signal(insist([&, watcher = watcher, ref = ref] {
            return std::make_unique<SignalPost>(Kind::down, actor.pid, watcher, ref, reason);
        }));
    for (const auto& [ref, target] : relations->watching) forget_monitor(actor.pid, target, ref);
}

}  // namespace smarm
