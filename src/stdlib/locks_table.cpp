#include "stdlib/locks_table.h"

#include <algorithm>
#include <new>
#include <utility>

#include "smarm/wait/wait_queue.h"

namespace smarm::stdlib_locks {
namespace {
constexpr std::size_t kFirstCapacity = 32;
constexpr std::size_t kSpares = 64;  // entries kept for the next locks, so that taking an RLock allocates nothing
}  // namespace

// ---- waiters --------------------------------------------------------------------------------------------------------

void LockEntry::wake_first() noexcept {
    LockWaiter* first = waiters.front();
    if (!first) return;
    first->woken = true;
    unpark(first->actor);
}

void LockEntry::wake_next() noexcept {
    LockWaiter* next = nullptr;
    waiters.for_each([&next](LockWaiter& waiter) {
        if (!next && !waiter.woken) next = &waiter;
    });
    if (!next) return;
    next->woken = true;
    unpark(next->actor);
}

void LockEntry::wake_all() noexcept {
    waiters.for_each([](LockWaiter& waiter) {
        waiter.woken = true;
        unpark(waiter.actor);
    });
}

LockWaiter* LockEntry::choose_heir() const noexcept {
    LockWaiter* first = waiters.front();
    return first && first->passed_over ? first : nullptr;
}

void LockEntry::hand_over(LockWaiter& heir) noexcept {
    waiters.remove(heir);
    heir.has_lock = true;
    unpark(heir.actor);
}

// ---- the table ------------------------------------------------------------------------------------------------------

LockTable::~LockTable() {
    for (std::size_t i = 0; i < capacity_; ++i) {
        LockEntry* entry = slots_[i];
        if (!entry) continue;
        Py_DECREF(entry->lock);
        // An actor that was given up at shutdown may still be in the list: left behind with its stack.
        if (entry->waiters.empty()) delete entry;
    }
    while (spares_) delete std::exchange(spares_, spares_->next_spare);
}

std::size_t LockTable::home_of(PyObject* lock) const noexcept {
    // Objects are aligned to 16 bytes; the multiplication spreads the rest into the upper bits.
    const std::uint64_t hash = (reinterpret_cast<std::uintptr_t>(lock) >> 4) * 0x9E3779B97F4A7C15u;
    return (hash >> 32) & (capacity_ - 1);
}

LockEntry* LockTable::find(PyObject* lock) const noexcept {
    if (used_ == 0) return nullptr;
    for (std::size_t i = home_of(lock);; i = (i + 1) & (capacity_ - 1)) {
        LockEntry* entry = slots_[i];
        if (!entry || entry->lock == lock) return entry;
    }
}

LockEntry* LockTable::get(PyObject* lock) noexcept {
    if (LockEntry* entry = find(lock)) return entry;
    if ((used_ + 1) * 2 > capacity_) {
        if (!make_room()) return nullptr;
        if (LockEntry* entry = find(lock)) return entry;  // made meanwhile: forgetting a lock can run Python code
    }
    LockEntry* entry = take_spare();
    if (!entry) return nullptr;
    entry->lock = Py_NewRef(lock);
    place(*entry);
    ++used_;
    return entry;
}

void LockTable::drop_if_unused(LockEntry& entry) noexcept {
    if (!entry.unused()) return;
    PyObject* lock = entry.lock;
    remove(entry);
    give_spare(entry);
    Py_DECREF(lock);
}

void LockTable::place(LockEntry& entry) noexcept {
    std::size_t i = home_of(entry.lock);
    while (slots_[i]) i = (i + 1) & (capacity_ - 1);
    slots_[i] = &entry;
}

// Takes the entry out and closes the gap: whatever the gap would hide from its home moves into it.
void LockTable::remove(LockEntry& entry) noexcept {
    const std::size_t mask = capacity_ - 1;
    std::size_t gap = home_of(entry.lock);
    while (slots_[gap] != &entry) gap = (gap + 1) & mask;
    for (std::size_t i = (gap + 1) & mask; slots_[i]; i = (i + 1) & mask) {
        const std::size_t home = home_of(slots_[i]->lock);
        if (((i - home) & mask) < ((i - gap) & mask)) continue;
        slots_[gap] = slots_[i];
        gap = i;
    }
    slots_[gap] = nullptr;
    --used_;
}

bool LockTable::make_room() noexcept {
    forget_unreachable();
    if ((used_ + 1) * 2 <= capacity_) return true;
    const std::size_t bigger = std::max(capacity_ * 2, kFirstCapacity);
    std::unique_ptr<LockEntry*[]> slots(new (std::nothrow) LockEntry*[bigger]());
    if (!slots) return false;
    slots_.swap(slots);
    const std::size_t before = std::exchange(capacity_, bigger);
    for (std::size_t i = 0; i < before; ++i) {
        if (slots[i]) place(*slots[i]);
    }
    return true;
}

void LockTable::forget_unreachable() noexcept {
    LockEntry* unreachable = nullptr;
    for (std::size_t i = 0; i < capacity_; ++i) {
        LockEntry* entry = slots_[i];
        if (entry && Py_REFCNT(entry->lock) == 1 && entry->waiters.empty() && entry->native_waiters == 0) {
            entry->next_spare = std::exchange(unreachable, entry);
        }
    }
    for (LockEntry* entry = unreachable; entry; entry = entry->next_spare) remove(*entry);
    // Last, because a lock's end can run Python code (weak references), which can come back here.
    while (unreachable) {
        LockEntry* entry = std::exchange(unreachable, unreachable->next_spare);
        PyObject* lock = entry->lock;
        give_spare(*entry);
        Py_DECREF(lock);
    }
}

LockEntry* LockTable::take_spare() noexcept {
    if (!spares_) return new (std::nothrow) LockEntry;
    --spare_count_;
    return std::exchange(spares_, spares_->next_spare);
}

void LockTable::give_spare(LockEntry& entry) noexcept {
    if (spare_count_ == kSpares) {
        delete &entry;
        return;
    }
    entry.lock = nullptr;
    entry.owner = 0;
    entry.count = 0;
    entry.next_spare = std::exchange(spares_, &entry);
    ++spare_count_;
}

}  // namespace smarm::stdlib_locks
