#include "smarm/actor/actor_table.h"

#include <mutex>
#include <new>

namespace smarm {
namespace {

// A generation that no table before has used, so that the pids of an earlier runtime stay stale. Relaxed: tables follow
// one another.
atomic<std::uint32_t> unused_generation{1};

}  // namespace

struct ActorTable::Slot {
    // 0 while free. Release on allocate and release, acquire on lookups: who sees the generation sees the slot as it
    // was set up for it.
    atomic<std::uint32_t> generation{0};
    // Release in settle pairs with acquire in find_home and comes before the closing of `early`.
    atomic<int> home{kNobody};
    MpscStack early;
    // Whether the actor's mailbox refuses messages. Relaxed: written before generation is.
    atomic<bool> refuses{false};
    mutable SpinLock pin;  // held while somebody else looks at *actor, and while it is taken out
    Actor* actor = nullptr;
    std::uint32_t next_generation = 0;  // of its next or present actor
};

ActorTable::ActorTable(ActorLimits limits, bool repeatable)
    : limits_(limits), first_generation_(repeatable ? 1 : unused_generation.load(memory_order_relaxed)) {}

ActorTable::~ActorTable() {
    std::uint32_t unused = unused_generation.load(memory_order_relaxed);
    for (std::uint32_t i = 0; i < carved_; ++i) {
        const Slot& it = *slot(i);
        // The actor that still has the slot (its generation is not 0) is given up with the table.
        const std::uint32_t next = it.next_generation + (it.generation.load(memory_order_relaxed) != 0 ? 1 : 0);
        if (next > unused) unused = next;
    }
    unused_generation.store(unused, memory_order_relaxed);
    for (auto& segment : segments_) delete[] segment.load(memory_order_relaxed);
}

ActorTable::Slot* ActorTable::slot(std::uint32_t index) const noexcept {
    if (index / kSegmentSlots >= kMaxSegments) return nullptr;
    // Acquire pairs with the release in allocate: the slots are constructed.
    Slot* segment = segments_[index / kSegmentSlots].load(memory_order_acquire);
    return segment ? &segment[index % kSegmentSlots] : nullptr;
}

// Takes a free slot, making a segment of them when there is none.
bool ActorTable::take_slot(std::uint32_t& index) noexcept {
    std::lock_guard guard(free_lock_);
    if (!free_.empty()) {
        index = free_.back();
        free_.pop_back();
        return true;
    }
    if (carved_ % kSegmentSlots == 0) {
        if (carved_ / kSegmentSlots == kMaxSegments) return false;
        auto* segment = new (std::nothrow) Slot[kSegmentSlots];
        if (!segment) return false;
        for (std::uint32_t i = 0; i < kSegmentSlots; ++i) segment[i].next_generation = first_generation_;
        try {
            // Room for every index of the segment, so that release never allocates.
            free_.reserve(carved_ + kSegmentSlots);
        } catch (const std::bad_alloc&) {
            delete[] segment;
            return false;
        }
        segments_[carved_ / kSegmentSlots].store(segment, memory_order_release);
    }
    index = carved_++;
    return true;
}

std::size_t ActorTable::stack_bytes(const Actor& actor) const noexcept {
    return actor.stack_bytes ? actor.stack_bytes : limits_.default_stack_bytes;
}

// Counts first and looks then, so that many spawning threads together stay within the limits. Relaxed: numbers only.
Allocated ActorTable::count(const Actor& actor) noexcept {
    if (alive_.fetch_add(1, memory_order_relaxed) >= limits_.actors) {
        alive_.fetch_sub(1, memory_order_relaxed);
        return Allocated::too_many_actors;
    }
    if (limits_.stack_bytes == SIZE_MAX) return Allocated::yes;
    const std::size_t bytes = stack_bytes(actor);
    if (stack_bytes_.fetch_add(bytes, memory_order_relaxed) + bytes <= limits_.stack_bytes) return Allocated::yes;
    uncount(actor);
    return Allocated::too_many_stack_bytes;
}

void ActorTable::uncount(const Actor& actor) noexcept {
    alive_.fetch_sub(1, memory_order_relaxed);
    if (limits_.stack_bytes != SIZE_MAX) stack_bytes_.fetch_sub(stack_bytes(actor), memory_order_relaxed);
}

Allocated ActorTable::allocate(Actor& actor, int home) noexcept {
    if (const Allocated refused = count(actor); refused != Allocated::yes) return refused;
    std::uint32_t index = 0;
    if (!take_slot(index)) {
        uncount(actor);
        return Allocated::no_memory;
    }
    Slot& it = *slot(index);
    if (home == kUnstarted) it.early.reopen();
    else it.early.close();  // only a fresh slot's is open, and nobody knows it
    {
        std::lock_guard pin(it.pin);
        it.actor = &actor;
    }
    it.home.store(home, memory_order_relaxed);
    it.refuses.store(actor.mailbox_limit && actor.mailbox_limit->on_full() == OnMailboxFull::error,
                     memory_order_relaxed);
    actor.pid = Pid{index, it.next_generation};
    it.generation.store(it.next_generation, memory_order_release);
    return Allocated::yes;
}

int ActorTable::find_home(Pid pid) const noexcept {
    const Slot* it = slot(pid.index);
    if (!it || !pid || it->generation.load(memory_order_acquire) != pid.generation) return kNobody;
    return it->home.load(memory_order_acquire);
}

bool ActorTable::post_early(Pid pid, Post& post) noexcept {
    // A slot that was reused meanwhile takes the post too; its drain finds the wrong pid and makes it a dead letter.
    return slot(pid.index)->early.push(post);
}

MpscNode* ActorTable::settle(const Actor& actor, int worker_index) noexcept {
    Slot& it = *slot(actor.pid.index);
    it.home.store(worker_index, memory_order_release);
    return it.early.close();
}

void ActorTable::release(const Actor& actor) noexcept {
    Slot& it = *slot(actor.pid.index);
    it.generation.store(0, memory_order_release);
    it.home.store(kNobody, memory_order_release);
    {
        // Waits until nobody looks at the actor any more.
        std::lock_guard pin(it.pin);
        it.actor = nullptr;
    }
    uncount(actor);
    if (++it.next_generation == 0) return;  // wrapped: the slot is retired
    std::lock_guard guard(free_lock_);
    free_.push_back(actor.pid.index);
}

Actor* ActorTable::own(Pid pid, int worker_index) const noexcept {
    const Slot* it = slot(pid.index);
    if (!it || !pid || it->generation.load(memory_order_acquire) != pid.generation) return nullptr;
    return it->home.load(memory_order_acquire) == worker_index ? it->actor : nullptr;
}

Actor* ActorTable::own(Pid pid) const noexcept {
    const Slot* it = slot(pid.index);
    return it && pid && it->generation.load(memory_order_acquire) == pid.generation ? it->actor : nullptr;
}

bool ActorTable::own_from(std::uint32_t& index, int worker_index, Own& found) const noexcept {
    found.count = 0;
    if (!slot(index)) return false;
    do {
        const Slot& it = *slot(index);
        if (it.generation.load(memory_order_acquire) != 0 && it.home.load(memory_order_acquire) == worker_index)
            found.actors[found.count++] = it.actor;
    } while (++index % kSegmentSlots != 0 && found.count < std::size(found.actors));
    return true;
}

bool ActorTable::reserve(Pid pid, const Parcel& parcel) const noexcept {
    const Slot* it = slot(pid.index);
    if (!it || !it->refuses.load(memory_order_relaxed)) return true;
    std::lock_guard pin(it->pin);
    // The slot may have the next actor by now: then the message reaches nobody.
    if (!it->actor || it->generation.load(memory_order_acquire) != pid.generation) return true;
    return it->actor->mailbox_limit->reserve(it->actor->mailbox, parcel.bytes());
}

bool ActorTable::look(Pid pid, ActorSnapshot& seen) const noexcept {
    const Slot* it = slot(pid.index);
    if (!it || !pid) return false;
    std::lock_guard pin(it->pin);
    if (!it->actor || it->generation.load(memory_order_acquire) != pid.generation) return false;
    seen = look_at(*it->actor, it->home.load(memory_order_acquire));
    return true;
}

std::size_t ActorTable::look_from(std::uint32_t& index, std::span<ActorSnapshot> seen) const noexcept {
    std::size_t count = 0;
    for (; count < seen.size(); ++index) {
        const Slot* it = slot(index);
        if (!it) break;
        if (it->generation.load(memory_order_relaxed) == 0) continue;
        std::lock_guard pin(it->pin);
        if (it->actor && it->generation.load(memory_order_acquire) != 0)
            seen[count++] = look_at(*it->actor, it->home.load(memory_order_acquire));
    }
    return count;
}

bool ActorTable::mark_registered(Pid pid) const noexcept {
    const Slot* it = slot(pid.index);
    if (!it || !pid) return false;
    std::lock_guard pin(it->pin);
    if (!it->actor || it->generation.load(memory_order_acquire) != pid.generation) return false;
    // Release, for release() takes this lock before its caller asks for the mark.
    it->actor->registered.store(true, memory_order_release);
    return true;
}

}  // namespace smarm
