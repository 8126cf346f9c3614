// actor_table.h: from a pid to the worker that can reach its actor.
//
// What:    one slot per actor that is alive, in segments that are never freed, so that any thread may look at any slot
//          at any time. A slot says which generation it holds, which worker is the actor's home, and keeps the messages
//          that arrive before there is one.
// Life:    allocate (unstarted: messages go to the slot's early stack) -> settle (home is set, the early stack closes
//          and is handed to the home worker) -> release (generation ends; whatever arrives later is a dead letter).
// Early:   a sender that finds the early stack closed reads the home again: it was set before the closing, so what one
//          sender sends stays in order across the change.
// Threads: find_home, post_early, reserve, look: any. settle, release: the actor's worker. allocate: any.
// Locks:   a slot's spin lock keeps its actor alive while somebody copies from it: nothing else is done under it.
// Errors:  allocate says why it refused: no memory, or a limit of ActorLimits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "smarm/actor/actor.h"
#include "smarm/actor/actor_snapshot.h"
#include "smarm/actor/pid.h"
#include "smarm/base/mpsc_stack.h"

namespace smarm {

struct ActorLimits {
    std::size_t actors = SIZE_MAX;        // alive at a time
    std::size_t stack_bytes = SIZE_MAX;   // address space that their stacks have, or will have when they start
    std::size_t default_stack_bytes = 0;  // of an actor that does not say
};

enum class Allocated : std::uint8_t { yes, no_memory, too_many_actors, too_many_stack_bytes };

class ActorTable {
public:
    static constexpr std::uint32_t kSegmentSlots = 4096;
    static constexpr std::uint32_t kMaxSegments = 16384;
    static constexpr std::uint32_t kMostActors = kSegmentSlots * kMaxSegments;  // 67 million
    static constexpr int kUnstarted = -1;                                       // home of an actor that has none yet
    static constexpr int kNobody = -2;                                          // the pid is stale

    // `repeatable`: pids begin at the first generation, as in every such table, whatever earlier ones have used.
    explicit ActorTable(ActorLimits limits = {}, bool repeatable = false);
    ~ActorTable();
    ActorTable(const ActorTable&) = delete;
    ActorTable& operator=(const ActorTable&) = delete;

    // Gives the actor a pid and registers it, with a home (it is settled then, and takes no early posts) or without.
    Allocated allocate(Actor& actor, int home = kUnstarted) noexcept;
    // Returns the worker index of the pid's actor, kUnstarted or kNobody.
    int find_home(Pid pid) const noexcept;
    // Keeps a post for an unstarted actor. Returns false when it has been settled meanwhile: ask find_home again.
    bool post_early(Pid pid, Post& post) noexcept;
    // Makes `worker_index` the actor's home and returns the chain of early posts, oldest first.
    MpscNode* settle(const Actor& actor, int worker_index) noexcept;
    // Ends the pid. The actor must be settled. Nobody looks at it afterwards.
    void release(const Actor& actor) noexcept;
    // Counts a message that is about to be sent to the pid from another worker. False: its mailbox is full, and refuses
    // it.
    bool reserve(Pid pid, const Parcel& parcel) const noexcept;
    // Returns the actor, or nullptr when the pid is stale. For its own worker only.
    Actor* own(Pid pid) const noexcept;
    // The same for any worker: nullptr also when another one is the actor's home.
    Actor* own(Pid pid, int worker_index) const noexcept;

    // Copies what is to be seen of the pid's actor. False: the pid is stale.
    bool look(Pid pid, ActorSnapshot& seen) const noexcept;
    // The same for actors from this index on, in index order: as many as there is room for. Returns how many, 0 at the
    // end, and moves the index behind them.
    std::size_t look_from(std::uint32_t& index, std::span<ActorSnapshot> seen) const noexcept;
    // Calls visit(snapshot) for every actor that is alive, in index order. Nothing is locked meanwhile.
    template <class Visit>
    void for_each(Visit visit) const {
        ActorSnapshot seen[16];
        std::uint32_t index = 0;
        while (const std::size_t count = look_from(index, seen))
            for (std::size_t i = 0; i < count; ++i) visit(seen[i]);
    }
    // Finds the worker's own actors, for that worker only, from this index to the end of its segment at most, and moves
    // the index behind them. False: there are no slots there.
    struct Own {
        Actor* actors[64];
        std::size_t count = 0;
    };
    bool own_from(std::uint32_t& index, int worker_index, Own& found) const noexcept;
    // Marks the actor as one with a name in the Registry: whoever ends it looks for names from now on. False: the pid
    // is stale.
    bool mark_registered(Pid pid) const noexcept;
    std::size_t alive() const noexcept { return alive_.load(memory_order_relaxed); }
    const ActorLimits& limits() const noexcept { return limits_; }
    // What the actor asked for, or the default.
    std::size_t stack_bytes(const Actor& actor) const noexcept;

private:
    struct Slot;
    Slot* slot(std::uint32_t index) const noexcept;
    bool take_slot(std::uint32_t& index) noexcept;
    Allocated count(const Actor& actor) noexcept;
    void uncount(const Actor& actor) noexcept;

    const ActorLimits limits_;
    const std::uint32_t first_generation_;
    atomic<Slot*> segments_[kMaxSegments] = {};
    mutable SpinLock free_lock_;  // guards the two below
    std::vector<std::uint32_t> free_;
    std::uint32_t carved_ = 0;
    atomic<std::size_t> alive_{0};
    atomic<std::size_t> stack_bytes_{0};  // counted when it is limited
};

}  // namespace smarm
