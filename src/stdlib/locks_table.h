// stdlib/locks_table.h: what smarm knows about the locks of one interpreter that somebody waits for or an actor owns.
//
// What:    LockTable finds a LockEntry by the lock's address; uncontended plain locks have none. An entry lives while
//          it has an owner or somebody waits (drop_if_unused), and keeps its lock alive meanwhile. Locks that nothing
//          but their entry refers to (dropped while an actor held them) are forgotten when the table would grow.
// Native:  state of the original lock, which always tells the truth to other threads:
//            plain lock      locked: held, or handed over to an actor that has yet to run
//            RLock           owned by the worker's OS thread with count 1: by the actor in `owner`; by that thread
//                            itself (or the main actor, which is it) when there is no entry or its owner is 0
// Owner:   entries are the table's; waiters live on the stacks of parked actors.
// Threads: the interpreter's GIL. Blocks, throws: no. Allocates: get(), which says nullptr.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "smarm/base/intrusive_list.h"
#include "smarm/sched/worker.h"
#include "smarm/stdlib/locks.h"

namespace smarm::stdlib_locks {

// Whose an RLock is: the bits of an actor's pid, or 0 for the OS thread itself, which the main actor counts as.
using OwnerId = std::uint64_t;
inline OwnerId owner_id(const Actor& actor) noexcept { return actor.keeps_thread_ident ? 0 : actor.pid.bits(); }

struct LockWaiter : ListNode<LockWaiter> {
    explicit LockWaiter(Actor& its_actor) noexcept
        : actor(its_actor), id(owner_id(its_actor)), thread_ident(PyThread_get_thread_ident()) {}
    Actor& actor;
    const OwnerId id;
    const unsigned long thread_ident;  // of its worker's OS thread
    bool woken = false;                // the lock was released for it to try, and it has not tried yet
    bool passed_over = false;          // it tried, and somebody else had been faster
    bool has_lock = false;             // the lock was handed over to it, and it is in no list
};

struct LockEntry {
    PyObject* lock = nullptr;     // strong
    OwnerId owner = 0;            // RLock: the actor that owns it
    unsigned long count = 0;      // RLock: how often it took it; 0 without owner
    List<LockWaiter> waiters;     // parked actors, in the order in which they came
    unsigned native_waiters = 0;  // RLock: threads that wait inside the original
    LockEntry* next_spare = nullptr;

    bool unused() const noexcept { return owner == 0 && waiters.empty() && native_waiters == 0; }
    // Wakes the actor that has waited longest, to try for itself.
    void wake_first() noexcept;
    // The same for who has not been woken yet: for objects of which there may be several.
    void wake_next() noexcept;
    // The same for all: for what lets everybody go on at once.
    void wake_all() noexcept;
    // Returns the waiter that is to get the lock at this release, or nullptr: release it for whoever comes first. Each
    // one has had a free release before, so that threads that wait natively are not shut out by actors.
    LockWaiter* choose_heir() const noexcept;
    // Takes the heir out of the list, wakes it and tells it that it has the lock.
    void hand_over(LockWaiter& heir) noexcept;
};

class LockTable {
public:
    LockTable() = default;
    ~LockTable();
    LockTable(const LockTable&) = delete;
    LockTable& operator=(const LockTable&) = delete;

    bool empty() const noexcept { return used_ == 0; }
    // Returns the lock's entry, or nullptr.
    LockEntry* find(PyObject* lock) const noexcept;
    // Returns the lock's entry, a new one if need be; nullptr: no memory.
    LockEntry* get(PyObject* lock) noexcept;
    // Ends the entry if nothing is in it. The caller must hold a reference to the lock.
    void drop_if_unused(LockEntry& entry) noexcept;

private:
    std::size_t home_of(PyObject* lock) const noexcept;
    void place(LockEntry& entry) noexcept;
    void remove(LockEntry& entry) noexcept;
    bool make_room() noexcept;
    void forget_unreachable() noexcept;
    LockEntry* take_spare() noexcept;
    void give_spare(LockEntry& entry) noexcept;

    std::unique_ptr<LockEntry*[]> slots_;  // open addressing, linear probing, no tombstones
    std::size_t capacity_ = 0;             // a power of two, or 0
    std::size_t used_ = 0;
    LockEntry* spares_ = nullptr;
    std::size_t spare_count_ = 0;
};

}  // namespace smarm::stdlib_locks

namespace smarm {

struct StdlibLocks::Impl {
    stdlib_locks::LockTable table;
};

}  // namespace smarm
