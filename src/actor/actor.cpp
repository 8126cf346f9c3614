#include "smarm/actor/actor.h"

#include <cstdio>
#include <exception>

namespace smarm {
namespace {
constexpr Post::Kind kUnknown{
    [](Post&, Worker&) noexcept { SMARM_ASSERT(false, "an actor was posted before the scheduler took it"); },
    [](Post&, Scheduler&) noexcept { SMARM_ASSERT(false, "an actor was posted before the scheduler took it"); }};
}  // namespace

const char* state_name(ActorState state) noexcept {
    switch (state) {
        case ActorState::unstarted: return "unstarted";
        case ActorState::ready: return "ready";
        case ActorState::running: return "running";
        case ActorState::parked: return "parked";
        case ActorState::dead: return "dead";
    }
    return "unknown";
}

const char* wait_reason_name(WaitReason reason) noexcept {
    switch (reason) {
        case WaitReason::none: return "nothing";
        case WaitReason::message: return "a message";
        case WaitReason::select_message:
        case WaitReason::select: return "one of several things";
        case WaitReason::channel_receive: return "a channel's value";
        case WaitReason::channel_send: return "room in a channel";
        case WaitReason::join: return "another actor's end";
        case WaitReason::sleep: return "time";
        case WaitReason::lock: return "a lock";
        case WaitReason::fd: return "a file descriptor";
        case WaitReason::blocking_call: return "a blocking call";
        case WaitReason::event: return "an event";
        case WaitReason::condition: return "a condition";
        case WaitReason::barrier: return "a barrier";
    }
    return "unknown";
}

Actor::Actor() noexcept : Post(kUnknown) {}

Actor::~Actor() {
    // Relaxed: nobody else has the actor any more.
    if (BufferAccount* account = buffers_.load(memory_order_relaxed)) account->drop_reference();
}

Ref<BufferAccount> Actor::buffer_account() {
    BufferAccount* account = buffers_.load(memory_order_relaxed);  // set by this thread
    if (!account) buffers_.store(account = new BufferAccount, memory_order_release);
    return Ref<BufferAccount>::share(account);
}

void give_back_all(Actor& actor) noexcept {
    while (HeldResource* newest = actor.held) {
        newest->leave();
        newest->owner_ended(actor);
    }
}

void NativeActor::body() noexcept {
    try {
        function_();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "smarm: native actor <pid %u.%u> ended by an exception: %s\n", pid.index, pid.generation,
                     error.what());
    } catch (...) {
        std::fprintf(stderr, "smarm: native actor <pid %u.%u> ended by an unknown exception\n", pid.index,
                     pid.generation);
    }
    function_ = nullptr;
}

}  // namespace smarm
