// actor.h: one green thread: what it runs, where it is, what it waits for.
//
// States (each sentence names the queue that holds the actor):
//   unstarted  in the scheduler's shared queue or in its worker's run queue; no stack, no rider state yet
//   ready      in its worker's run queue
//   running    in no queue: Worker::current()
//   parked     in no run queue; a waker holds it in a WaitQueue, its timer is armed, or only an exit can end the wait
//   dead       in no queue: its worker frees it
//   unstarted -> running <-> ready, running <-> parked -> ready, running -> dead, unstarted -> dead (killed before its
//   first turn, or no memory for its stack)
// Owner:   the worker that started it, for good (see DESIGN D2); before that, the scheduler. Freed by that worker.
// Threads: fields are the worker's own, except the atomics, which others may read while they hold the actor pinned in
//          the ActorTable (which copies: see actor_snapshot.h) or in a WaitQueue whose lock they hold.
// Subclass: NativeActor (C++ function), PyActor (interp). attach/body/detach bracket its life on the worker.
#pragma once

#include <bit>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "smarm/actor/exit_reason.h"
#include "smarm/actor/held_resource.h"
#include "smarm/actor/mailbox_limit.h"
#include "smarm/actor/pid.h"
#include "smarm/actor/relations.h"
#include "smarm/actor/requests.h"
#include "smarm/base/sync.h"
#include "smarm/fiber/context.h"
#include "smarm/fiber/stack.h"
#include "smarm/msg/buffer.h"
#include "smarm/msg/mailbox.h"
#include "smarm/msg/post.h"

namespace smarm {

class Worker;

enum class ActorState : std::uint8_t { unstarted, ready, running, parked, dead };

// What a parked actor waits for; names for people in wait_reason_name(). select: one of several things; select_message:
// and a message is one of them.
enum class WaitReason : std::uint8_t {
    none,
    message,
    select_message,
    select,
    channel_receive,
    channel_send,
    join,
    sleep,
    lock,
    fd,
    blocking_call,
    event,
    condition,
    barrier
};

// Whether a message ends the wait.
inline bool waits_for_message(WaitReason reason) noexcept {
    return reason == WaitReason::message || reason == WaitReason::select_message;
}

const char* state_name(ActorState state) noexcept;
const char* wait_reason_name(WaitReason reason) noexcept;

// Where an actor was spawned, for people. Immortal: made once per place.
struct SpawnSite {
    std::string file;
    int line = 0;
    std::string function;
};

class Actor : public Post {
public:
    Actor() noexcept;
    virtual ~Actor();
    Actor(const Actor&) = delete;
    Actor& operator=(const Actor&) = delete;

    // Makes what must exist before the first switch to it (rider state). On its worker, not on its stack.
    // Returns false when there is no memory: the actor then dies without running.
    virtual bool attach() noexcept { return true; }
    // Runs the actor to its end. On its own stack. No exception may leave it.
    virtual void body() noexcept = 0;
    // Frees what attach made. On its worker, after the last switch away from it.
    virtual void detach() noexcept {}
    // Told instead of body() that it will never run: killed before its first turn, or out of memory.
    virtual void cancelled(bool out_of_memory) noexcept { (void)out_of_memory; }

    // --- what a resume touches -----------------------------------------------------------------------------------
    Context context;
    void* rider_state = nullptr;  // handed to Rider::switch_to; nullptr: the worker's own state
    Actor* next_ready = nullptr;  // link of the run queue
    atomic<ActorState> state{ActorState::unstarted};
    atomic<WaitReason> wait_reason{WaitReason::none};
    bool allocations_preempt = false;     // native: it may be switched away in operator new (AllocationsPreempt)
    atomic<bool> wake_posted{false};      // this Post is in the inbox of `worker`: further wakes need not post it again
    Worker* worker = nullptr;             // set when started, never changed
    atomic<std::uint64_t> reductions{0};  // its allocations up to its last turn; written by its worker
    // When parked: about when that began; in the shared queue: when it was spawned. A count of Instant.
    atomic<std::int64_t> parked_since{0};
    // When parked: where the Pid (or its bits()) of the actor is that it waits for (a joined actor, the holder of a
    // lock), or nullptr. What it points to may be gone when another thread looks: read it with safe_read.
    atomic<const void*> awaited{nullptr};
    Requests requests;  // what others ask of it; its first word is the last that a resume touches

    // --- the rest --------------------------------------------------------------------------------------------------
    Stack stack;
    Mailbox mailbox;
    std::unique_ptr<MailboxLimit> mailbox_limit;  // nullptr: none
    Pid pid;
    Pid parent;
    const SpawnSite* spawn_site = nullptr;
    std::uint32_t stack_bytes = 0;            // wished slot size, 0: the default
    Ref<ExitReason> exit_reason;              // how it ended; null: normally
    MonitorRef marked_ref = 0;                // what the mailbox's mark was set for
    HeldResource* held = nullptr;             // locks and scopes, see held_resource.h
    std::unique_ptr<Relations> relations;     // links and monitors, made at the first one
    bool searches_mailbox = false;            // code of its program looks at a message that is still in the mailbox
    atomic<bool> registered{false};           // has a name in the Registry
    bool keeps_thread_ident = false;          // the main actor: threading takes it for its OS thread
    bool shared_start = false;                // any worker could start it: counts in Worker::taken_live
    std::shared_ptr<const std::string> name;  // given by the user, or nullptr; set before it has a pid

    // Takes the message at `position` out of the mailbox; must exist.
    Message take_message(std::size_t position) noexcept {
        if (__builtin_expect(mailbox_limit != nullptr, 0)) mailbox_limit->leaves(position);
        return position == 0 ? mailbox.pop() : mailbox.take(position);
    }
    // What counts the buffers that this actor holds, made at the first call; on the actor's worker. Throws
    // std::bad_alloc.
    Ref<BufferAccount> buffer_account();
    // The same for whoever looks at it, nullptr if there is none.
    const BufferAccount* buffers() const noexcept { return buffers_.load(memory_order_acquire); }

private:
    atomic<BufferAccount*> buffers_{nullptr};  // owned reference; release: pairs with buffers()
};

// Says whose end or release the running actor waits for while this lives, to those who look at it. `whom` outlives it.
class Awaits {
public:
    Awaits(Actor& actor, const Pid& whom) noexcept : actor_(actor) {
        actor_.awaited.store(&whom, memory_order_relaxed);
    }
    Awaits(Actor& actor, const std::uint64_t& bits) noexcept : actor_(actor) {
        // SAFETY: a Pid lies in memory as its bits() do, and both are only copied from there.
        static_assert(sizeof(Pid) == sizeof bits && std::endian::native == std::endian::little);
        actor_.awaited.store(&bits, memory_order_relaxed);
    }
    ~Awaits() { actor_.awaited.store(nullptr, memory_order_relaxed); }
    Awaits(const Awaits&) = delete;
    Awaits& operator=(const Awaits&) = delete;

private:
    Actor& actor_;
};

// An actor that runs a C++ function. Exceptions that leave it are printed and end the actor only.
class NativeActor : public Actor {
public:
    explicit NativeActor(std::function<void()> function) : function_(std::move(function)) {}
    void body() noexcept override;

private:
    std::function<void()> function_;
};

}  // namespace smarm
